"""Ciphertexts of symmetric keys at the backend: every bit counts, so does every pair, and none grows old."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.api.errors import IncorrectKeyException, InvalidCiphertextException, ServiceError
from agent.backends import local
from agent.crypto.blob import OVERHEAD_BYTES
from agent.keys.key import Key
from agent.seal.barrier import Barrier
from agent.store.sqlite import SqliteStore
from samples import a_key
from services import REGION, START, Service

MATERIAL_ID = slice(5, 37)
CONTEXT = {"volume": "v", "file": "f"}
Kept = tuple[SqliteStore, Barrier, Key]
TEXT = st.text(max_size=4)
CONTEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
STEPS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def opened(service: Service, key: Key, blob: bytes, context: dict[str, str] | None) -> bytes:
    """Decrypt under one key."""
    return local.decrypt(service.kms.store, service.kms.barrier, key, blob, context)[0]


def sealed(service: Service, key: Key, plaintext: bytes, context: dict[str, str] | None) -> bytes:
    """Encrypt under one key."""
    return local.encrypt(service.kms.store, service.kms.barrier, key, plaintext, context)


async def make_key(service: Service) -> Key:
    """Make a key, and return it as it is kept."""
    return service.key((await service.create_key()).key_id)


async def test_every_bit_counts(service: Service) -> None:
    """With any one bit changed there is no plaintext: the blob is invalid, or of no key's material."""
    key = await make_key(service)
    blob = sealed(service, key, b"text", CONTEXT)
    assert len(blob) == OVERHEAD_BYTES + 4
    for bit in range(8 * len(blob)):
        at = bit // 8
        changed = blob[:at] + bytes([blob[at] ^ (1 << bit % 8)]) + blob[at + 1 :]
        in_id = MATERIAL_ID.start <= at < MATERIAL_ID.stop
        with pytest.raises(IncorrectKeyException if in_id else InvalidCiphertextException) as caught:
            opened(service, key, changed, CONTEXT)
        assert in_id or caught.value.message == ""
        if in_id:
            assert local.key_of(service.kms.store, REGION, changed) is None
    assert opened(service, key, blob, CONTEXT) == b"text"


async def test_every_cut_counts(service: Service) -> None:
    """Nothing can be cut off at either end, or added."""
    key = await make_key(service)
    blob = sealed(service, key, b"text", CONTEXT)
    for size in range(len(blob)):
        for piece in (blob[:size], blob[len(blob) - size :]):
            with pytest.raises(ServiceError):
                opened(service, key, piece, CONTEXT)
    for longer in (blob + b"\0", b"\0" + blob, blob + blob, blob + bytes(6144)):
        with pytest.raises(InvalidCiphertextException):
            opened(service, key, longer, CONTEXT)


async def test_every_generation_opens(service: Service) -> None:
    """What was encrypted under each generation of the material opens after each rotation, and tells which."""
    key_id = (await service.create_key()).key_id
    blobs: list[tuple[str, bytes]] = []
    for _ in range(6):
        key = service.key(key_id)
        blobs.append((key.current_material_id, sealed(service, key, b"text", CONTEXT)))
        for material_id, blob in blobs:
            plaintext, used = local.decrypt(
                service.kms.store, service.kms.barrier, key, blob, dict(reversed(CONTEXT.items()))
            )
            assert (plaintext, used) == (b"text", material_id)
        await service.rotate(key_id)
    assert len({material_id for material_id, _ in blobs}) == 6


async def test_generations_do_not_stand_for_one_another(service: Service) -> None:
    """A ciphertext that names another generation of its own key opens no more than a damaged one."""
    key_id = (await service.create_key()).key_id
    first = sealed(service, service.key(key_id), b"text", CONTEXT)
    await service.rotate(key_id)
    key = service.key(key_id)
    swapped = first[: MATERIAL_ID.start] + bytes.fromhex(key.current_material_id) + first[MATERIAL_ID.stop :]
    with pytest.raises(InvalidCiphertextException):
        opened(service, key, swapped, CONTEXT)
    assert opened(service, key, first, CONTEXT) == b"text"


async def test_keys_do_not_stand_for_one_another(service: Service) -> None:
    """A ciphertext that was made to name another key's material opens under neither."""
    one, other = await make_key(service), await make_key(service)
    blob = sealed(service, one, b"text", CONTEXT)
    renamed = blob[: MATERIAL_ID.start] + bytes.fromhex(other.current_material_id) + blob[MATERIAL_ID.stop :]
    with pytest.raises(IncorrectKeyException):
        opened(service, one, renamed, CONTEXT)
    with pytest.raises(InvalidCiphertextException):
        opened(service, other, renamed, CONTEXT)
    with pytest.raises(IncorrectKeyException):
        opened(service, other, blob, CONTEXT)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Return one key for many examples."""
    barrier, key = Barrier(os.urandom(32)), a_key()
    material = local.new_material(
        barrier, key.key_id, region=key.region, generation=0, rotation_type=None, now=START
    )
    key = replace(key, current_material_id=material.material_id)
    with SqliteStore.open(tmp_path / "keys.db") as store:
        with store.write() as transaction:
            transaction.put(key)
            transaction.put(material)
        yield store, barrier, key


@settings(max_examples=200, **STEPS)
@given(one=CONTEXTS, other=CONTEXTS, plaintext=st.binary(min_size=1, max_size=64))
@example({"a": "bc"}, {"ab": "c"}, b"t")
@example({"a": "b", "c": "d"}, {"a": "bcd"}, b"t")
@example({"\u00e9": ""}, {"e\u0301": ""}, b"t")
@example({"a": "\U0001f511"}, {"a": "\U0001f510"}, b"t")
@example({}, {"": ""}, b"t")
def test_only_the_same_context_opens(
    kept: Kept, one: dict[str, str], other: dict[str, str], plaintext: bytes
) -> None:
    """Any order of the same pairs opens a ciphertext, any other context does not."""
    blob = local.encrypt(*kept, plaintext, one)
    assert local.decrypt(*kept, blob, dict(reversed(one.items())))[0] == plaintext
    if one == other:
        assert local.decrypt(*kept, blob, other)[0] == plaintext
    else:
        with pytest.raises(InvalidCiphertextException) as caught:
            local.decrypt(*kept, blob, other)
        assert caught.value.message == ""


@settings(max_examples=300, **STEPS)
@given(blob=st.binary(max_size=200))
def test_any_bytes_are_refused(kept: Kept, blob: bytes) -> None:
    """Bytes that nobody encrypted give one of the two errors, with and without a good beginning."""
    for candidate in (blob, b"KMSA\x01" + bytes.fromhex(kept[2].current_material_id) + blob):
        with pytest.raises((InvalidCiphertextException, IncorrectKeyException)):
            local.decrypt(*kept, candidate, None)
