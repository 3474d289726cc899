"""Owns making a ChunkFile of a backing file: keys drawn for a new one, the header of an existing one opened.

Knows neither names nor who has the file open, and does not judge its length.
"""

import os

from kmsfs import header
from kmsfs.chunkfile import ChunkFile
from kmsfs.errors import CorruptFileError, CorruptHeaderError
from kmsfs.header import FileKeys, NewFile, SealedBlock
from kmsfs.keyring import Keyring
from kmsfs.scratch import Scratch
from kmsfs.volume import VolumeDescription


class Loader:
    """Makes the ChunkFiles of one volume; all of them share its buffers.

    Args:
        description: of the volume, verified.
        keyring: what data keys are wrapped with.
    """

    def __init__(self, description: VolumeDescription, keyring: Keyring) -> None:
        self._volume_id = description.volume_id
        self._chunk_shifts: tuple[int, ...] = ()
        self._keyring = keyring
        self._scratch = Scratch()
        self.adopt(description)

    def adopt(self, description: VolumeDescription) -> None:
        """Take up what a description says now: policies come in addition while it is in use."""
        self._chunk_shifts = tuple(policy.chunk_shift for policy in description.policies)

    def create(self, fd: int, inode: int, policy: int, binding: bytes | None = None) -> ChunkFile:
        """Do as `new_file` and `start` in turn."""
        return self.start(fd, inode, self.new_file(policy), binding)

    def new_file(self, policy: int) -> NewFile:
        """Return what the keys of a new file will be drawn from.

        Raises:
            KeyUnavailableError: the policy (an index) has no key for new files.
            WaitNeededError: the KMS has to be asked first.
        """
        key = self._keyring.new_key(policy)
        return NewFile(self._volume_id, self._chunk_shifts[policy], key)

    def start(self, fd: int, inode: int, new: NewFile, binding: bytes | None = None) -> ChunkFile:
        """Return the empty file that a backing file is to become, tied to the place of `binding`.

        Its keys are drawn when `ChunkFile.prepare` is called, at the latest with its first chunk; its header
        is written with that.
        """
        return ChunkFile(fd, inode, new, SealedBlock(0, binding=binding), self._scratch, on_disk=False)

    def load(self, fd: int, inode: int) -> ChunkFile:
        """Return the file that a backing file is by its header, whatever its length.

        Raises:
            CorruptFileError: its header is not that of a file of this volume.
            KeyUnavailableError: its key cannot be had.
            WaitNeededError: the KMS has to be asked first.
        """
        return self.open(fd, inode, os.pread(fd, header.HEADER_PEEK_SIZE, 0))

    def open(self, fd: int, inode: int, raw: bytes) -> ChunkFile:
        """Do as `load` with the beginning of the file in hand."""
        try:
            keys = self._unlock(raw)
            session = header.read_session(keys, raw)
            block = header.unseal(keys, raw, session)
        except CorruptHeaderError as error:
            raise CorruptFileError(inode, None, f"header: {error}") from error
        return ChunkFile(fd, inode, keys, block, self._scratch, session, on_disk=True)

    def _unlock(self, raw: bytes) -> FileKeys:
        clear = header.parse(raw)
        if clear.chunk_shift not in self._chunk_shifts:
            raise CorruptHeaderError(f"chunk_shift {clear.chunk_shift} is of no policy of the volume")
        return header.unlock(clear, self._volume_id, self._keyring.get(clear.reference, clear.mode))
