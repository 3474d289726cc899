"""Files after a crash: every state that a sequence of system calls can have left is repaired by recovery."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kmsfs import backing
from kmsfs.errors import CorruptFileError
from offline import OfflineVolume, opened, read_all
from sequences import CHUNK, SEQUENCES

SECTOR = 512


@dataclass(frozen=True)
class Call:
    """One system call on the backing file: bytes written at an offset, or a new length."""

    offset: int
    written: bytes | None

    def replay(self, raw: bytearray, count: int | None = None) -> None:
        """Do it, or the first `count` bytes of it, to a copy."""
        if self.written is None:
            raw[:] = raw[: self.offset].ljust(self.offset, b"\0")
            return
        part = self.written[:count]
        raw.extend(bytes(max(self.offset - len(raw), 0)))
        raw[self.offset : self.offset + len(part)] = part


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What the core does to backing files, in order."""
    made: list[Call] = []
    pwrite_all, cut = backing.pwrite_all, backing.truncate

    def record_write(fd: int, buffers: Sequence[memoryview | bytes], offset: int) -> None:
        made.append(Call(offset, b"".join(buffers)))
        pwrite_all(fd, buffers, offset)

    def record_truncate(fd: int, size: int) -> None:
        made.append(Call(size, None))
        cut(fd, size)

    monkeypatch.setattr(backing, "pwrite_all", record_write)
    monkeypatch.setattr(backing, "truncate", record_truncate)
    return made


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """An empty volume."""
    return OfflineVolume(tmp_path)


@dataclass(frozen=True)
class History:
    """A file before an operation and after it, in plain, and what lay on the store in between."""

    before: bytes
    after: bytes
    raw: bytes
    calls: list[Call]


def run(volume: OfflineVolume, name: str, calls: list[Call]) -> tuple[bytes, list[History]]:
    """Run a sequence; return where the file lies and the history of each operation after the sync."""
    synced, crashing = SEQUENCES[name]
    histories = []
    model = bytearray()
    with volume.core() as core, opened(core, b"file", os.O_CREAT | os.O_RDWR) as file:
        path = volume.stored_path(core, b"file")
        for operate in synced:
            operate(file, model)
        for operate in crashing:
            before = bytes(model)
            raw = Path(os.fsdecode(path)).read_bytes()
            calls.clear()
            operate(file, model)
            assert read_all(file) == model
            histories.append(History(before, bytes(model), raw, calls.copy()))
    return path, histories


