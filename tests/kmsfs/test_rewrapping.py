"""Data keys wrapped anew in the headers of files, on the core: what changes, what stays, what goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs import finish
from kmsfs.keycounts import standing_of
from kmsfs.keyring import PolicyKeys
from kmsfs.rewrapping import Tally, rewrap_files
from offline import ME, OfflineVolume, find, make, mkdir, opened, read, read_all, truncate, write

CHUNK = 4096
CONTENT = os.urandom(3 * CHUNK + 7)
SIZES = (0, 1, CHUNK, 3 * CHUNK + 7)


@pytest.fixture
def volume(tmp_path: Path) -> OfflineVolume:
    """A volume without files."""
    return OfflineVolume(tmp_path)


def rewrap(volume: OfflineVolume) -> tuple[Tally, list[str]]:
    """Go through all files with the second bucket key as that of new files; return why some were left."""
    tally = Tally()
    with volume.core(current=1) as core:
        return tally, [left.reason for left in finish(rewrap_files(core, tally))]


def key_of(volume: OfflineVolume, path: bytes) -> int:
    """Return which of the bucket keys the file's header names."""
    with open(path, "rb") as file:
        reference = standing_of(file.read(512)).reference
    return [key.id for key in volume.bucket_keys].index(reference)


def without_first_key(volume: OfflineVolume) -> None:
    """Lose the older bucket key."""
    volume.bucket_keys = (volume.bucket_keys[1], volume.bucket_keys[1])


def test_headers_change_and_nothing_else(volume: OfflineVolume) -> None:
    """Each header names the newer key; records, times, names and content are what they were."""
    with volume.core() as core:
        inner = mkdir(core, b"directory")
        for size in SIZES:
            write(core, b"%d" % size, CONTENT[:size], parent=inner) if size else make(core, b"0", inner)
        truncate(core, b"1", 5 * CHUNK, inner)
        core.tree.link(find(core, b"4096", inner), inner, b"second name")
        paths = [volume.stored_path(core, b"%d" % size, inner) for size in SIZES]
    for path in paths:
        os.utime(path, ns=(1, 2))
    raws = [Path(os.fsdecode(path)).read_bytes() for path in paths]
    before = [(raw, os.stat(path)) for raw, path in zip(raws, paths, strict=True)]
    tally, left = rewrap(volume)
    assert left == []
    assert (tally.total, tally.seen, tally.rewrapped, tally.current) == (4, 4, 4, 0)
    assert tally.is_complete
    for path, (raw, status) in zip(paths, before, strict=True):
        after = os.stat(path)
        assert (after.st_ino, after.st_mtime_ns) == (status.st_ino, 2)
        assert after.st_atime_ns == status.st_atime_ns
        assert key_of(volume, path) == 1
        now = Path(os.fsdecode(path)).read_bytes()
        assert now[512:] == raw[512:]
        assert now[16:48] == raw[16:48], "the file keeps its id"
    without_first_key(volume)
    with volume.core() as core:
        inner = find(core, b"directory")
        for size in SIZES[2:]:
            assert read(core, b"%d" % size, inner) == CONTENT[:size]
        assert read(core, b"1", inner) == CONTENT[:1] + bytes(5 * CHUNK - 1)
        assert read(core, b"second name", inner) == CONTENT[:CHUNK]
    tally, left = rewrap(volume)
    assert (tally.rewrapped, tally.current, left) == (0, 4, [])


def test_an_open_file_goes_on_under_its_new_header(volume: OfflineVolume) -> None:
    """What is written to a file that is open, or that is kept ready, does not bring the old header back."""
    for name in (b"open", b"read only", b"ready"):
        volume.write_file(name, CONTENT)
    tally = Tally()
    with volume.core(current=1) as core:
        with opened(core, b"ready", os.O_RDWR) as file:
            file.write(0, b"before")
        with opened(core, b"open", os.O_RDWR) as file, opened(core, b"read only", os.O_RDONLY):
            file.write(len(CONTENT), b"more")
            assert finish(rewrap_files(core, tally)) == []
            file.write(len(CONTENT) + 4, b" and more")
            assert read_all(file) == CONTENT + b"more and more"
        write(core, b"ready", b"after", offset=len(CONTENT))
        write(core, b"read only", b"after", offset=len(CONTENT))
    assert tally.rewrapped == 3
    without_first_key(volume)
    assert volume.read_file(b"open") == CONTENT + b"more and more"
    assert volume.read_file(b"ready") == b"before" + CONTENT[6:] + b"after"
    assert volume.read_file(b"read only") == CONTENT + b"after"


