"""Owns the file that the log is being written to: appending durably, and noticing what others do to it.

Synchronous, one call at a time. Knows nothing of chains or digests.
"""

import errno
import hashlib
import os
from pathlib import Path
from typing import Final, Self

from agent.audit.errors import AuditUnavailableError
from agent.audit.reserve import Reserve
from agent.durable import sync_directory

FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC

_NEW_CHAIN: Final = "Put it back, or move the whole log away and restart the agent to begin a new one."
_CHECK_DISK: Final = "Check the disk, then restart the agent."
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class ActiveFile:
    """An open log file.

    Args:
        path: where it is.
        fd: its descriptor; this owns it.
        size_bytes: how much of it is ours; no more is in it.
        content_hash: SHA-256 of that much.
    """

    __slots__ = ("_broken", "_fd", "_hash", "_identity", "_path", "_reserve", "size_bytes")

    def __init__(self, path: Path, fd: int, size_bytes: int, content_hash: "hashlib._Hash") -> None:
        status = os.fstat(fd)
        self._path = path
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._hash = content_hash
        self._reserve = Reserve(fd)
        self._broken: str | None = None
        self.size_bytes = size_bytes

    @classmethod
    def create(cls, path: Path) -> Self:
        """Begin a file that must not exist yet.

        Raises:
            OSError: it does, or the disk did not take it.
        """
        return cls(path, os.open(path, FLAGS | os.O_CREAT | os.O_EXCL, 0o600), 0, hashlib.sha256())

    @property
    def content_hash(self) -> str:
        """SHA-256 of the file as it was written, 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def append(self, content: bytes) -> None:
        """Append whole lines; they are durable when this returns.

        Raises:
            AuditUnavailableError: they are not, and nothing of them is in the file unless the disk failed.
        """
        self.require_untouched()
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._cut_back()
            raise self._unwritable(error) from error
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # After a failed fdatasync the kernel may call the lost pages clean: a second try proves nothing.
            self._broken = f"{self._path} could not be made durable: {error.strerror}. {_CHECK_DISK}"
            raise AuditUnavailableError(self._broken) from error
        self._hash.update(content)
        self.size_bytes += len(content)

    def reserve(self) -> None:
        """See that what comes next will find room on the disk.

        Raises:
            AuditUnavailableError: it might not.
        """
        try:
            self._reserve.extend(self.size_bytes)
        except OSError as error:
            raise self._unwritable(error) from error

    def require_untouched(self) -> None:
        """Refuse to go on with a file that is no longer the one at its path, or has another end.

        Raises:
            AuditUnavailableError: it is not, or the disk failed before.
        """
        if self._broken is not None:
            raise AuditUnavailableError(self._broken)
        try:
            status = self._path.lstat()
        except OSError as error:
            raise AuditUnavailableError(f"{self._path} is gone: {error.strerror}. {_NEW_CHAIN}") from error
        if (status.st_dev, status.st_ino) != self._identity:
            raise AuditUnavailableError(f"{self._path} was replaced by another file. {_NEW_CHAIN}")
        if status.st_size != self.size_bytes:
            raise AuditUnavailableError(
                f"{self._path} is {status.st_size} bytes long instead of {self.size_bytes}: something else "
                "wrote to it or cut it. Find out what, then restart the agent. Run `kms-agent audit verify`."
            )

    def seal(self, sealed_path: Path) -> "ActiveFile":
        """Give the file its final name, and return the one that takes its place.

        Raises:
            AuditUnavailableError: the disk did not take it; a start of the agent completes it.
        """
        try:
            self.give_back()
            self._path.rename(sealed_path)
            successor = ActiveFile.create(self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            self._broken = f"{self._path} cannot be sealed: {error.strerror}. {_CHECK_DISK}"
            raise AuditUnavailableError(self._broken) from error
        self.close()
        return successor

    def give_back(self) -> None:
        """Give back the room that was taken ahead.

        Raises:
            OSError: the disk did not take it.
        """
        os.ftruncate(self._fd, self.size_bytes)
        self._reserve.forget()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _unwritable(self, error: OSError) -> AuditUnavailableError:
        hint = " Free some space." if error.errno in _FULL else ""
        return AuditUnavailableError(f"{self._path} cannot be written: {error.strerror}.{hint}")

    def _cut_back(self) -> None:
        """Remove the part of a failed batch that was written, so that the next one can follow."""
        try:
            if os.fstat(self._fd).st_size > self.size_bytes:
                self.give_back()
        except OSError as error:
            self._broken = f"{self._path} cannot be repaired: {error.strerror}. {_CHECK_DISK}"