def crashed(volume: OfflineVolume, path: bytes, raw: bytes) -> tuple[bytes, list[int]]:
    """Recover a file as a crash left it; return what can be read and the chunks that cannot."""
    Path(os.fsdecode(path)).write_bytes(raw)
    content, lost = bytearray(), []
    found = volume.recover()
    assert (found.checked, found.beyond_repair) == (1, 0)
    assert volume.recover() == replace(found, repaired=0)
    with volume.core() as core, opened(core, b"file", os.O_RDWR) as file:
        for offset in range(0, file.size, CHUNK):
            try:
                content += file.read(offset, CHUNK)
            except CorruptFileError:
                lost.append(offset // CHUNK)
                content += bytes(min(CHUNK, file.size - offset))
        assert len(content) == file.size
    return bytes(content), lost


def touched(history: History) -> range:
    """Return the plain bytes that the operation changes: from the first different one, to the last."""
    common = range(min(len(history.before), len(history.after)))
    different = [at for at in common if history.before[at] != history.after[at]]
    if len(history.before) != len(history.after):
        return range(different[0] if different else len(common), 1 << 62)
    return range(different[0], different[-1] + 1) if different else range(0)


def check(history: History, content: bytes, lost: list[int], torn: set[int]) -> None:
    """Require what a crash may leave: bytes outside of the operation, old or new ones in it, nothing else.

    Args:
        history: of the operation.
        content: what the file was read as afterwards.
        lost: chunks that could not be read.
        torn: chunks whose record the store wrote a part of; they alone may be lost.
    """
    assert set(lost) <= torn
    changed = touched(history)
    first_torn = min(torn) * CHUNK if torn else len(history.before)
    intact = min(changed.start, len(history.before), first_torn)
    assert content[:intact] == history.before[:intact]
    assert len(content) >= min(len(history.before), len(history.after), first_torn)
    assert len(content) <= max(len(history.before), len(history.after))
    for at, byte in enumerate(content):
        if at // CHUNK in lost:
            continue
        old = history.before[at] if at < len(history.before) else 0
        new = history.after[at] if at < len(history.after) else 0
        assert byte in ((old, new) if at in changed else (old,)), f"byte {at}"


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_crash_between_system_calls(volume: OfflineVolume, name: str, calls: list[Call]) -> None:
    """After any number of whole system calls, nothing is lost: the file is old, new, or in between."""
    path, histories = run(volume, name, calls)
    for history in histories:
        raw = bytearray(history.raw)
        for call in [None, *history.calls]:
            if call is not None:
                call.replay(raw)
            content, lost = crashed(volume, path, bytes(raw))
            check(history, content, lost, set())
        assert content == history.after


def cuts(call: Call) -> Iterator[int]:
    """Yield where a write may be torn: at sectors, around records, and at odd places, never within a header.

    A header is one sector of the device, and of one page: no store writes a part of it.
    """
    assert call.written is not None
    length = len(call.written)
    header = SECTOR if call.offset == 0 else 0
    records = range(header, length, CHUNK + 40)
    for place in records:
        yield from (place + by for by in (0, 1, 11, 24, 40, 41, 1000, 4095, 4096) if 0 < place + by < length)
    if length > header:
        yield length - 1


def torn_chunks(call: Call, count: int) -> set[int]:
    """Return the chunk whose record ends up as part new and part old, if any."""
    index, rest = divmod(max(call.offset + count - SECTOR, 0), CHUNK + 40)
    began = max(call.offset, SECTOR) - SECTOR
    return {index} if rest and index * (CHUNK + 40) + rest > began else set()


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_crash_within_a_system_call(volume: OfflineVolume, name: str, calls: list[Call]) -> None:
    """A write of which the store has a part costs the one chunk that it tore, and no more."""
    path, histories = run(volume, name, calls)
    for history in histories:
        raw = bytearray(history.raw)
        for call in history.calls:
            for count in cuts(call) if call.written is not None else ():
                torn = bytearray(raw)
                call.replay(torn, count)
                content, lost = crashed(volume, path, bytes(torn))
                check(history, content, lost, torn_chunks(call, count))
            call.replay(raw)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_header_before_its_data(volume: OfflineVolume, name: str, calls: list[Call]) -> None:
    """Where the store has only the headers of an operation, what was there and not cut away still is."""
    path, histories = run(volume, name, calls)
    for history in histories:
        raw = bytearray(history.raw)
        for call in history.calls:
            if call.written is not None and call.offset == 0:
                call.replay(raw, SECTOR)
        content, lost = crashed(volume, path, bytes(raw))
        assert not lost
        kept = min(len(history.before), len(history.after))
        assert content[:kept] == history.before[:kept]


@pytest.mark.parametrize("name", SEQUENCES)
def test_without_a_crash_it_is_an_error(volume: OfflineVolume, name: str, calls: list[Call]) -> None:
    """The same states in a volume that was unmounted cleanly: a length that does not fit is refused."""
    path, histories = run(volume, name, calls)
    for history in histories:
        raw = bytearray(history.raw)
        states = [bytes(raw)]
        for call in history.calls:
            call.replay(raw)
            states.append(bytes(raw))
        for index, state in enumerate(states):
            Path(os.fsdecode(path)).write_bytes(state)
            try:
                check(history, volume.read_file(b"file"), [], set())
            except CorruptFileError:
                assert 0 < index < len(history.calls) or not state


@pytest.mark.parametrize("raw", [b"", bytes(100), bytes(512), bytes(10_000)], ids=len)
def test_a_file_without_header_is_empty_after_a_crash_only(volume: OfflineVolume, raw: bytes) -> None:
    """Created and not synced, it is an empty file after a crash, which is reported; else it is refused."""
    path = volume.write_file(b"file", b"")
    Path(os.fsdecode(path)).write_bytes(raw)
    with pytest.raises(CorruptFileError):
        volume.read_file(b"file")
    assert volume.recover().repaired == 1
    assert volume.read_file(b"file") == b""


def test_noise_is_refused_after_a_crash_too(volume: OfflineVolume) -> None:
    """A crash excuses a wrong length, never a header that does not authenticate."""
    path = volume.write_file(b"file", b"content")
    raw = Path(os.fsdecode(path)).read_bytes()
    for changed in (raw[:511], b"\1" + raw[1:], raw[:400] + b"\0" + raw[401:], os.urandom(600)):
        Path(os.fsdecode(path)).write_bytes(changed)
        assert volume.recover().beyond_repair == 1
        assert Path(os.fsdecode(path)).read_bytes() == changed
        with pytest.raises(CorruptFileError):
            volume.read_file(b"file")


@pytest.mark.parametrize("torn", range(4))
def test_a_torn_chunk_costs_none_behind_it(volume: OfflineVolume, torn: int) -> None:
    """Overwritten in place while the file grew, header on disk and length not: only that chunk is lost."""
    content = os.urandom(5 * CHUNK)
    path = Path(os.fsdecode(volume.write_file(b"file", content)))
    length = path.stat().st_size
    with volume.core() as core, opened(core, b"file", os.O_RDWR) as file:
        file.write(len(content), b"appended")
    raw = bytearray(path.read_bytes()[:length])
    raw[SECTOR + torn * (CHUNK + 40) + 100] ^= 1
    kept, lost = crashed(volume, os.fsencode(path), bytes(raw))
    assert lost == [torn]
    assert kept == content[: torn * CHUNK] + bytes(CHUNK) + content[(torn + 1) * CHUNK :]


@pytest.mark.parametrize("after", [101, 600, 4096, 4097, 9000])
@pytest.mark.parametrize("before", [1, 100, 4000])
def test_a_record_that_was_to_grow(volume: OfflineVolume, before: int, after: int) -> None:
    """Header and length of an appending write are on disk, its data is not: what was synced is still read."""
    content = os.urandom(2 * CHUNK + before)
    path = Path(os.fsdecode(volume.write_file(b"file", content)))
    raw = path.read_bytes()
    with volume.core() as core, opened(core, b"file", os.O_RDWR) as file:
        file.write(len(content), bytes(max(after - before, 1)))
    grown = path.read_bytes()
    kept, lost = crashed(volume, os.fsencode(path), (grown[:SECTOR] + raw[SECTOR:]).ljust(len(grown), b"\0"))
    assert (kept, lost) == (content, [])


def test_a_torn_last_chunk_is_not_cut_off(volume: OfflineVolume) -> None:
    """Where the length is right, a chunk that is damaged stays damaged: nothing is taken for its end."""
    content = os.urandom(2 * CHUNK + 100)
    path = volume.write_file(b"file", content)
    raw = bytearray(Path(os.fsdecode(path)).read_bytes())
    raw[-1] ^= 1
    Path(os.fsdecode(path)).write_bytes(raw)
    assert volume.recover().repaired == 0
    assert Path(os.fsdecode(path)).read_bytes() == raw
