"""Owns finding the files of a log for a check. Shares no code with what writes them."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from agent.audit.checking.report import Problem
from agent.audit.errors import AuditVerificationError
from agent.crypto.digestkey import PublicKey, PublicKeyError

_MAX_SMALL_BYTES: Final = 64 * 1024
_NUMBER: Final = re.compile(r".*-([0-9]{8,})-[0-9]{8}T[0-9]{6}Z\.\w+", re.DOTALL)
_TRIES: Final = 50
_SETTLE_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a log at one moment; the agent may rename them a moment later.

    Attributes:
        digests: names and contents of the digests, in order.
        sealed: files that are no longer written to, in order.
        active: the one that is, open; None if it is not there.
    """

    digests: tuple[tuple[str, bytes], ...]
    sealed: tuple[Path, ...]
    active: BinaryIO | None

    def close(self) -> None:
        """Close what is open."""
        if self.active is not None:
            self.active.close()


@dataclass(frozen=True, slots=True)
class Head:
    """What the head file says: a record, its hash, and how many digests there were."""

    record: int
    hash: str
    digests: int


def number_in(name: str) -> int:
    """Return the number in the name of a digest or of a sealed file."""
    found = _NUMBER.fullmatch(name)
    if found is None:
        return 0
    return int(found[1])


def take_snapshot(path: Path) -> Snapshot:
    """Return the files as they were at one moment between two renames of the agent's.

    Raises:
        AuditVerificationError: there is no log.
        OSError: a file cannot be read.
    """
    sealed = _numbered(path.parent, path.stem, path.suffix)
    for _ in range(_TRIES):
        active, before = _open(path), sealed
        sealed = _numbered(path.parent, path.stem, path.suffix)
        # No file was sealed in between, so this is the one that follows those.
        if active is not None and sealed == before:
            return Snapshot(_digests_until(path, sealed), sealed, active)
        if active is not None:
            active.close()
        time.sleep(_SETTLE_SECONDS)
    snapshot = Snapshot(_digests_until(path, sealed), sealed, _open(path))
    if not snapshot.digests and not snapshot.sealed and snapshot.active is None:
        raise AuditVerificationError(f"{path}: no log; no agent ever wrote there, or it was removed")
    return snapshot


def _digests_until(path: Path, sealed: tuple[Path, ...]) -> tuple[tuple[str, bytes], ...]:
    """Return the digests without those of files that were sealed after these."""
    digests = [
        (file.name, _read_small(file)) for file in _numbered(path.parent / "digests", path.stem, ".json")
    ]
    names = {file.name for file in sealed}
    end = len(digests)
    for number in reversed(range(len(digests))):
        files = _files_in(digests[number][1])
        if files and not files.isdisjoint(names):
            break
        if files and all(path.with_name(name).exists() for name in files):
            end = number
    return tuple(digests[:end])


def read_head(path: Path) -> tuple[Head, list[Problem]]:
    """Return what the head file says, and what is wrong with it."""
    try:
        wire = json.loads(_read_small(path))
        record, digest, digests = wire["sequence"], wire["hash"], wire["digests"]
        if isinstance(record, int) and isinstance(digests, int) and isinstance(digest, str) and record >= 0:
            return Head(record, digest, digests), []
    except FileNotFoundError:
        return Head(0, "", 0), [Problem(path.name, None, "is missing")]
    except (ValueError, KeyError, TypeError):
        pass
    return Head(0, "", 0), [Problem(path.name, None, "is damaged")]


def load_key(path: Path, given: bytes | None) -> tuple[PublicKey, list[Problem]]:
    """Return the key to check with: the one given, or the one beside the digests.

    Raises:
        AuditVerificationError: there is none.
    """
    beside = _read_small(path) if path.is_file() else None
    pem = beside if given is None else given
    if pem is None:
        raise AuditVerificationError(f"{path} is missing; give a copy of it with --public-key")
    try:
        key = PublicKey.load(pem)
    except PublicKeyError as error:
        raise AuditVerificationError(f"{path if given is None else 'the key given'} {error}") from None
    if beside is not None and given is not None and beside.strip() != given.strip():
        return key, [Problem(path.name, None, "is not the key that was given: it was exchanged")]
    return key, []


def _files_in(digest: bytes) -> set[str]:
    """Return the files that a digest names, be it a good one or not."""
    try:
        return {str(file["name"]).rpartition("/")[2] for file in json.loads(digest)["logFiles"]}
    except (ValueError, KeyError, TypeError):
        return set()


def _numbered(directory: Path, name: str, suffix: str) -> tuple[Path, ...]:
    if not directory.is_dir():
        return ()
    found = [
        path
        for path in directory.iterdir()
        if path.name.startswith(f"{name}-") and path.suffix == suffix and number_in(path.name)
    ]
    return tuple(sorted(found, key=lambda path: (number_in(path.name), path.name)))


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_SMALL_BYTES)