def test_a_new_file_that_has_no_header_yet(volume: OfflineVolume) -> None:
    """Its key was chosen when it was made; it gets the newer one all the same, and a header in its time."""
    tally = Tally()
    with volume.core(current=0) as core:
        entry, file = core.create(1, b"new", 0o644, os.O_RDWR | os.O_EXCL, ME)
        core.volume.keyring.put(PolicyKeys(0, volume.bucket_keys, volume.bucket_keys[1]))
        path = volume.stored_path(core, b"new")
        assert finish(rewrap_files(core, tally)) == []
        assert os.stat(path).st_size == 0
        file.write(0, CONTENT)
        core.files.release(entry.status.st_ino)
    assert key_of(volume, path) == 1
    without_first_key(volume)
    assert volume.read_file(b"new") == CONTENT


def flipped(raw: bytes, position: int) -> bytes:
    """Return the bytes with one of them changed."""
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]


BAD = {
    "wrapped key": lambda raw: flipped(raw, 130),
    "sealed block": lambda raw: flipped(raw, 450),
    "cut": lambda raw: raw[:-1],
    "longer": lambda raw: raw + b"\0",
    "no header": lambda raw: b"x" * len(raw),
    "empty": lambda raw: raw[:0],
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_damaged_stays_as_it_is(volume: OfflineVolume, kind: str) -> None:
    """A file that mounts refuse is told and left, the others go on; not each says what key it needs."""
    good, bad = volume.write_file(b"good", CONTENT), Path(os.fsdecode(volume.write_file(b"bad", CONTENT)))
    raw = BAD[kind](bad.read_bytes())
    bad.write_bytes(raw)
    tally, left = rewrap(volume)
    assert len(left) == 1
    assert (tally.rewrapped, tally.refused) == (1, 1)
    assert tally.is_complete == (kind not in {"no header", "empty"})
    assert bad.read_bytes() == raw
    assert key_of(volume, good) == 1
    assert volume.read_file(b"good") == CONTENT


def test_what_moves_meanwhile_is_not_missed(volume: OfflineVolume) -> None:
    """A file that goes from where the visit has not been to where it has been is found by another visit."""
    with volume.core() as core:
        for name in (b"first", b"second"):
            write(core, name, CONTENT, parent=mkdir(core, b"in " + name))
    tally, moved = Tally(), False
    with volume.core(current=1) as core:
        places = {name: find(core, b"in " + name) for name in (b"first", b"second")}

        def move_once() -> None:
            nonlocal moved
            done = [name for name, place in places.items() if not stands_old(volume, core, name, place)]
            if len(done) == 1 and not moved:
                (behind,) = done
                (ahead,) = set(places) - {behind}
                core.renaming.rename(places[ahead], ahead, places[behind], b"moved", 0)
                moved = True

        assert finish(rewrap_files(core, tally), move_once) == []
        assert moved
        for place in places.values():
            for name in (b"first", b"second", b"moved"):
                assert not stands_old(volume, core, name, place)
    assert tally.is_complete
    assert tally.rewrapped == 2


def stands_old(volume: OfflineVolume, core: object, name: bytes, parent: int) -> bool:
    """Say whether there is such a file, and its header names the older key."""
    try:
        return key_of(volume, volume.stored_path(core, name, parent)) == 0  # type: ignore[arg-type]  # a Core
    except FileNotFoundError:
        return False


def test_a_file_that_is_being_made_aside_keeps_all_keys(volume: OfflineVolume) -> None:
    """What becomes a file later may be under any key, so the visit does not claim to have seen everything."""
    volume.write_file(b"file", CONTENT)
    (volume.path / ".kmsfs.tmp.0123456789abcdef").touch()
    tally, left = rewrap(volume)
    assert (tally.rewrapped, tally.is_complete, left) == (1, False, [])


def test_a_key_that_cannot_be_had(volume: OfflineVolume) -> None:
    """A file whose older key is refused is told with the reason, and left."""
    volume.write_file(b"file", CONTENT)
    lost = volume.bucket_keys[0].id
    volume.missing = {lost: "the key is disabled"}
    without_first_key(volume)
    tally, left = rewrap(volume)
    assert left == ["the key is disabled"]
    assert tally.refused == 1
