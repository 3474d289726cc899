"""Owns what an agent finds of its log when it starts, and whether it may go on with that.

What a crash leaves: lines are acknowledged only after fdatasync, so a last line without its newline was never
acknowledged and is cut. A digest is written before the file that it names gets that name, so the file may
still have its old one. Anything else that does not follow the chain is refused.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.audit import digest as digests
from agent.audit import layout
from agent.audit.active import FLAGS, ActiveFile
from agent.audit.chain import GENESIS, MAX_LINE_BYTES, BrokenChainError, Link, follow
from agent.audit.digest import DigestError, SignedDigest
from agent.audit.errors import AuditUnavailableError
from agent.audit.head import Head, read_head
from agent.crypto.digestkey import PublicKey
from agent.durable import create_file, sync_directory

_NEW_CHAIN: Final = "Restore the whole log, or move all of it away to begin a new one."
_VERIFY: Final = "Run `kms-agent audit verify`."
_MAX_PEM_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """A log as it was left, ready to be gone on with."""

    active: ActiveFile
    start: Link
    end: Link
    newest: SignedDigest | None


def take_up(path: Path, key: PublicKey) -> Found:
    """Open or create a log, cut what a crash left unfinished, and find the end of the chain.

    Args:
        path: the log; the caller has locked it.
        key: what its digests are signed with.

    Raises:
        AuditUnavailableError: it is damaged, or a part of it is missing.
        OSError: the disk fails.
    """
    _publish(layout.public_key_path(path), key)
    head = read_head(layout.head_path(path))
    newest = _newest_digest(path, key)
    _require_digests(path, head, newest)
    if newest is not None:
        _complete_seal(path, newest)
    start = GENESIS if newest is None else newest.end
    fd = os.open(path, FLAGS | os.O_CREAT, 0o600)
    try:
        active, end = _walk(path, fd, start, head)
    except BaseException:
        os.close(fd)
        raise
    sync_directory(path.parent)
    return Found(active, start, end, newest)


def _publish(path: Path, key: PublicKey) -> None:
    """Lay the public key beside the digests, once."""
    with contextlib.suppress(FileExistsError):
        create_file(path, key.pem)
    with path.open("rb") as file:
        if file.read(_MAX_PEM_BYTES) != key.pem:
            raise AuditUnavailableError(
                f"{path} is not the key that this agent signs with: it was exchanged, or the log is another "
                f"agent's. {_NEW_CHAIN}"
            )


def _newest_digest(path: Path, key: PublicKey) -> SignedDigest | None:
    paths = layout.digest_paths(path)
    if not paths:
        return None
    with paths[-1].open("rb") as file:
        content = file.read(digests.MAX_DIGEST_BYTES)
    try:
        return digests.read(paths[-1].name, content, key)
    except DigestError as error:
        raise AuditUnavailableError(f"{paths[-1].parent}: {error}. {_VERIFY} {_NEW_CHAIN}") from error


def _require_digests(path: Path, head: Head | None, newest: SignedDigest | None) -> None:
    """Check that the newest digest is at least the one that the head knows."""
    number = 0 if newest is None else newest.digest.digest_number
    if head is not None and head.digests > number:
        raise AuditUnavailableError(
            f"{layout.digest_directory(path)} has no digest {head.digests}, which "
            f"{layout.head_path(path).name} names: digests were removed. {_VERIFY} {_NEW_CHAIN}"
        )
    # The first digest is written before the first head.
    if head is None and (number > 1 or (path.exists() and path.stat().st_size > 0)):
        raise AuditUnavailableError(f"{path} has no {layout.head_path(path).name} beside it. {_NEW_CHAIN}")


def _complete_seal(path: Path, newest: SignedDigest) -> None:
    """Give the file that the newest digest seals its name, if a crash came before that."""
    for file in newest.digest.log_files:
        sealed = path.with_name(file.name)
        if not sealed.exists() and path.exists() and path.stat().st_size == file.size_bytes:
            with path.open("rb") as content:
                same = hashlib.file_digest(content, "sha256").hexdigest() == file.hash_value
            if same:
                path.rename(sealed)


def _walk(path: Path, fd: int, start: Link, head: Head | None) -> tuple[ActiveFile, Link]:
    """Follow the chain to the last whole line, which must not be before the one that the head names."""
    link, size_bytes, content_hash = start, 0, hashlib.sha256()
    known = start if head is None else head.link
    met = known.sequence < start.sequence or known == start
    with contextlib.closing(os.fdopen(os.dup(fd), "rb")) as file:
        while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
            try:
                link = follow(link, line)
            except BrokenChainError:
                raise AuditUnavailableError(
                    f"{path} was changed at record {link.sequence + 1}. {_VERIFY} {_NEW_CHAIN}"
                ) from None
            met = met or link == known
            size_bytes += len(line)
            content_hash.update(line)
    if len(line) == MAX_LINE_BYTES:
        raise AuditUnavailableError(f"{path} does not end in an audit record. {_VERIFY}")
    if not met:
        raise AuditUnavailableError(
            f"{path} does not contain record {known.sequence} that {layout.head_path(path).name} names: "
            f"records were removed. {_VERIFY} {_NEW_CHAIN}"
        )
    if os.fstat(fd).st_size != size_bytes:
        os.ftruncate(fd, size_bytes)
    os.fsync(fd)
    return ActiveFile(path, fd, size_bytes, content_hash), link
