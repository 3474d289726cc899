"""Fuzz targets of the parsers: any bytes give a value that marshals to them, or the one documented error.

Each target states its invariant in the first line of its docstring, takes any bytes, and can be given to a
coverage-guided fuzzer as it is. Here Hypothesis drives them, with originals and damaged copies in between.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmsfs import base64url, header, records, volume, xaes
from kmsfs.bucketkeys import BucketKey
from kmsfs.directkeys import DrawnKey
from kmsfs.errors import CorruptHeaderError, CorruptNameError, CorruptRecordError, VolumeError
from kmsfs.fields import base64_text
from kmsfs.header import SealedBlock
from kmsfs.keyring import Keyring, PolicyKeys
from kmsfs.names import PlainNames, SivNames
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.strictyaml import StrictYamlError, parse
from kmsfs.volume import Policy, VolumeDescription
from kmsfs.wrapping import FILE_ID, Mode, policy_reference

ID = b"sixteen bytes id"
NAMES = SivNames(bytes(64))
CIPHER = RecordCipher(bytes(64), bytes(32))
MAC_KEY = bytes(32)
BUCKET_KEY = BucketKey(ID, bytes(32))
CUSTOMERS = BucketKey(policy_reference(1), bytes(32), Mode.CUSTOMER)
BLOBS = (bytes(range(1, 114)), b"\xff" * 280)


class Direct(NamedTuple):
    """A KMS that knows one blob of one file."""

    drawn: DrawnKey
    mode: Mode = Mode.DIRECT

    @property
    def id(self) -> bytes:
        """The key reference."""
        return self.drawn.id

    def unwrap(self, wrapped: bytes, head: bytes) -> bytes:
        """Return the data key for its own blob and file."""
        if (wrapped, head[FILE_ID]) != (self.drawn.blob, self.drawn.file_id):
            raise CorruptHeaderError("not for this file")
        return self.drawn.data_key


DRAWN = [
    DrawnKey(policy_reference(index + 2), ID, bytes([index]) * 32, blob) for index, blob in enumerate(BLOBS)
]
KEYRING = Keyring(
    PolicyKeys(0, (BUCKET_KEY, CUSTOMERS, *map(Direct, DRAWN))),
)
FILE_KEYS = [header.create(ID, 12, key) for key in (BUCKET_KEY, CUSTOMERS, *DRAWN)]


def fuzz_base64url(data: bytes) -> None:
    """Any bytes: ValueError, or what they spell is spelled by them alone."""
    try:
        raw = base64url.decode(data)
    except ValueError:
        return
    assert base64url.encode(raw) == data


def fuzz_name(data: bytes) -> None:
    """Any bytes: CorruptNameError, or the stored name of exactly the name they open to."""
    try:
        name = NAMES.open(ID, data)
    except CorruptNameError:
        return
    stored = NAMES.seal(ID, name)
    assert data == (stored.name if stored.sidecar is None else stored.sidecar)


def fuzz_plain_name(data: bytes) -> None:
    """Any bytes: CorruptNameError, or a name that is stored as itself."""
    try:
        name = PlainNames().open(ID, data)
    except CorruptNameError:
        return
    assert PlainNames().seal(ID, name).name == data


def fuzz_directory_record(data: bytes) -> None:
    """Any bytes: CorruptRecordError, or a record that seals to the same bytes."""
    try:
        record = CIPHER.open(data)
    except CorruptRecordError:
        return
    assert CIPHER.seal(record) == data


def fuzz_target(data: bytes) -> None:
    """Any bytes: CorruptRecordError, or a target of the length their size tells that seals to them."""
    try:
        target = CIPHER.open_target(ID, data)
    except CorruptRecordError:
        return
    assert records.target_length(len(data)) == len(target)
    assert CIPHER.seal_target(ID, target) == data


def fuzz_xattr_name(data: bytes) -> None:
    """Any bytes: CorruptRecordError, or an attribute name that seals to them."""
    try:
        name = CIPHER.open_xattr_name(data)
    except CorruptRecordError:
        return
    assert CIPHER.seal_xattr_name(name) == data


def fuzz_xattr_value(data: bytes) -> None:
    """Any bytes: CorruptRecordError, or a value of the length their size tells."""
    try:
        value = CIPHER.open_xattr_value(ID, b"user.n", data)
    except CorruptRecordError:
        return
    assert records.xattr_value_length(len(data)) == len(value)


def fuzz_header(data: bytes) -> None:
    """Any bytes: CorruptHeaderError, or a header whose every byte is authenticated."""
    try:
        clear = header.parse(data)
        keys = header.unlock(clear, ID, KEYRING.get(clear.reference, clear.mode))
        header.unseal(keys, data)
    except CorruptHeaderError:
        return
    assert keys.clear == data[: len(keys.clear)]
    assert keys in FILE_KEYS


def fuzz_description(data: bytes) -> None:
    """Any bytes: VolumeError, or a description that dumps and loads to itself."""
    try:
        description = volume.load(data).description
    except VolumeError:
        return
    assert volume.verify(volume.load(volume.dump(description, MAC_KEY)), MAC_KEY) == description


def fuzz_yaml(data: bytes) -> None:
    """Any text: StrictYamlError, or mappings, lists and texts."""
    try:
        tree = parse(data.decode("latin-1"))
    except StrictYamlError:
        return
    assert isinstance(tree, str | list | dict)


DESCRIPTION = volume.dump(VolumeDescription(ID, b"blob", (Policy(0, "arn"),)), MAC_KEY)
TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    fuzz_base64url: [base64url.encode(ID), base64_text(ID).encode()],
    fuzz_name: [NAMES.seal(ID, b"n").name, NAMES.seal(ID, b"n" * 255).sidecar or b""],
    fuzz_plain_name: [b"name", b".kmsfs", b"kmsfs.long.", b"..", b"a/b"],
    fuzz_directory_record: [
        CIPHER.seal(DirectoryRecord(ID)),
        CIPHER.seal(DirectoryRecord(ID, 1, ID[:8], ID[:8])),
    ],
    fuzz_target: [CIPHER.seal_target(ID, b"../x")],
    fuzz_xattr_name: [CIPHER.seal_xattr_name(b"user.n")],
    fuzz_xattr_value: [CIPHER.seal_xattr_value(ID, b"user.n", b"value")],
    fuzz_header: [
        header.seal(keys, xaes.new_session(keys.content_key), SealedBlock(1)) + b"record"
        for keys in FILE_KEYS
    ],
    fuzz_description: [DESCRIPTION, DESCRIPTION[:-70], b"mac: " + b"0" * 64 + b"\n"],
    fuzz_yaml: [DESCRIPTION, b"a: &x [1]\nb: *x", b"- - - -", b"? [a, b]\n: !!int 1", b"--- |\n  text\n..."],
}


def mutations(originals: list[bytes]) -> st.SearchStrategy[bytes]:
    """Give the originals, damaged copies of them, and any other bytes."""
    damaged = st.builds(
        lambda original, start, size, patch: original[: start % (len(original) + 1)] + patch
        + original[start % (len(original) + 1) + size :],
        st.sampled_from(originals),
        st.integers(0, 4096),
        st.integers(0, 16),
        st.binary(max_size=16),
    )  # fmt: skip
    return st.sampled_from(originals) | damaged | st.binary(max_size=600)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_fuzz(target: Callable[[bytes], None]) -> None:
    """The invariant of each target holds for whole, damaged and arbitrary bytes."""

    @settings(max_examples=300, deadline=None)
    @given(mutations(TARGETS[target]))
    def drive(data: bytes) -> None:
        target(data)

    drive()
