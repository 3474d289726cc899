"""A store that refuses one system call: the error is passed on, and the file stays whole."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmsfs import backing
from kmsfs.backing import ShortWriteError
from kmsfs.errors import CorruptFileError
from offline import HEADER_BYTES, OfflineVolume, opened
from sequences import CHUNK, SEQUENCES

PARTS = (0, 1, 512, 600, 4136, 4700, 9000)
"""How many bytes of a write the store takes before it refuses."""


class Refusal:
    """Refuses the call number `number` from when it is armed, after a part of it, and no other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = -1
        self.part = 0
        self.lost: set[int] = set()
        self.happened = False
        self._write, self._truncate = backing.pwrite_all, backing.truncate
        monkeypatch.setattr(backing, "pwrite_all", self.pwrite_all)
        monkeypatch.setattr(backing, "truncate", self.truncate)

    def arm(self, number: int, part: int) -> None:
        """Refuse the call that comes after `number` others."""
        self.number, self.part, self.happened, self.lost = number, part, False, set()

    def pwrite_all(self, fd: int, buffers: Sequence[memoryview | bytes], offset: int) -> None:
        """Write, or a part only."""
        self.number -= 1
        whole = b"".join(buffers)
        if self.number != -1:
            self._write(fd, buffers, offset)
            return
        # A header is one sector of the device: no store takes a part of it.
        taken = 0 if self.part >= len(whole) or offset + self.part < HEADER_BYTES else self.part
        part = whole[:taken]
        if part:
            self._write(fd, [part], offset)
        self.happened = True
        # The one record of which a part was written; it may have been another one's before.
        torn, rest = divmod(max(offset + len(part) - HEADER_BYTES, 0), CHUNK + 40)
        self.lost = {torn} if rest else set()
        failure = ShortWriteError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        failure.written = len(part)
        raise failure

    def truncate(self, fd: int, size: int) -> None:
        """Set a length, or do not make it larger."""
        self.number -= 1
        if self.number == -1 and size > os.fstat(fd).st_size:
            self.happened = True
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self._truncate(fd, size)


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """A store that refuses when it is told to."""
    return Refusal(monkeypatch)


def contents(volume: OfflineVolume) -> tuple[bytes, set[int]]:
    """Open the file in a mount of its own; return what is read, and the chunks that cannot be."""
    read, lost = bytearray(), set()
    with volume.core() as core, opened(core, b"file", os.O_RDONLY) as file:
        for offset in range(0, file.size, CHUNK):
            try:
                read += file.read(offset, CHUNK)
            except CorruptFileError:
                lost.add(offset // CHUNK)
                read += bytes(min(CHUNK, file.size - offset))
    return bytes(read), lost


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", SEQUENCES)
def test_a_refused_call_leaves_the_file_whole(tmp_path: Path, refusal: Refusal, name: str, part: int) -> None:
    """Whichever call is refused, a clean mount reads old bytes, or new ones where they were to be.

    Only a chunk that was written to disk in part can be lost, and only one that the operation overwrote.
    """
    synced, failing = SEQUENCES[name]
    for number in range(6):
        directory = tmp_path / str(number)
        directory.mkdir()
        volume = OfflineVolume(directory)
        model = bytearray()
        with volume.core() as core, opened(core, b"file", os.O_CREAT | os.O_RDWR) as file:
            for operate in synced:
                operate(file, model)
            before, after = bytes(model), bytearray(model)
            refusal.arm(number, part)
            try:
                for operate in failing:
                    before = bytes(after)
                    operate(file, after)
            except OSError as error:
                assert error.errno in {errno.ENOSPC, errno.EFBIG}  # noqa: PT017 - not raised where there are fewer calls
                failing[failing.index(operate)](NoFile(), after)  # type: ignore[arg-type]  # the model's part only
            happened, torn = refusal.happened, refusal.lost
            refusal.arm(-1, 0)
        content, lost = contents(volume)
        assert lost <= torn
        if not happened:
            assert content == after
            continue
        assert min(len(before), len(after)) <= len(content) <= max(len(before), len(after))
        for at, byte in enumerate(content):
            old = before[at] if at < len(before) else 0
            new = after[at] if at < len(after) else 0
            assert at // CHUNK in lost or byte in (old, new), f"byte {at} at call {number}"


class NoFile:
    """Takes what is done to a file and does nothing."""

    def write(self, _offset: int, _content: bytes) -> None:
        """Nothing."""

    def truncate(self, _size: int) -> None:
        """Nothing."""
