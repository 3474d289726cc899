"""Owns the regular files that are open: one File per inode however many handles, opening, creating, repair.

Also keeps a bounded number of closed files ready, since programs open what they have just closed. Knows
neither names nor FUSE. Raises CorruptHeaderError, CorruptFileError, KeyUnavailableError, OSError.
"""

import errno
import logging
import os
import stat
from collections import OrderedDict
from contextlib import ExitStack
from typing import Final

from kmsfs import backing, header
from kmsfs.chunkfile import ChunkFile, Scratch
from kmsfs.errors import CorruptFileError, CorruptHeaderError
from kmsfs.file import File
from kmsfs.header import ClearHeader, FileKeys, SealedBlock
from kmsfs.openvolume import OpenVolume
from kmsfs.repair import authenticated_size

_LOG: Final = logging.getLogger(__name__)
_MAX_IDLE: Final = 64


class Files:
    """The open files of one mount.

    Args:
        volume: the volume they are on.
    """

    def __init__(self, volume: OpenVolume) -> None:
        self._volume = volume
        self._scratch = Scratch()
        self._open: dict[int, tuple[File, int]] = {}
        self._idle: OrderedDict[int, File] = OrderedDict()
        self._nameless: set[int] = set()

    def get(self, inode: int) -> File | None:
        """Return the file of an inode if it is open or kept ready."""
        entry = self._open.get(inode)
        return entry[0] if entry else self._idle.get(inode)

    def create(self, fd: int, inode: int) -> File:
        """Take over the descriptor of a backing file just created; counts as one open."""
        file = self._fresh(fd, inode)
        # What was just made has no capabilities.
        file.has_no_capability = True
        self._open[inode] = (file, 1)
        return file

    def acquire(self, inode: int) -> File | None:
        """Count one more open of a file that is open or kept ready; None if it has to be opened."""
        entry = self._open.get(inode)
        if entry is not None:
            file, count = entry
            self._open[inode] = (file, count + 1)
            return file
        file_or_none = self._idle.pop(inode, None)
        if file_or_none is not None:
            self._open[inode] = (file_or_none, 1)
        return file_or_none

    def open(self, fd: int, inode: int) -> File:
        """Take over the descriptor of an existing backing file, check its header; counts as one open.

        Raises:
            CorruptHeaderError, CorruptFileError: it is not a file of this volume, or its length is wrong.
            KeyUnavailableError: its bucket key cannot be had.
        """
        try:
            file = self._read(fd, inode)
        except BaseException:
            os.close(fd)
            raise
        self._open[inode] = (file, 1)
        return file

    def release(self, inode: int) -> None:
        """Count one open less; the last one settles the file and keeps it ready for a while.

        Raises:
            OSError: there is no room for its header; it stays ready until there is.
        """
        file, count = self._open[inode]
        if count > 1:
            self._open[inode] = (file, count - 1)
            return
        del self._open[inode]
        if inode in self._nameless:
            self._nameless.discard(inode)
            file.chunks.close()
            return
        self._idle[inode] = file
        if len(self._idle) > _MAX_IDLE:
            self._evict()
        file.settle()

    def drop(self, inode: int) -> None:
        """Let go of a file that has lost its last name, at once or when its last handle is closed."""
        file = self._idle.pop(inode, None)
        if file is not None:
            file.chunks.close()
        elif inode in self._open:
            self._nameless.add(inode)

    def close(self) -> None:
        """Settle and close everything, at unmount.

        Raises:
            OSError: the first one, after all files have been tried.
        """
        files = [*(file for file, _ in self._open.values()), *self._idle.values()]
        self._open.clear()
        self._idle.clear()
        with ExitStack() as stack:
            for file in files:
                stack.callback(file.close)

    def _evict(self) -> None:
        """Close the file that has been ready for longest, unless its header still has no room."""
        inode, file = self._idle.popitem(last=False)
        try:
            file.settle()
        except OSError:
            self._idle[inode] = file
            return
        file.chunks.close()

    def _fresh(self, fd: int, inode: int, *, on_disk: bool = False) -> File:
        volume = self._volume
        shift = volume.description.parameters.chunk_shift
        keys = header.create(volume.description.volume_id, shift, volume.keyring.current())
        return File(ChunkFile(fd, inode, keys, SealedBlock(0), self._scratch, on_disk=on_disk))

    def _read(self, fd: int, inode: int) -> File:
        volume = self._volume
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_ino != inode:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        raw = os.pread(fd, header.HEADER_PEEK_SIZE, 0)
        if not volume.was_clean and not any(raw):
            # Created, never synced, and the crash came before its header did.
            return self._empty(fd, inode)
        try:
            keys = self._unlock(header.parse(raw))
            session = header.read_session(keys, raw)
            block = header.unseal(keys, raw, session)
        except CorruptHeaderError as error:
            raise CorruptFileError(inode, None, f"header: {error}") from error
        chunks = ChunkFile(fd, inode, keys, block, self._scratch, session, on_disk=True)
        backing_size = status.st_size
        if backing_size != chunks.backing_size:
            if volume.was_clean:
                reason = "truncated" if backing_size < chunks.backing_size else "extended"
                raise CorruptFileError(inode, None, reason)
            self._repair(chunks, backing_size)
        return File(chunks)

    def _unlock(self, clear: ClearHeader) -> FileKeys:
        description = self._volume.description
        if clear.chunk_shift != description.parameters.chunk_shift:
            raise CorruptHeaderError(f"chunk_shift {clear.chunk_shift} is not the volume's")
        bucket_key = self._volume.keyring.get(clear.bucket_key_id)
        return header.unlock(clear, description.volume_id, bucket_key)

    def _empty(self, fd: int, inode: int) -> File:
        read_only = self._volume.read_only
        file = self._fresh(fd, inode, on_disk=read_only)
        if not read_only:
            backing.truncate(fd, 0)
            file.settle()
        self._volume.counters.repaired_files += 1
        _LOG.warning("inode %d: after an unclean unmount it had no header; it is empty", inode)
        return file

    def _repair(self, chunks: ChunkFile, backing_size: int) -> None:
        sealed = chunks.size
        size = authenticated_size(chunks, backing_size)
        chunks.repair(size, in_memory=self._volume.read_only)
        self._volume.counters.repaired_files += 1
        _LOG.warning(
            "inode %d: after an unclean unmount %d bytes were sealed and %d authenticate; kept %d",
            chunks.inode, sealed, size, size,
        )  # fmt: skip
