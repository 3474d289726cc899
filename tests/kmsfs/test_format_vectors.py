"""The format's own vectors: the program makes them, the decoder and the program read them."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from decoder.description import read_description
from decoder.files import read_content, read_header
from decoder.keys import Keys, customers_volume_key, wrapping_key
from decoder.names import Sealed
from kmsfs import customerkeys, header, volume
from kmsfs.bindings import Bindings, Note
from kmsfs.bucketkeys import BucketKey
from kmsfs.customerkeys import CustomerKeys
from kmsfs.directkeys import DrawnKey
from kmsfs.names import SivNames, is_long, long_name_matches
from kmsfs.records import RecordCipher
from kmsfs.volume import CustomerCheck, Policy, VolumeKeys
from kmsfs.wrapping import Mode, policy_reference
from vectors.generate import FILE, build

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
VOLUME_KEY, VOLUME_ID, BUCKET_KEY_ID, BUCKET_KEY = (
    bytes.fromhex(VECTORS[name]) for name in ("volume_key", "volume_id", "bucket_key_id", "bucket_key")
)
KEYS = VolumeKeys.derive(VOLUME_KEY, VOLUME_ID)
DECODER = Sealed(VOLUME_KEY, VOLUME_ID)
DESCRIPTION = read_description(VECTORS["description"].encode(), VOLUME_KEY)


def test_generator_gives_the_vectors() -> None:
    """The program still writes format 1 byte for byte as the vectors have it."""
    assert build() == VECTORS


def test_subkeys() -> None:
    """The subkeys are those that the vectors have."""
    assert {name: getattr(KEYS, name).hex() for name in VECTORS["subkeys"]} == VECTORS["subkeys"]


@pytest.mark.parametrize("vector", VECTORS["names"])
def test_names(vector: dict[str, Any]) -> None:
    """Both open every name, short and long, to what was sealed."""
    dir_id, name = bytes.fromhex(vector["dir_id"]), bytes.fromhex(vector["name"])
    stored = vector["stored"].encode()
    if vector["sidecar"] is None:
        spelling = stored
        assert DECODER.name(dir_id, stored) == name
    else:
        spelling = vector["sidecar"].encode()
        assert is_long(stored)
        assert long_name_matches(stored, spelling)
        assert DECODER.long_name(dir_id, stored, spelling) == name
    assert SivNames(KEYS.names).open(dir_id, spelling) == name


def test_records() -> None:
    """Both open every directory record, link target and attribute."""
    cipher = RecordCipher(KEYS.records, KEYS.xattr)
    for vector in VECTORS["directory_records"]:
        stored = vector["stored"].encode()
        record, (dir_id, bindings) = cipher.open(stored), DECODER.record(stored)
        assert dir_id.hex() == vector["dir_id"] == record.dir_id.hex()
        assert record.policy == vector["policy"]
        assert bindings == [binding for binding in (record.binding, record.next_binding) if binding]
        assert [binding.hex() for binding in bindings] == vector["bindings"]
    for vector in VECTORS["targets"]:
        dir_id, stored = bytes.fromhex(vector["dir_id"]), vector["stored"].encode()
        assert DECODER.target(dir_id, stored).hex() == vector["target"]
        assert cipher.open_target(dir_id, stored).hex() == vector["target"]
    for vector in VECTORS["xattrs"]:
        owner, name, value = (bytes.fromhex(vector[field]) for field in ("owner", "name", "stored_value"))
        assert DECODER.xattr_name(vector["stored_name"].encode()) == name
        assert cipher.open_xattr_name(vector["stored_name"].encode()) == name
        assert DECODER.xattr_value(owner, name, value).hex() == vector["value"]
        assert cipher.open_xattr_value(owner, name, value).hex() == vector["value"]


def test_bindings() -> None:
    """Both tie every name to the same binding, the root directory too."""
    bindings = Bindings(KEYS.bindings)
    for vector in VECTORS["bindings"]:
        dir_id, name = bytes.fromhex(vector["dir_id"]), bytes.fromhex(vector["name"])
        assert bindings.place(dir_id, name).hex() == vector["binding"] == DECODER.binding(dir_id, name).hex()
    assert bindings.root() == DECODER.binding(bytes(16), b"")


def test_notes() -> None:
    """Both read every note of where a file was moved, and of one with several names."""
    bindings = Bindings(KEYS.bindings)
    for vector in VECTORS["notes"]:
        file_id, raw = bytes.fromhex(vector["file_id"]), bytes.fromhex(vector["stored"])
        places = tuple(bytes.fromhex(place) for place in vector["places"])
        assert bindings.open_note(file_id, raw) == Note(places, anywhere=not places)
        assert all(DECODER.note_allows(file_id, raw, place) for place in places)
        assert DECODER.note_allows(file_id, raw, bytes(16)) == (not places)
        assert not DECODER.note_allows(bytes(16), raw, bytes(16))


@pytest.mark.parametrize("vector", VECTORS["headers"])
def test_headers(vector: dict[str, Any]) -> None:
    """Both unlock every header to the same file id, content key, size and flags."""
    raw = bytes.fromhex(vector["raw"])
    second = read_header(raw, DESCRIPTION, Keys(VOLUME_KEY, {BUCKET_KEY_ID: BUCKET_KEY}))
    keys = header.unlock(header.parse(raw), VOLUME_ID, BucketKey(BUCKET_KEY_ID, BUCKET_KEY))
    block = header.unseal(keys, raw)
    assert second.file_id == keys.file_id == bytes.fromhex(vector["file_id"])
    assert second.content_key == keys.content_key == bytes.fromhex(vector["content_key"])
    assert second.plain_size == block.size == vector["size"]
    assert int(block.flags) == vector["flags"]
    assert second.sparse == bool(vector["flags"] & 1)
    assert second.multi == bool(vector["flags"] & 2)
    assert second.bindings == tuple(place for place in (block.binding, block.next_binding) if place)


def test_header_of_mode_direct() -> None:
    """Both take the data key that the KMS gives for the ciphertext in the header."""
    vector = {name: bytes.fromhex(text) for name, text in VECTORS["direct"].items() if isinstance(text, str)}
    given = Keys(VOLUME_KEY, {}, {vector["blob"]: vector["data_key"]})
    second = read_header(vector["raw"], DESCRIPTION, given)
    assert (second.file_id, second.content_key) == (vector["file_id"], vector["content_key"])
    clear = header.parse(vector["raw"])
    assert (clear.mode, clear.wrapped_key) == (Mode.DIRECT, vector["blob"])
    key = DrawnKey(policy_reference(1), vector["file_id"], vector["data_key"], vector["blob"])
    assert header.create(VOLUME_ID, 12, key).clear == clear.clear
    assert header.create(VOLUME_ID, 12, key).content_key == vector["content_key"]


def test_header_and_volume_key_of_mode_customer() -> None:
    """Both know the customer's key again, and open with it a file and a volume key."""
    vector = {
        name: bytes.fromhex(text) for name, text in VECTORS["customer"].items() if isinstance(text, str)
    }
    check = CustomerCheck(vector["salt"], vector["mac"])
    policies = list(DESCRIPTION.policies)
    policies[2] = replace(policies[2], salt=check.salt, mac=check.mac)
    given = Keys(VOLUME_KEY, {}, {}, (b"another key".ljust(32), vector["customer_key"]))
    second = read_header(vector["raw"], replace(DESCRIPTION, policies=tuple(policies)), given)
    wrapping = CustomerKeys((vector["customer_key"],)).require(
        Policy(2, "", "customer", customer=check), VOLUME_ID
    )
    keys = header.unlock(header.parse(vector["raw"]), VOLUME_ID, wrapping)
    assert second.file_id == keys.file_id == vector["file_id"]
    assert second.content_key == keys.content_key == vector["content_key"]
    wrapped = vector["wrapped_volume_key"]
    assert customerkeys.unwrap_volume_key(wrapping, wrapped, VOLUME_ID) == VOLUME_KEY
    derived = wrapping_key((vector["customer_key"],), VOLUME_ID, check.salt, check.mac)
    assert customers_volume_key(derived, wrapped, VOLUME_ID) == VOLUME_KEY


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: str(vector["plain_size"]))
def test_files(vector: dict[str, Any]) -> None:
    """The decoder reads whole files, sparse ones included."""
    raw = bytes.fromhex(vector["backing"])
    opened = read_header(raw, DESCRIPTION, Keys(VOLUME_KEY, {BUCKET_KEY_ID: BUCKET_KEY}))
    plain = read_content(raw, opened)
    assert len(plain) == vector["plain_size"]
    assert hashlib.sha256(plain).hexdigest() == vector["plain_sha256"]


def test_description() -> None:
    """Both believe the description, and read the same from it."""
    unverified = volume.load(VECTORS["description"].encode())
    description = volume.verify(unverified, KEYS.mac)
    assert description.volume_id == DESCRIPTION.volume_id == VOLUME_ID
    assert {policy.chunk_shift for policy in description.policies} == DESCRIPTION.chunk_shifts == {12, 16, 20}
    assert [policy.mode for policy in description.policies] == ["bucket", "direct", "customer"]
    assert description.parameters.bindings
    assert DESCRIPTION.has_bindings
    assert description.in_use_since == DESCRIPTION.in_use_since == "2026-01-31T23:59:59Z"
    assert {entry.id for entry in description.bucket_keys} == DESCRIPTION.bucket_key_ids == {BUCKET_KEY_ID}
