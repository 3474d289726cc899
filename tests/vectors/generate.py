"""Make format-1.json, the vectors of every structure in docs/reference/format.md, with the program's code.

`python tests/vectors/generate.py` writes the file. Randomness is a fixed stream, so that the result is always
the same: a difference to the file in the tree is a change of the format. What is made here proves nothing by
itself; tests/kmsfs/test_format_vectors.py reads it with the decoder.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from kmsfs import customerkeys, header, xaes
from kmsfs.bindings import Bindings, Note
from kmsfs.bucketkeys import BucketKey
from kmsfs.chunks import ChunkCodec
from kmsfs.customerkeys import CustomerKeys
from kmsfs.directkeys import DrawnKey
from kmsfs.geometry import RECORD_OVERHEAD
from kmsfs.header import Flags, SealedBlock
from kmsfs.names import SivNames
from kmsfs.records import DirectoryRecord, RecordCipher
from kmsfs.volume import (
    BucketKeyEntry,
    CustomerCheck,
    Parameters,
    Policy,
    VolumeDescription,
    VolumeKeys,
    dump,
)
from kmsfs.wrapping import SealingKey, policy_reference

FILE = Path(__file__).resolve().parent / "format-1.json"
NAMES = (
    b"a",
    b"sixteen bytes ok",
    b"seventeen bytes ok",
    bytes(range(1, 47)),
    b"\xff" * 160,
    b"n" * 161,
    b"z" * 255,
)
TARGETS = (b"/", b"../elsewhere", b"t" * 3055)
XATTRS = ((b"user.a", b""), (b"user.kmsfs.x", b"value"), (b"user." + b"n" * 160, b"v" * 300))
BLOCKS = (
    SealedBlock(0),
    SealedBlock(1, Flags.SPARSE),
    SealedBlock(4097, Flags.MULTI, b"B" * 16),
    SealedBlock(1 << 62, Flags.SPARSE | Flags.MULTI, b"B" * 16, b"N" * 16),
)
SIZES = (0, 1, 4095, 4096, 4097)


def stream(label: str) -> Callable[[int], bytes]:
    """Return a source of bytes that looks like os.urandom and always gives the same."""
    state = hashlib.shake_256(label.encode()).digest(1 << 16)
    position = 0

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        if position > len(state):
            raise AssertionError("the stream is used up")
        return state[position - size : position]

    return take


def build() -> dict[str, Any]:
    """Return all vectors."""
    fixed = stream("kmsfs format 1 identifiers and keys")
    volume_key, volume_id = fixed(32), fixed(16)
    keys = VolumeKeys.derive(volume_key, volume_id)
    bucket_key_id, bucket_key = fixed(16), fixed(32)
    dir_ids = [fixed(16), fixed(16)]
    with patch("os.urandom", stream("kmsfs format 1 randomness")):
        return {
            "source": "tests/vectors/generate.py; read by tests/decoder, which shares no code with it",
            "volume_key": volume_key.hex(),
            "volume_id": volume_id.hex(),
            "bucket_key_id": bucket_key_id.hex(),
            "bucket_key": bucket_key.hex(),
            "subkeys": {
                name: getattr(keys, name).hex() for name in ("names", "records", "xattr", "mac", "bindings")
            },
            "names": [_name(SivNames(keys.names), dir_id, name) for dir_id in dir_ids for name in NAMES],
            **_records(RecordCipher(keys.records, keys.xattr), dir_ids[0]),
            **_bindings(Bindings(keys.bindings), dir_ids),
            "headers": [_header(volume_id, BucketKey(bucket_key_id, bucket_key), block) for block in BLOCKS],
            "files": [
                *(_file(volume_id, BucketKey(bucket_key_id, bucket_key), size) for size in SIZES),
                _sparse_file(volume_id, BucketKey(bucket_key_id, bucket_key)),
            ],
            "description": _description(volume_id, bucket_key_id, keys).decode(),
            **_modes(volume_id, volume_key, fixed),
        }


def _name(cipher: SivNames, dir_id: bytes, name: bytes) -> dict[str, str | None]:
    stored = cipher.seal(dir_id, name)
    sidecar = None if stored.sidecar is None else stored.sidecar.decode()
    return {"dir_id": dir_id.hex(), "name": name.hex(), "stored": stored.name.decode(), "sidecar": sidecar}


def _records(cipher: RecordCipher, owner: bytes) -> dict[str, list[dict[str, Any]]]:
    records = (
        DirectoryRecord(owner),
        DirectoryRecord(owner, 0xFFFF, b"B" * 8),
        DirectoryRecord(owner, 1, b"B" * 8, b"N" * 8),
    )
    return {
        "directory_records": [
            {
                "dir_id": record.dir_id.hex(),
                "policy": record.policy,
                "bindings": [place.hex() for place in (record.binding, record.next_binding) if place],
                "stored": cipher.seal(record).decode(),
            }
            for record in records
        ],
        "targets": [
            {
                "dir_id": owner.hex(),
                "target": target.hex(),
                "stored": cipher.seal_target(owner, target).decode(),
            }
            for target in TARGETS
        ],
        "xattrs": [
            {
                "owner": owner.hex(),
                "name": name.hex(),
                "value": value.hex(),
                "stored_name": cipher.seal_xattr_name(name).decode(),
                "stored_value": cipher.seal_xattr_value(owner, name, value).hex(),
            }
            for name, value in XATTRS
        ],
    }


def _bindings(bindings: Bindings, dir_ids: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    notes = (Note(anywhere=True), Note((b"O" * 16, b"N" * 16)))
    return {
        "bindings": [
            {"dir_id": dir_id.hex(), "name": name.hex(), "binding": bindings.place(dir_id, name).hex()}
            for dir_id, name in [(bytes(16), b""), *((dir_id, name) for dir_id in dir_ids for name in NAMES)]
        ],
        "notes": [
            {
                "file_id": file_id.hex(),
                "places": [place.hex() for place in note.places],
                "stored": bindings.seal_note(file_id, note).hex(),
            }
            for file_id in dir_ids
            for note in notes
        ],
    }


def _header(volume_id: bytes, key: SealingKey, block: SealedBlock) -> dict[str, Any]:
    keys = header.create(volume_id, 12, key)
    raw = header.seal(keys, xaes.new_session(keys.content_key), block)
    return {
        "file_id": keys.file_id.hex(),
        "content_key": keys.content_key.hex(),
        "size": block.size,
        "flags": int(block.flags),
        "raw": raw.hex(),
    }


def _modes(volume_id: bytes, volume_key: bytes, fixed: Callable[[int], bytes]) -> dict[str, Any]:
    """Return headers of policies 1 (direct) and 2 (customer), and what else mode customer has."""
    data_key, customer_key = fixed(32), fixed(32)
    drawn = DrawnKey(policy_reference(1), fixed(16), data_key, b"ciphertext of the data key")
    policy = Policy(2, "", "customer", customer=customerkeys.new_check(customer_key, volume_id))
    wrapping = CustomerKeys((customer_key,)).require(policy, volume_id)
    check = policy.customer
    assert check is not None
    return {
        "direct": {
            "data_key": data_key.hex(),
            "blob": drawn.blob.hex(),
            **_header(volume_id, drawn, BLOCKS[0]),
        },
        "customer": {
            "customer_key": customer_key.hex(),
            "salt": check.salt.hex(),
            "mac": check.mac.hex(),
            "wrapped_volume_key": customerkeys.wrap_volume_key(wrapping, volume_key, volume_id).hex(),
            **_header(volume_id, wrapping, BLOCKS[0]),
        },
    }


def _file(volume_id: bytes, bucket_key: BucketKey, size: int) -> dict[str, Any]:
    keys = header.create(volume_id, 12, bucket_key)
    codec = ChunkCodec(keys.content_key, keys.file_id, 4096)
    plain = hashlib.shake_256(f"{size} bytes".encode()).digest(size)
    out = memoryview(bytearray(size + 2 * RECORD_OVERHEAD))
    written = codec.seal(0, memoryview(plain), out) if size else 0
    raw = header.seal(keys, codec.session(), SealedBlock(size)) + out[:written]
    return _content(plain, raw)


def _sparse_file(volume_id: bytes, bucket_key: BucketKey) -> dict[str, Any]:
    keys = header.create(volume_id, 12, bucket_key)
    codec = ChunkCodec(keys.content_key, keys.file_id, 4096)
    out = memoryview(bytearray(1 + RECORD_OVERHEAD))
    codec.seal(2, memoryview(b"!"), out)
    block = SealedBlock(8193, Flags.SPARSE)
    raw = header.seal(keys, codec.session(), block) + bytes(2 * (4096 + RECORD_OVERHEAD)) + bytes(out)
    return _content(bytes(8192) + b"!", raw)


def _content(plain: bytes, backing: bytes) -> dict[str, Any]:
    return {
        "plain_size": len(plain),
        "plain_sha256": hashlib.sha256(plain).hexdigest(),
        "backing": backing.hex(),
    }


def _description(volume_id: bytes, bucket_key_id: bytes, keys: VolumeKeys) -> bytes:
    key_arn = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    entry = BucketKeyEntry(
        bucket_key_id, 0, b"ciphertext of the bucket key", "0" * 64, "2026-01-31T23:59:59Z"
    )
    return dump(
        VolumeDescription(
            volume_id=volume_id,
            volume_key_blob=b"ciphertext of the volume key",
            policies=(
                Policy(0, key_arn),
                Policy(1, key_arn, "direct", 16),
                Policy(2, "", "customer", 20, CustomerCheck(bytes(range(16)), bytes(range(32)))),
            ),
            bucket_keys=(entry,),
            parameters=Parameters("siv"),
            agent_url="unix:///run/kms-agent/agent.sock",
            in_use_since="2026-01-31T23:59:59Z",
        ),
        keys.mac,
    )


if __name__ == "__main__":
    FILE.write_text(json.dumps(build(), indent=1) + "\n")
