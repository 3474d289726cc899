"""ReportIntegrityFailure, through the pipeline: who may report, of what, and what the record says."""

from typing import Any, Final

import pytest

from agent.api import codec
from agent.api.enums import KeyState
from agent.api.errors import (
    AccessDeniedException,
    NotFoundException,
    ServiceError,
    ThrottlingException,
    ValidationException,
)
from agent.api.operations import ADMINISTRATION
from agent.audit.query import Question, matching
from agent.audit.reading import lines
from agent.operations.integrity import RATE
from granting import equals, grant
from services import START, Service

NAME: Final = "ReportIntegrityFailure"
OPERATION: Final = ADMINISTRATION[NAME]
VOLUME: Final = "0a" * 16
CONTEXT: Final = {"kmsfs:volume": VOLUME}
REPORT: Final[dict[str, Any]] = {
    "encryption_context": CONTEXT,
    "volume": VOLUME,
    "path": "aGVsbG8/d29ybGQ",
    "kind": "content",
    "detail": "chunk 3: tag",
    "observed_at": START - 60,
}


async def report(service: Service, key_id: str, caller: Any = None, **members: object) -> None:  # noqa: ANN401 -- a Principal or none
    """Report a failure."""
    await service.call(OPERATION, caller, key_id=key_id, **(REPORT | members))


async def test_a_report_is_a_record(service: Service) -> None:
    """The record names the key, and tells volume, path, kind, detail and time; `audit query` finds it."""
    key = await service.create_key()
    await report(service, key.key_id)
    record = service.records()[-1]
    assert (record["eventName"], record["eventSource"]) == (NAME, "kms-agent")
    assert record["readOnly"] is True
    assert [resource["ARN"] for resource in record["resources"]] == [key.arn]
    assert record["requestParameters"] == {"keyId": key.key_id, "encryptionContext": CONTEXT}
    assert record["additionalEventData"] == {
        "volume": VOLUME,
        "path": "aGVsbG8/d29ybGQ",
        "kind": "content",
        "detail": "chunk 3: tag",
        "observedAt": "2027-01-15T07:59:00Z",
    }
    log = lines(service.directory / "audit.jsonl")
    assert len(list(matching(log, Question(key=key.key_id, event=NAME)))) == 1
    assert service.kms.usage.last(key.arn) is None


async def test_only_who_may_decrypt_may_report(service: Service) -> None:
    """Strangers are refused, and what they wanted to tell is not recorded."""
    key, bob = await service.create_key(), service.callers.bob
    with pytest.raises(AccessDeniedException):
        await report(service, key.key_id, bob)
    record = service.records()[-1]
    assert record["errorCode"] == "AccessDeniedException"
    assert "additionalEventData" not in record
    await grant(service, key.key_id, constraints=equals(**CONTEXT))
    await report(service, key.key_id, bob)
    other = {"kmsfs:volume": "0b" * 16}
    with pytest.raises(AccessDeniedException):
        await report(service, key.key_id, bob, encryption_context=other, volume="0b" * 16)


@pytest.mark.parametrize(
    "members",
    [
        {"volume": "0b" * 16},
        {"path": "two\nlines"},
        {"path": "\x1b[31m"},
        {"path": "x" * 2049},
        {"path": ""},
        {"kind": "Content"},
        {"kind": "x" * 33},
        {"detail": "d" * 257},
        {"volume": "v" * 129, "encryption_context": {"v": "v" * 129}},
        {"observed_at": -1.0},
        {"observed_at": 1e300},
    ],
)
async def test_reports_are_limited(service: Service, members: dict[str, Any]) -> None:
    """Nothing long, nothing that a terminal would obey, no volume that the context does not name."""
    key = await service.create_key()
    with pytest.raises(ValidationException):
        await report(service, key.key_id, **members)


async def test_too_many_reports_are_refused(service: Service) -> None:
    """A caller has so many reports on a key at once, and more as time passes; another key has its own."""
    key, other = await service.create_key(), await service.create_key()
    for _ in range(int(RATE.burst)):
        await report(service, key.key_id)
    with pytest.raises(ThrottlingException):
        await report(service, key.key_id)
    await report(service, other.key_id)
    service.clock.advance(seconds=1)
    await report(service, key.key_id)


async def test_a_key_that_cannot_decrypt_can_be_reported_on(service: Service) -> None:
    """What is stored under a disabled key, or one that is to be deleted, can be damaged as well."""
    key = await service.create_key()
    for state in (KeyState.DISABLED, KeyState.PENDING_DELETION):
        service.force(key.key_id, state)
        await report(service, key.key_id)


async def test_a_key_that_is_not_there(service: Service) -> None:
    """There is nothing to report on."""
    with pytest.raises(NotFoundException):
        await report(service, "00000000-0000-0000-0000-000000000000")
    with pytest.raises(ServiceError):
        await report(service, "alias/none")


def test_the_answer_is_empty() -> None:
    """There is nothing to tell but that it is recorded."""
    assert codec.encode_response(OPERATION.response()) == b""
