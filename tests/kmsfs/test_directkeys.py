"""Data keys that a real agent makes and opens one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from agent.api import operations
from agent.api.shapes.keys import CreateKeyRequest, DisableKeyRequest, EnableKeyRequest
from agents import RunningAgent
from asked import Asked
from kmsfs import directkeys, header, kms
from kmsfs.directkeys import AHEAD_KEYS, DirectKeys
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError, WaitNeededError
from kmsfs.header import ClearHeader
from kmsfs.patience import Patience
from kmsfs.volume import DIRECT, Policy
from kmsfs.wrapping import Mode, policy_reference

VOLUME_ID = b"volume number 01"

T = TypeVar("T")


@pytest.fixture
def service(running_agent: RunningAgent) -> Iterator[Asked]:
    """An agent of the test's own, counted."""
    asked = Asked(running_agent.url)
    yield asked
    asked.close()


@pytest.fixture
def key_arn(service: Asked) -> str:
    """A KMS key."""
    arn = service.call(operations.CREATE_KEY, CreateKeyRequest()).key_metadata.arn
    assert arn is not None
    return arn


@pytest.fixture
def keys(service: Asked, key_arn: str) -> Iterator[DirectKeys]:
    """The data keys of policy 3, on a mount, with little patience."""
    made = new_keys(service, key_arn)
    made.may_wait = True
    yield made
    made.close()


def new_keys(service: Asked, key_arn: str, *, policy: int = 3, wait_seconds: float = 0.2) -> DirectKeys:
    """Return a policy's keys, with nothing in memory."""
    return DirectKeys(service, VOLUME_ID, Policy(policy, key_arn, DIRECT), Patience(wait_seconds))


def waiting(call: Callable[[], T]) -> tuple[T, int]:
    """Do as a mount does with a request; return its answer, and how often it had to wait."""
    for waits in range(100):
        try:
            return call(), waits
        except WaitNeededError as needed:
            worker = threading.Thread(target=needed.work)
            worker.start()
            worker.join()
    raise AssertionError("the request never got an answer")


def settle(keys: DirectKeys) -> None:
    """Wait for everything that is being fetched ahead."""
    assert keys._fetchers is not None
    keys._fetchers.shutdown()
    keys._fetchers = None


def new_header(keys: DirectKeys) -> ClearHeader:
    """Return the clear part of the header of a new file."""
    clear = header.create(VOLUME_ID, 12, waiting(keys.take)[0]).clear
    return header.parse(clear.ljust(512, b"\0"))


def test_a_file_has_a_data_key_of_its_own(keys: DirectKeys, service: Asked, key_arn: str) -> None:
    """A header holds the KMS's own ciphertext, which gives the data key under the file's context alone."""
    clear = new_header(keys)
    assert (clear.mode, clear.reference) == (Mode.DIRECT, policy_reference(3))
    unlocked, waits = waiting(lambda: header.unlock(clear, VOLUME_ID, keys))
    assert waits == 1
    assert unlocked.clear == clear.clear
    context = kms.file_context(VOLUME_ID, 3, clear.file_id)
    assert context == {
        "kmsfs:volume": VOLUME_ID.hex(),
        "kmsfs:policy": "3",
        "kmsfs:file": clear.file_id.hex(),
    }
    plaintext = kms.decrypt(service, key_arn, clear.wrapped_key, context)
    assert keys.unwrap(clear.wrapped_key, clear.clear[:96]) == plaintext


