"""Owns the log on disk: chained lines in the active file, sealed files, digests and the head.

Synchronous; the caller keeps it off the event loop and enters one call at a time. Knows nothing of records'
contents.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from agent.audit import digest as digests
from agent.audit import layout
from agent.audit.chain import Link, extend
from agent.audit.digest import LogFile, SignedDigest
from agent.audit.errors import AuditUnavailableError
from agent.audit.head import Head, write_head
from agent.audit.takeup import Found, take_up
from agent.crypto.digestkey import DigestKey
from agent.durable import create_file

HEAD_INTERVAL: Final = 1024  # records between two writes of the head file
SEAL_BYTES: Final = 64 * 1024 * 1024  # a file of this size is sealed before its hour is over
HOUR_SECONDS: Final = 3600


class Journal:
    """An open log, locked against other agents.

    Args:
        path: the active file.
        lock: a descriptor that holds the lock; the journal owns it.
        key: what digests are signed with.
        account_id: whose log this is.
        found: what was there.
    """

    __slots__ = (
        "_account_id",
        "_active",
        "_due",
        "_end",
        "_head",
        "_key",
        "_lock",
        "_newest",
        "_path",
        "_start",
    )

    def __init__(self, path: Path, lock: int, key: DigestKey, account_id: str, found: Found) -> None:
        self._path = path
        self._lock = lock
        self._key = key
        self._account_id = account_id
        self._active = found.active
        self._start = found.start
        self._end = found.end
        self._newest = found.newest
        self._head: Head | None = None
        self._due = 0

    @classmethod
    def open(cls, path: Path, *, key: DigestKey, account_id: str, now: float) -> Self:
        """Open or create a log and take up its chain; a new one begins with a digest of nothing.

        Raises:
            AuditUnavailableError: another process has it, it is damaged, or a part of it is missing.
        """
        lock = -1
        try:
            for directory in (path.parent, layout.digest_directory(path)):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(layout.digest_directory(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(path, lock)
            found = take_up(path, key.public_key)
            journal = cls(path, lock, key, account_id, found)
            try:
                journal._begin(now)
            except BaseException:
                found.active.close()
                raise
        except OSError as error:
            if lock >= 0:
                os.close(lock)
            raise AuditUnavailableError(f"{path} cannot be opened: {error.strerror}.") from error
        except AuditUnavailableError:
            os.close(lock)
            raise
        return journal

    def _begin(self, now: float) -> None:
        if self._newest is None:
            self._write_digest(layout.timestamp(now), end=self._start, log_files=())
        self._write_head()
        ended = self._newest.digest.digest_end_time if self._newest else ""
        # The clock may have been set back since; then the next full hour is as good as any.
        hour = layout.timestamp(_full_hour(now))
        self._due = _full_hour(now) + HOUR_SECONDS if ended >= hour else _full_hour(now)

    @property
    def end(self) -> Link:
        """Where the chain ends."""
        return self._end

    def write(self, records: Sequence[bytes]) -> None:
        """Append records, each a JSON object on one line; they are durable when this returns.

        Raises:
            AuditUnavailableError: they are not, and none of them is in the log unless the disk itself failed.
        """
        link, lines = self._end, list[bytes]()
        for record in records:
            line, link = extend(link, record)
            lines.append(line)
        self._active.append(b"".join(lines))
        self._end = link

    def make_ready(self) -> None:
        """See that the next records can be written: room on the disk is taken, the head kept up.

        Raises:
            AuditUnavailableError: they might not be.
        """
        self._active.require_untouched()
        self._active.reserve()
        if self._head is None or self._end.sequence - self._head.link.sequence >= HEAD_INTERVAL:
            self._write_head()

    def is_due(self, now: float) -> bool:
        """Tell whether there should be a digest: at each full hour, and when the active file is full."""
        return not self._due - HOUR_SECONDS <= now < self._due or self._active.size_bytes >= SEAL_BYTES

    def seal(self, now: float) -> None:
        """Write the digest of what was recorded since the last, and begin a new file if anything was.

        Hours that went by without an agent are one digest's period: nothing was recorded in them.

        Raises:
            AuditUnavailableError: the disk did not take it; the log goes on as it was.
        """
        self._active.require_untouched()
        time = _full_hour(now) if now >= self._due else int(now)
        previous = self._newest.digest.digest_end_time if self._newest else ""
        end_time = max(layout.timestamp(time), previous)
        number = self._newest.digest.digest_number + 1 if self._newest else 1
        sealed = layout.sealed_path(self._path, layout.stem(self._path, number, end_time))
        files = (self._as_log_file(sealed.name),) if self._active.size_bytes else ()
        try:
            self._write_digest(end_time, end=self._end, log_files=files)
        except OSError as error:
            raise AuditUnavailableError(f"Digest {number} cannot be written: {error.strerror}.") from error
        self._due = _full_hour(now) + HOUR_SECONDS
        if files:
            self._active = self._active.seal(sealed)
        self._start = self._end
        self._write_head()

    def close(self) -> None:
        """Write the head file and close the log.

        Raises:
            AuditUnavailableError: that failed; the log is closed all the same.
        """
        try:
            self._active.require_untouched()
            self._active.give_back()
            if self._head is None or self._head.link != self._end:
                self._write_head()
        except OSError as error:
            raise AuditUnavailableError(f"{self._path} cannot be closed: {error.strerror}.") from error
        finally:
            self._active.close()
            os.close(self._lock)

    def _as_log_file(self, name: str) -> LogFile:
        return LogFile(
            name=name,
            size_bytes=self._active.size_bytes,
            first_sequence=self._start.sequence + 1,
            last_sequence=self._end.sequence,
            hash_value=self._active.content_hash,
        )

    def _write_digest(self, end_time: str, *, end: Link, log_files: tuple[LogFile, ...]) -> None:
        number = self._newest.digest.digest_number + 1 if self._newest else 1
        stem = layout.stem(self._path, number, end_time)
        written: SignedDigest = digests.sign(
            self._newest,
            self._key,
            account_id=self._account_id,
            stem=stem,
            end_time=end_time,
            end=end,
            log_files=log_files,
        )
        create_file(layout.digest_path(self._path, stem), written.content)
        self._newest = written

    def _write_head(self) -> None:
        path = layout.head_path(self._path)
        head = Head(self._end, self._newest.digest.digest_number if self._newest else 0)
        try:
            write_head(path, head)
        except OSError as error:
            raise AuditUnavailableError(f"{path} cannot be written: {error.strerror}.") from error
        self._head = head


def _full_hour(seconds: float) -> int:
    return int(seconds) // HOUR_SECONDS * HOUR_SECONDS


def _lock(path: Path, fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AuditUnavailableError(f"{path} is in use by another kms-agent; stop it first.") from error
