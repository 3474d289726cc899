"""Owns what the digests of a log must be, each for itself and one after the other.

Shares no code with what writes them. Opens no file.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from agent.audit.checking.report import Problem
from agent.crypto.digestkey import PublicKey

_SIGNATURE: Final = re.compile(rb',"signature":"([0-9a-f]{128})"\}\n\Z')
_HASH: Final = re.compile("[0-9a-f]{64}")


class DigestFileError(Exception):
    """The file is no digest that the key signed; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the chain: the number of a record and its hash."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file of the log as a digest describes it; `first` and `last` are numbers of records."""

    name: str
    size_bytes: int
    first: int
    last: int
    hash: str


@dataclass(frozen=True, slots=True)
class SignedDigest:
    """A digest whose signature is right."""

    name: str
    number: int
    start_time: str
    end_time: str
    start: Place
    end: Place
    files: tuple[SealedFile, ...]
    previous_name: str | None
    previous_hash: str | None
    previous_signature: str | None
    content_hash: str
    signature: str


def read(name: str, content: bytes, key: PublicKey) -> SignedDigest:
    """Return what a digest file says.

    Raises:
        DigestFileError: the key did not sign it, or it has another's name.
    """
    found = _SIGNATURE.search(content)
    if found is None:
        raise DigestFileError("is not a digest: it was edited or cut")
    if not key.verifies(bytes.fromhex(found[1].decode()), content[: found.start()]):
        raise DigestFileError("was edited, or signed with another key: its signature does not fit")
    try:
        digest = _parse(json.loads(content), content, found[1].decode())
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DigestFileError("is signed, but is no digest that this version knows") from None
    if digest.name != name:
        raise DigestFileError(f"was written as {digest.name}: digests were exchanged or renamed")
    return digest


def follow(before: SignedDigest, digest: SignedDigest) -> str | None:
    """Return why a digest does not follow the one before; None if it does."""
    if digest.number != before.number + 1:
        return f"follows digest {before.number}: those between are missing"
    named = (digest.previous_name, digest.previous_hash, digest.previous_signature)
    if named != (before.name, before.content_hash, before.signature):
        return f"does not follow {before.name}: it names another digest before it"
    if digest.start_time != before.end_time or digest.start != before.end:
        return f"does not begin where {before.name} ends"
    return None


def read_all(files: Iterable[tuple[str, bytes]], key: PublicKey) -> tuple[list[SignedDigest], list[Problem]]:
    """Return the digests that can be trusted, in order, and what is wrong with the others.

    Args:
        files: names and contents, in order.
        key: what they are signed with.
    """
    digests, problems = list[SignedDigest](), list[Problem]()
    before: SignedDigest | None = None
    for name, content in files:
        try:
            digest = read(name, content, key)
        except DigestFileError as error:
            problems.append(Problem(name, None, str(error)))
            before = None
            continue
        reason = follow(before, digest) if before is not None else None
        if reason is not None:
            problems.append(Problem(name, None, reason))
        digests.append(digest)
        before = digest
    return digests, problems


def _parse(wire: dict[str, Any], content: bytes, signature: str) -> SignedDigest:
    if wire["digestVersion"] != "1":
        raise ValueError
    return SignedDigest(
        name=_text(wire["digestFile"]),
        number=_number(wire["digestNumber"]),
        start_time=_text(wire["digestStartTime"]),
        end_time=_text(wire["digestEndTime"]),
        start=_place(wire["chainStart"]),
        end=_place(wire["chainEnd"]),
        files=tuple(_file(file) for file in wire["logFiles"]),
        previous_name=wire["previousDigestFile"],
        previous_hash=wire["previousDigestHashValue"],
        previous_signature=wire["previousDigestSignature"],
        content_hash=hashlib.sha256(content).hexdigest(),
        signature=signature,
    )


def _file(wire: dict[str, Any]) -> SealedFile:
    return SealedFile(
        _text(wire["name"]),
        _number(wire["sizeBytes"]),
        _number(wire["firstSequence"]),
        _number(wire["lastSequence"]),
        _hash(wire["hashValue"]),
    )


def _place(wire: dict[str, Any]) -> Place:
    return Place(_number(wire["sequence"]), _hash(wire["hash"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _hash(value: object) -> str:
    if not _HASH.fullmatch(_text(value)):
        raise ValueError
    return _text(value)
