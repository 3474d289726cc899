"""Owns the log file: appending chained lines durably, and taking up the chain after a restart or a crash.

Synchronous; the caller keeps it off the event loop and enters one call at a time. Knows nothing of records'
contents.

What a crash leaves: lines are acknowledged only after fdatasync, so a last line without its newline was never
acknowledged and is cut when the log is opened. Anything else that does not follow the chain is refused.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from agent.audit.chain import MAX_LINE_BYTES, BrokenChainError, digest_of, extend, follow
from agent.audit.errors import AuditUnavailableError
from agent.audit.head import START, Head, head_path, read_head, write_head
from agent.durable import sync_directory

HEAD_INTERVAL: Final = 1024  # records between two writes of the head file

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_CHAIN: Final = "Restore both files, or move both away to begin a new chain."
_VERIFY: Final = "Run `kms-agent audit verify`."
_CHECK_DISK: Final = "Check the disk, then restart the agent."


class Journal:
    """An open log file, locked against other agents.

    Args:
        path: the log.
        fd: its descriptor; the journal owns it.
        end: where its chain ends.
        head: what its head file says.
    """

    __slots__ = ("_broken", "_end", "_fd", "_head", "_identity", "_path")

    def __init__(self, path: Path, fd: int, end: Head, head: Head) -> None:
        status = os.fstat(fd)
        self._path = path
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._end = end
        self._head = head
        self._broken: str | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create a log, cut what a crash left unfinished, and find the end of the chain.

        Raises:
            AuditUnavailableError: another process has it, it is damaged, or it or its head file is missing.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise AuditUnavailableError(f"{path} cannot be opened: {error.strerror}.") from error
        try:
            return cls._take_up(path, fd)
        except OSError as error:
            os.close(fd)
            raise AuditUnavailableError(f"{path} cannot be taken up: {error.strerror}.") from error
        except AuditUnavailableError:
            os.close(fd)
            raise

    @classmethod
    def _take_up(cls, path: Path, fd: int) -> Self:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AuditUnavailableError(f"{path} is in use by another kms-agent; stop it first.") from error
        head = _settled_head(path, os.fstat(fd).st_size)
        _require_head_line(path, fd, head)
        end = _walk(path, fd, head)
        if os.fstat(fd).st_size != end.offset:
            os.ftruncate(fd, end.offset)
        os.fsync(fd)
        write_head(head_path(path), end)
        sync_directory(path.parent)
        return cls(path, fd, end, end)

    def write(self, records: Sequence[bytes]) -> None:
        """Append records, each a JSON object on one line; they are durable when this returns.

        Raises:
            AuditUnavailableError: they are not, and none of them is in the log unless the disk itself failed.
        """
        self._require_untouched()
        link, lines = self._end.link, list[bytes]()
        for record in records:
            line, link = extend(link, record)
            lines.append(line)
        content = b"".join(lines)
        self._append(content)
        self._end = Head(link, self._end.offset + len(content))
        if link.sequence - self._head.link.sequence >= HEAD_INTERVAL:
            self._write_head()

    def close(self) -> None:
        """Write the head file and close the log.

        Raises:
            AuditUnavailableError: the head file could not be written; the log is closed all the same.
        """
        try:
            if self._broken is None and self._head != self._end:
                self._require_untouched()
                self._write_head()
        finally:
            os.close(self._fd)

    def _require_untouched(self) -> None:
        """Refuse to go on with a log that is no longer the file at its path, or has another end."""
        if self._broken is not None:
            raise AuditUnavailableError(self._broken)
        try:
            status = self._path.lstat()
        except OSError as error:
            raise AuditUnavailableError(f"{self._path} is gone: {error.strerror}. {_NEW_CHAIN}") from error
        if (status.st_dev, status.st_ino) != self._identity:
            raise AuditUnavailableError(f"{self._path} was replaced by another file. {_NEW_CHAIN}")
        if status.st_size != self._end.offset:
            raise AuditUnavailableError(
                f"{self._path} is {status.st_size} bytes long instead of {self._end.offset}: something else "
                f"wrote to it or cut it. Find out what, then restart the agent. {_VERIFY}"
            )

    def _append(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._cut_back()
            hint = " Free some space." if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
            raise AuditUnavailableError(f"{self._path} cannot be written: {error.strerror}.{hint}") from error
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed fdatasync the kernel may call the lost pages clean: a second try proves nothing.
            self._broken = f"{self._path} could not be made durable: {error.strerror}. {_CHECK_DISK}"
            raise AuditUnavailableError(self._broken) from error

    def _cut_back(self) -> None:
        """Remove the part of a failed batch that was written, so that the next one can follow."""
        try:
            os.ftruncate(self._fd, self._end.offset)
        except OSError as error:
            self._broken = f"{self._path} cannot be repaired: {error.strerror}. {_CHECK_DISK}"

    def _write_head(self) -> None:
        try:
            write_head(head_path(self._path), self._end)
        except OSError as error:
            raise AuditUnavailableError(
                f"{head_path(self._path)} cannot be written: {error.strerror}."
            ) from error
        self._head = self._end


def _settled_head(path: Path, size_bytes: int) -> Head:
    """Return what the head file says, for a log of that size; a new log begins at the start."""
    head = read_head(head_path(path))
    if head is None:
        if size_bytes:
            raise AuditUnavailableError(f"{path} has no {head_path(path).name} beside it. {_NEW_CHAIN}")
        return START
    if size_bytes < head.offset:
        raise AuditUnavailableError(
            f"{path} is shorter than {head_path(path).name} says: records were removed. {_NEW_CHAIN}"
        )
    return head


def _require_head_line(path: Path, fd: int, head: Head) -> None:
    """Check that the record the head names ends where it says, and is whole."""
    if head == START:
        return
    before = os.pread(fd, min(head.offset, MAX_LINE_BYTES), max(head.offset - MAX_LINE_BYTES, 0))
    line = before[before.rfind(b"\n", 0, -1) + 1 :]
    try:
        whole = digest_of(line) == head.link.digest
    except BrokenChainError:
        whole = False
    if not whole:
        raise AuditUnavailableError(
            f"{path} does not contain the record that {head_path(path).name} names. {_VERIFY}"
        )


def _walk(path: Path, fd: int, head: Head) -> Head:
    """Follow the chain from the head to the last whole line."""
    link, offset = head.link, head.offset
    with contextlib.closing(os.fdopen(os.dup(fd), "rb")) as file:
        file.seek(offset)
        while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
            try:
                link = follow(link, line)
            except BrokenChainError:
                raise AuditUnavailableError(
                    f"{path} was changed at record {link.sequence + 1}. {_VERIFY} {_NEW_CHAIN}"
                ) from None
            offset += len(line)
    if len(line) == MAX_LINE_BYTES:
        raise AuditUnavailableError(f"{path} does not end in an audit record. {_VERIFY}")
    return Head(link, offset)
