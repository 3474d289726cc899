"""The second decoder reads a whole volume that the program's pure floors made, and refuses a changed one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decoder import Keys, Refused, decode
from kmsfs import header, volume
from kmsfs.bindings import Bindings
from kmsfs.bucketkeys import BucketKey
from kmsfs.chunks import ChunkCodec
from kmsfs.geometry import RECORD_OVERHEAD
from kmsfs.header import Flags, SealedBlock
from kmsfs.names import NameCipher, PlainNames, SivNames, sidecar_name
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.volume import BucketKeyEntry, Parameters, Policy, VolumeDescription, VolumeKeys

VOLUME_ID = b"volume number 01"
VOLUME_KEY = bytes(range(32))
BUCKET_KEY = b"B" * 32
BUCKET_KEY_ID = b"bucket key no. 1"
KEYS = Keys(VOLUME_KEY, {BUCKET_KEY_ID: BUCKET_KEY})
CHUNK = 4096
SEALED_NAMES = "sealed names"
PLAIN_NAMES = "plain names"
LONG_NAME = b"\xf0\x9f\x94\x91" * 60
CONTENT = os.urandom(2 * CHUNK + 1)


class Maker:
    """Makes a volume with nothing but the pure floors."""

    def __init__(self, root: Path, *, plain_names: bool = False, has_bindings: bool = True) -> None:
        self.root = os.fsencode(root)
        self.keys = VolumeKeys.derive(VOLUME_KEY, VOLUME_ID)
        self.names: NameCipher = PlainNames() if plain_names else SivNames(self.keys.names)
        self.records = RecordCipher(self.keys.records, self.keys.xattr)
        self.bindings = Bindings(self.keys.bindings)
        self.bucket_key = BucketKey(BUCKET_KEY_ID, BUCKET_KEY)
        description = VolumeDescription(
            volume_id=VOLUME_ID,
            volume_key_blob=b"blob",
            policies=(Policy(0, "arn:aws:kms:local:000000000000:key/k"),),
            bucket_keys=(BucketKeyEntry(BUCKET_KEY_ID, 0, b"blob", None, "2026-01-31T23:59:59Z"),),
            parameters=Parameters("plain" if plain_names else "siv", has_bindings),
        )
        os.mkdir(os.path.join(self.root, b".kmsfs-volume"))
        with open(os.path.join(self.root, b".kmsfs-volume", b"volume.yaml"), "wb") as file:
            file.write(volume.dump(description, self.keys.mac))

    def directory(self, path: bytes, binding: bytes) -> bytes:
        """Give the directory at a stored path its record; return its dir_id."""
        record = DirectoryRecord(os.urandom(16)).tied(binding)
        os.symlink(self.records.seal(record), os.path.join(path, b".kmsfs"))
        return record.dir_id

    def place(self, path: bytes, dir_id: bytes, name: bytes) -> bytes:
        """Return the stored path of a name, its sidecar made."""
        stored = self.names.seal(dir_id, name)
        if stored.sidecar is not None:
            os.symlink(stored.sidecar, os.path.join(path, sidecar_name(stored.name)))
        return os.path.join(path, stored.name)

    def file(self, place: bytes, content: bytes, binding: bytes, *, hole: bool = False) -> bytes:
        """Write a file, with its first chunk left out if there is to be a hole; return its file_id."""
        keys = header.create(VOLUME_ID, 12, self.bucket_key)
        codec = ChunkCodec(keys.content_key, keys.file_id, CHUNK)
        out = memoryview(bytearray(len(content) + RECORD_OVERHEAD * (-(-len(content) // CHUNK))))
        if content:
            codec.seal(0, memoryview(content), out)
        if hole:
            out[: CHUNK + RECORD_OVERHEAD] = bytes(CHUNK + RECORD_OVERHEAD)
        block = SealedBlock(len(content), Flags.SPARSE if hole else Flags.NONE, binding)
        with open(place, "wb") as file:
            file.write(header.seal(keys, codec.session(), block) + out)
        return keys.file_id


@pytest.fixture
def has_bindings() -> bool:
    """Whether what is in the volume is tied to its place."""
    return True


@pytest.fixture(params=[SEALED_NAMES, PLAIN_NAMES])
def made(tmp_path: Path, request: pytest.FixtureRequest, *, has_bindings: bool) -> dict[bytes, bytes]:
    """A volume with one of everything; its stored paths by plain path."""
    root = tmp_path / "volume"
    root.mkdir()
    maker = Maker(root, plain_names=request.param == PLAIN_NAMES, has_bindings=has_bindings)
    places: dict[bytes, bytes] = {b"": maker.root}
    root_id = maker.directory(maker.root, maker.bindings.root())
    places[b"sub"] = maker.place(maker.root, root_id, b"sub")
    os.mkdir(places[b"sub"])
    sub_id = maker.directory(places[b"sub"], maker.bindings.place(root_id, b"sub"))
    for name, content in ((b"file", CONTENT), (b"empty", b""), (LONG_NAME, b"long"), (b"twin", CONTENT)):
        places[name] = maker.place(maker.root, root_id, name)
        file_id = maker.file(places[name], content, maker.bindings.place(root_id, name))
        value = maker.records.seal_xattr_value(file_id, b"user.origin", name)
        os.setxattr(places[name], maker.records.seal_xattr_name(b"user.origin"), value)
    places[b"sub/hole"] = maker.place(places[b"sub"], sub_id, b"hole")
    hole = maker.bindings.place(sub_id, b"hole")
    maker.file(places[b"sub/hole"], bytes(CHUNK) + b"end", hole, hole=True)
    places[b"sub/link"] = maker.place(places[b"sub"], sub_id, b"link")
    os.symlink(maker.records.seal_target(sub_id, b"../file"), places[b"sub/link"])
    places[b"link"] = maker.place(maker.root, root_id, b"link")
    os.symlink(maker.records.seal_target(root_id, b"file"), places[b"link"])
    places[b"fifo"] = maker.place(maker.root, root_id, b"fifo")
    os.mkfifo(places[b"fifo"])
    os.mkdir(os.path.join(maker.root, b".kmsfs.tmp.debris"))
    return places


def test_everything_is_read(made: dict[bytes, bytes]) -> None:
    """Every path, type, content, target and attribute comes out as it went in."""
    entries = {entry.path: entry for entry in decode(made[b""], KEYS)}
    assert entries.keys() == made.keys()
    files = {path: entry.content for path, entry in entries.items() if entry.type == "file"}
    assert files == {
        b"file": CONTENT,
        b"twin": CONTENT,
        b"empty": b"",
        LONG_NAME: b"long",
        b"sub/hole": bytes(CHUNK) + b"end",
    }
    assert entries[b"sub/link"].target == b"../file"
    assert entries[b"fifo"].type == "fifo"
    assert entries[b"sub"].type == "directory"
    assert entries[LONG_NAME].xattrs == {b"user.origin": LONG_NAME}


def test_it_runs_as_a_script(made: dict[bytes, bytes]) -> None:
    """As a script it takes the keys on its standard input and prints a line per entry."""
    bucket_keys = {BUCKET_KEY_ID.hex(): BUCKET_KEY.hex()}
    result = subprocess.run(
        [sys.executable, "-m", "decoder", made[b""]],
        input=json.dumps({"volume_key": VOLUME_KEY.hex(), "bucket_keys": bucket_keys}),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(printed) == len(made)
    assert {"path": "sub/link", "type": "symlink", "target": "../file"} in printed


def overwrite(place: bytes, offset: int, data: bytes) -> None:
    """Overwrite a part of a backing file."""
    with open(place, "r+b") as file:
        file.seek(offset)
        file.write(data)


def contents(place: bytes) -> bytes:
    """Return the bytes of a backing file."""
    with open(place, "rb") as file:
        return file.read()


def swap(first: bytes, second: bytes) -> None:
    """Exchange two entries of the backing store."""
    os.rename(first, first + b".moving")
    os.rename(second, first)
    os.rename(first + b".moving", second)


def replace_link(place: bytes, target: bytes) -> None:
    """Let a symlink point elsewhere."""
    os.unlink(place)
    os.symlink(target, place)


def replace_by_file(link: bytes) -> None:
    """Let a file hold what a symlink said."""
    target = os.readlink(link)
    os.unlink(link)
    Path(os.fsdecode(link)).write_bytes(target)


ATTACKS: dict[str, Callable[[dict[bytes, bytes]], object]] = {
    "a bit of a chunk": lambda at: overwrite(at[b"file"], 600, b"\0\1"),
    "the salt of the last chunk": lambda at: overwrite(at[b"file"], 512 + 2 * 4136, bytes(12)),
    "a chunk zeroed in a file without holes": lambda at: overwrite(at[b"file"], 512, bytes(4136)),
    "cut at a chunk": lambda at: os.truncate(at[b"file"], 512 + 4136),
    "cut in a chunk": lambda at: os.truncate(at[b"file"], 512 + 4136 + 100),
    "cut to the header": lambda at: os.truncate(at[b"file"], 512),
    "cut in the header": lambda at: os.truncate(at[b"file"], 100),
    "cut to nothing": lambda at: os.truncate(at[b"file"], 0),
    "extended by zeros": lambda at: os.truncate(at[b"sub/hole"], 512 + 3 * 4136),
    "a chunk of another file": lambda at: overwrite(at[b"file"], 512, contents(at[b"twin"])[512:4648]),
    "another file's header": lambda at: overwrite(at[b"file"], 0, contents(at[b"twin"])[:512]),
    "attribute of another file": lambda at: os.setxattr(
        at[b"file"], os.listxattr(at[b"file"])[0], os.getxattr(at[b"twin"], os.listxattr(at[b"twin"])[0])
    ),
    "foreign attribute": lambda at: os.setxattr(at[b"file"], "user.comment", b"planted"),
    "target of another directory": lambda at: replace_link(at[b"link"], os.readlink(at[b"sub/link"])),
    "link out of the tree": lambda at: replace_link(at[b"link"], b"/etc/passwd"),
    "record removed": lambda at: os.unlink(at[b"sub"] + b"/.kmsfs"),
    "plaintext planted": lambda at: Path(os.fsdecode(at[b"file"])).write_text("planted" * 100),
    "files exchanged": lambda at: swap(at[b"file"], at[b"empty"]),
    "a file in the place of another": lambda at: os.rename(at[b"twin"], at[b"file"]),
    "the description edited": lambda at: overwrite(at[b""] + b"/.kmsfs-volume/volume.yaml", 3, b"!"),
}  # fmt: skip
NAME_ATTACKS: dict[str, Callable[[dict[bytes, bytes]], object]] = {
    "moved to another directory": lambda at: os.rename(
        at[b"file"], os.path.join(at[b"sub"], os.path.basename(at[b"file"]))
    ),
    "padding added to a name": lambda at: os.rename(at[b"file"], at[b"file"] + b"="),
    "record of another directory": lambda at: replace_link(
        at[b"sub"] + b"/.kmsfs", os.readlink(at[b""] + b"/.kmsfs")
    ),
    "sidecar removed": lambda at: os.unlink(at[LONG_NAME] + b".name"),
    "sidecar of another name": lambda at: replace_link(
        at[LONG_NAME] + b".name", os.path.basename(at[b"file"])
    ),
    "sidecar made a file": lambda at: replace_by_file(at[LONG_NAME] + b".name"),
    "a name that nobody sealed": lambda at: os.mkfifo(at[b"sub"] + b"/planted"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_changes_are_refused(made: dict[bytes, bytes], attack: str) -> None:
    """Each change to the backing store is refused; without it the volume is read."""
    list(decode(made[b""], KEYS))
    ATTACKS[attack](made)
    with pytest.raises(Refused):
        list(decode(made[b""], KEYS))


@pytest.mark.parametrize("attack", NAME_ATTACKS)
@pytest.mark.parametrize("made", [SEALED_NAMES], indirect=True)
def test_changed_names_are_refused(made: dict[bytes, bytes], attack: str) -> None:
    """Where names are sealed, each change to them is refused too."""
    NAME_ATTACKS[attack](made)
    with pytest.raises(Refused):
        list(decode(made[b""], KEYS))


def test_wrong_keys_are_refused(made: dict[bytes, bytes]) -> None:
    """Neither another volume key nor another bucket key opens anything."""
    for keys in (
        Keys(bytes(32), KEYS.bucket_keys),
        Keys(VOLUME_KEY, {}),
        Keys(VOLUME_KEY, {BUCKET_KEY_ID: bytes(32)}),
    ):
        with pytest.raises(Refused):
            list(decode(made[b""], keys))


@pytest.mark.parametrize("has_bindings", [False])
def test_what_is_not_prevented_without_bindings(made: dict[bytes, bytes]) -> None:
    """Exchanging two whole files on the store goes unnoticed without bindings, as format.md says."""
    swap(made[b"file"], made[b"empty"])
    entries = {entry.path: entry for entry in decode(made[b""], KEYS)}
    assert entries[b"file"].content == b""
    assert entries[b"empty"].content == CONTENT


def test_a_copy_of_the_volume_is_the_volume(made: dict[bytes, bytes], tmp_path: Path) -> None:
    """Nothing depends on where the volume lies, nor on inode numbers."""
    copied = tmp_path / "copy"
    shutil.copytree(os.fsdecode(made[b""]), copied, symlinks=True, ignore=lambda _, names: [
        name for name in names if name == os.fsdecode(os.path.basename(made[b"fifo"]))
    ])  # fmt: skip
    assert {entry.path for entry in decode(copied, KEYS)} == made.keys() - {b"fifo"}
