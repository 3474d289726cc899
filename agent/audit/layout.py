"""Owns where the files of an audit log lie, and their names. Opens nothing.

`audit.jsonl` is the file that is written now. Beside it: `audit.head`, how far the log has got;
`audit.usage`, the last use of each key; sealed files, `audit-NNNNNNNN-YYYYMMDDTHHMMSSZ.jsonl`; and the
directory `digests` with a digest of the same stem for each of them and for each hour without any, and with
the public key. The number counts digests from 1, so that names sort as the log was written whatever the clock
did.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

_DIGITS: Final = 8


def head_path(log_path: Path) -> Path:
    """Return where the head of a log lies."""
    return log_path.with_suffix(".head")


def usage_path(log_path: Path) -> Path:
    """Return where the checkpoint of the keys' last uses lies."""
    return log_path.with_suffix(".usage")


def digest_directory(log_path: Path) -> Path:
    """Return the directory of a log's digests."""
    return log_path.parent / "digests"


def public_key_path(log_path: Path) -> Path:
    """Return where the public key lies that a log's digests are signed with."""
    return digest_directory(log_path) / "public-key.pem"


def stem(log_path: Path, number: int, end: str) -> str:
    """Return what the names of a digest and of the file that it seals begin with.

    Args:
        log_path: the log.
        number: the digest's.
        end: when its period ends, as `timestamp` writes it.
    """
    return f"{log_path.stem}-{number:0{_DIGITS}}-{re.sub('[-:]', '', end)}"


def sealed_path(log_path: Path, digest_stem: str) -> Path:
    """Return where the log file lies that a digest seals."""
    return log_path.with_name(digest_stem + log_path.suffix)


def digest_path(log_path: Path, digest_stem: str) -> Path:
    """Return where a digest lies."""
    return digest_directory(log_path) / f"{digest_stem}.json"


def sealed_paths(log_path: Path) -> list[Path]:
    """Return the sealed files that are there, in the order in which they were written."""
    return _numbered(log_path.parent, log_path.stem, log_path.suffix)


def digest_paths(log_path: Path) -> list[Path]:
    """Return the digests that are there, in order."""
    return _numbered(digest_directory(log_path), log_path.stem, ".json")


def log_paths(log_path: Path) -> list[Path]:
    """Return the files that hold records, in order; the one being written is the last."""
    return [*sealed_paths(log_path), log_path]


def timestamp(seconds: float) -> str:
    """Return a time as records and digests write it: UTC, whole seconds."""
    return _timestamp(int(seconds))


@lru_cache(maxsize=8)
def _timestamp(seconds: int) -> str:
    # All records of one second share it; writing it anew takes longer than encoding the record.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _numbered(directory: Path, name: str, suffix: str) -> list[Path]:
    pattern = re.compile(
        rf"{re.escape(name)}-([0-9]{{{_DIGITS},}})-[0-9]{{8}}T[0-9]{{6}}Z{re.escape(suffix)}"
    )
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match is not None:
            found.append((int(match[1]), path))
    return [path for _number, path in sorted(found)]
