"""Owns which records a question is about, and counting them. Pure; knows nothing of files.

A question is asked of bytes first: a line that does not contain what every answer contains is not decoded.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from agent.audit.reading import Record, parse

Outcome = Literal["success", "denied", "error"]

_DENIED = frozenset(
    {
        "AccessDeniedException",
        "NotAuthorizedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredTokenException",
        "InvalidClientTokenId",
    }
)


@dataclass(frozen=True, slots=True)
class Question:
    """What records are asked for; None is any.

    Attributes:
        key: a key's ARN or id, or an alias's ARN or name.
        principal: a caller's ARN, or what follows its last slash.
        event: an operation, with or without `kms:` before it.
        since: the earliest time, as records have it.
        until: the time before which it must be.
        outcome: how it ended.
        request_id: as the caller was told.
    """

    key: str | None = None
    principal: str | None = None
    event: str | None = None
    since: str | None = None
    until: str | None = None
    outcome: Outcome | None = None
    request_id: str | None = None


def outcome_of(record: Record) -> Outcome:
    """Tell how a request ended: denied is what authentication or authorization refused."""
    if record.error_code is None:
        return "success"
    return "denied" if record.error_code in _DENIED else "error"


def matching(lines: Iterable[bytes], question: Question) -> Iterator[tuple[bytes, Record]]:
    """Yield the lines that a question is about, with what they say."""
    event = None if question.event is None else question.event.rpartition(":")[2]
    needles = [
        text.encode() for text in (question.key, question.principal, event, question.request_id) if text
    ]
    for line in lines:
        if all(needle in line for needle in needles):
            record = parse(line)
            if record is not None and _matches(record, question, event):
                yield line, record


def count(records: Iterable[Record]) -> Counter[tuple[str, str, str, str, Outcome]]:
    """Count records by key, principal, day, operation and outcome; one of two keys counts for each."""
    counts = Counter[tuple[str, str, str, str, Outcome]]()
    for record in records:
        for arn in record.key_arns or ("",):
            day = record.event_time[:10]
            counts[arn, record.user_identity.name, day, record.event_name, outcome_of(record)] += 1
    return counts


def _matches(record: Record, question: Question, event: str | None) -> bool:
    return (
        (question.key is None or any(names(resource.arn, question.key) for resource in record.resources))
        and (question.principal is None or names(record.user_identity.name, question.principal))
        and (event is None or record.event_name == event)
        and (question.since is None or record.event_time >= question.since)
        and (question.until is None or record.event_time < question.until)
        and (question.outcome is None or outcome_of(record) == question.outcome)
        and (question.request_id is None or record.request_id == question.request_id)
    )


def names(arn: str, name: str) -> bool:
    """Tell whether a name is an ARN or the end of one, from a slash or colon on."""
    return arn == name or arn.endswith((f"/{name}", f":{name}"))