def test_opening_again_does_not_ask_again(
    keys: DirectKeys, service: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data key is kept for seconds, and then asked for again."""
    clear = new_header(keys)
    waiting(lambda: header.unlock(clear, VOLUME_ID, keys))
    assert waiting(lambda: header.unlock(clear, VOLUME_ID, keys))[1] == 0
    assert service.counts["Decrypt"] == 1
    later = directkeys.time.monotonic() + directkeys.KEPT_SECONDS
    monkeypatch.setattr(directkeys.time, "monotonic", lambda: later)
    assert waiting(lambda: header.unlock(clear, VOLUME_ID, keys))[1] == 1


def test_memory_is_bounded(keys: DirectKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more opened files than are kept, the ones opened first are asked for again."""
    monkeypatch.setattr(directkeys, "KEPT_KEYS", 2)
    headers = [new_header(keys) for _ in range(3)]
    for clear in headers:
        waiting(lambda clear=clear: header.unlock(clear, VOLUME_ID, keys))
    assert len(keys._kept._outcomes) == 2
    assert waiting(lambda: header.unlock(headers[2], VOLUME_ID, keys))[1] == 0
    assert waiting(lambda: header.unlock(headers[0], VOLUME_ID, keys))[1] == 1


def test_data_keys_are_fetched_ahead(keys: DirectKeys, service: Asked) -> None:
    """The more files are made, the more keys are fetched ahead of them, up to a bound; none serves twice."""
    drawn = [waiting(keys.take) for _ in range(300)]
    assert len({key.file_id for key, _ in drawn}) == len({key.data_key for key, _ in drawn}) == 300
    assert sum(waits for _, waits in drawn) < 300
    settle(keys)
    assert 0 < len(keys._ahead) <= AHEAD_KEYS
    assert service.counts["GenerateDataKey"] <= 300 + AHEAD_KEYS + 1


def test_a_single_file_costs_a_single_call(keys: DirectKeys, service: Asked) -> None:
    """Nothing is fetched ahead of a file that comes alone."""
    waiting(keys.take)
    assert service.counts["GenerateDataKey"] == 1


def test_data_keys_fetched_ahead_grow_old(keys: DirectKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was fetched too long ago makes no file."""
    first = [waiting(keys.take)[0] for _ in range(20)]
    settle(keys)
    stale = {key.file_id for key, _ in keys._ahead}
    assert stale
    later = directkeys.time.monotonic() + directkeys.AHEAD_SECONDS
    monkeypatch.setattr(directkeys.time, "monotonic", lambda: later)
    drawn, waits = waiting(keys.take)
    assert waits == 1
    assert drawn.file_id not in stale | {key.file_id for key in first}


def test_a_disabled_key_is_missed_at_once(keys: DirectKeys, service: Asked, key_arn: str) -> None:
    """Neither is a file opened that is not in memory, nor one made; and both are, once the key is back."""
    known, unknown = new_header(keys), new_header(keys)
    waiting(lambda: header.unlock(known, VOLUME_ID, keys))
    settle(keys)
    keys._ahead.clear()
    service.call(operations.DISABLE_KEY, DisableKeyRequest(key_id=key_arn))
    header.unlock(known, VOLUME_ID, keys)
    for request in (lambda: header.unlock(unknown, VOLUME_ID, keys), keys.take):
        with pytest.raises(KeyUnavailableError, match="kms-agent key enable"):
            waiting(request)
    assert "DisabledException" in keys.refusal()
    service.call(operations.ENABLE_KEY, EnableKeyRequest(key_id=key_arn))
    for request in (lambda: header.unlock(unknown, VOLUME_ID, keys), keys.take):
        waiting(request)
    assert keys.refusal() == ""


def test_a_blob_of_another_file_or_policy_is_refused(keys: DirectKeys, service: Asked, key_arn: str) -> None:
    """A blob is good for its own file and policy alone, under whichever key."""
    first, second = new_header(keys), new_header(keys)
    waiting(lambda: header.unlock(first, VOLUME_ID, keys))
    with pytest.raises(CorruptHeaderError, match="for this file"):
        waiting(lambda: keys.unwrap(second.wrapped_key, first.clear[:96]))
    with pytest.raises(CorruptHeaderError, match="for this file"):
        waiting(lambda: keys.unwrap(first.wrapped_key[:-1] + b"\0", first.clear[:96]))
    other = new_keys(service, key_arn, policy=4)
    with pytest.raises(CorruptHeaderError, match="another key"):
        header.unlock(first, VOLUME_ID, other)
    with pytest.raises(CorruptHeaderError, match="for this file"):
        other.unwrap(first.wrapped_key, first.clear[:96])


def test_without_a_mount_nothing_waits(service: Asked, key_arn: str) -> None:
    """Commands that use a volume unmounted ask within the call."""
    keys = new_keys(service, key_arn)
    drawn = keys.take()
    clear = header.create(VOLUME_ID, 12, drawn).clear
    header.unlock(header.parse(clear.ljust(512, b"\0")), VOLUME_ID, keys)
    keys.close()


def test_a_silent_agent_is_waited_for_and_then_refused(keys: DirectKeys, running_agent: RunningAgent) -> None:
    """The first request waits for an agent that is gone, the next is refused, until the agent is back."""
    clear = new_header(keys)
    running_agent.stop()
    for _ in range(2):
        with pytest.raises(KeyUnavailableError, match="no key management agent"):
            waiting(lambda: header.unlock(clear, VOLUME_ID, keys))
    assert "no key management agent" in keys.refusal()
    running_agent.start()
    waiting(lambda: header.unlock(clear, VOLUME_ID, keys))
    assert keys.refusal() == ""


def test_an_agent_that_restarts_is_not_noticed(
    service: Asked, key_arn: str, running_agent: RunningAgent
) -> None:
    """A request that is under way while the agent restarts gets its answer."""
    keys = new_keys(service, key_arn, wait_seconds=60)
    clear = new_header(keys)
    running_agent.kill()
    answers: list[bytes] = []
    request = threading.Thread(
        target=lambda: answers.append(keys.unwrap(clear.wrapped_key, clear.clear[:96]))
    )
    request.start()
    running_agent.start()
    request.join()
    assert len(answers) == 1
    keys.close()


def test_secrets_do_not_show(keys: DirectKeys) -> None:
    """No representation holds a data key."""
    drawn, _ = waiting(keys.take)
    for shown in (repr(drawn), repr(keys), repr(kms.DataKey(drawn.data_key, drawn.blob, "arn", None))):
        assert drawn.data_key.hex() not in shown
        assert repr(drawn.data_key) not in shown


def test_a_blob_without_room_in_the_header_says_so() -> None:
    """A service whose ciphertexts are longer than a header has room for is refused with a way out."""
    assert directkeys._fitting(bytes(280)) == bytes(280)
    with pytest.raises(KeyUnavailableError, match="use the mode bucket"):
        directkeys._fitting(bytes(281))
