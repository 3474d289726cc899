"""The barrier: material opens under its own ids and root key only, and what is dropped is overwritten."""

import os
import threading
from dataclasses import replace

import pytest

from agent.api.enums import KeySpec
from agent.crypto.generation import generate
from agent.keys.key import KeyMaterial
from agent.seal.barrier import Barrier
from agent.seal.errors import UnwrapError
from samples import a_material

ROOT_KEY = bytes(range(32))


def wrapped(barrier: Barrier, number: int = 0, plaintext: bytes = b"\x55" * 32) -> KeyMaterial:
    """Return a material that the barrier has wrapped."""
    material = a_material(number)
    content = barrier.wrap_material(material.material_id, material.key_id, plaintext)
    return replace(material, wrapped=content)


def test_round_trip() -> None:
    """What one agent wrapped, the next one with the same root key unwraps; twice, for the cache."""
    material = wrapped(Barrier(ROOT_KEY))
    barrier = Barrier(ROOT_KEY)
    assert barrier.unwrap_material(material) == b"\x55" * 32
    assert barrier.unwrap_material(material) == b"\x55" * 32
    assert b"\x55" * 8 not in material.wrapped


def test_every_bit_of_wrapped_material_counts() -> None:
    """A record changed in any bit, or cut, is refused."""
    barrier = Barrier(ROOT_KEY)
    material = wrapped(barrier)
    for bit in range(8 * len(material.wrapped)):
        changed = bytearray(material.wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnwrapError, match="does not authenticate"):
            barrier.unwrap_material(replace(material, wrapped=bytes(changed)))
    for length in range(len(material.wrapped)):
        with pytest.raises(UnwrapError):
            barrier.unwrap_material(replace(material, wrapped=material.wrapped[:length]))


@pytest.mark.parametrize("field", ["key_id", "material_id"])
def test_material_cannot_be_moved(field: str) -> None:
    """A record moved to another key, or renamed, is refused, even while the original is cached."""
    barrier = Barrier(ROOT_KEY)
    material = wrapped(barrier)
    barrier.unwrap_material(material)
    other = "f" * 64 if field == "material_id" else "another key"
    with pytest.raises(UnwrapError):
        barrier.unwrap_material(replace(material, **{field: other}))


def test_another_root_key_is_refused() -> None:
    """Material of another agent does not open."""
    with pytest.raises(UnwrapError):
        Barrier(os.urandom(32)).unwrap_material(wrapped(Barrier(ROOT_KEY)))


def test_the_cache_is_bounded_and_wiped() -> None:
    """The least recently used material is dropped first, and overwritten."""
    barrier = Barrier(ROOT_KEY, cache_size=2)
    materials = [wrapped(barrier, number) for number in range(3)]
    barrier.unwrap_material(materials[0])
    barrier.unwrap_material(materials[1])
    barrier.unwrap_material(materials[0])
    oldest = barrier._plaintexts._kept[place(materials[1])]
    barrier.unwrap_material(materials[2])
    assert list(barrier._plaintexts._kept) == [place(materials[0]), place(materials[2])]
    assert oldest == bytes(32)


def place(material: KeyMaterial) -> tuple[str, str, bytes]:
    """Return what a barrier caches a material by."""
    return material.key_id, material.material_id, material.wrapped


def test_a_deleted_key_leaves_the_cache() -> None:
    """Material of a deleted key is overwritten, that of others stays."""
    barrier = Barrier(ROOT_KEY)
    material = wrapped(barrier)
    barrier.unwrap_material(material)
    cached = barrier._plaintexts._kept[place(material)]
    barrier.forget_key("another key")
    assert cached == b"\x55" * 32
    barrier.forget_key(material.key_id)
    assert cached == bytes(32)
    assert not barrier._plaintexts._kept


def test_forgetting() -> None:
    """A barrier that has forgotten holds neither the root key nor material, and serves no more."""
    barrier = Barrier(ROOT_KEY)
    material = wrapped(barrier)
    barrier.unwrap_material(material)
    root_key, cached = barrier._root_key, barrier._plaintexts._kept[place(material)]
    barrier.forget()
    assert not root_key
    assert cached == bytes(32)
    with pytest.raises(AssertionError):
        barrier.unwrap_material(material)


def test_nothing_secret_shows() -> None:
    """No representation of a barrier or a material shows key bytes."""
    barrier = Barrier(b"R" * 32)
    material = wrapped(barrier, plaintext=b"S" * 32)
    shown = f"{barrier!r} {barrier} {material!r} {material}"
    assert "RRRR" not in shown
    assert repr(material.wrapped) not in shown


def pair(barrier: Barrier, number: int = 0) -> KeyMaterial:
    """Return a key pair that the barrier has wrapped."""
    return wrapped(barrier, number, generate(KeySpec.ECC_NIST_P256).plaintext)


def test_private_keys_stay_loaded() -> None:
    """A private key is loaded once while its record is the same; its plaintext is not kept beside it."""
    barrier = Barrier(ROOT_KEY)
    material, other = pair(barrier), pair(barrier)
    key = barrier.private_key(material)
    assert barrier.private_key(replace(material, description="seen again")) is key
    assert barrier.private_key(other) is not key
    assert not barrier._plaintexts._kept
    with pytest.raises(UnwrapError):
        barrier.private_key(replace(material, wrapped=material.wrapped[:-1]))


def test_private_keys_are_bounded_and_forgotten() -> None:
    """The least recently used goes first; a deleted key's goes, and all go with the root key."""
    barrier = Barrier(ROOT_KEY, cache_size=2)
    first, second, third = (pair(barrier, number) for number in range(3))
    keys = [barrier.private_key(material) for material in (first, second, first, third)]
    assert keys[0] is keys[2]
    assert barrier.private_key(first) is keys[0]
    assert list(barrier._private_keys._kept) == [place(third), place(first)]
    barrier.forget_key(first.key_id)
    assert not barrier._private_keys._kept
    barrier.private_key(second)
    barrier.forget()
    assert not barrier._private_keys._kept
    with pytest.raises(AssertionError):
        barrier.private_key(first)


def test_threads() -> None:
    """Threads that unwrap through a cache too small for them all get what they asked for."""
    barrier = Barrier(ROOT_KEY, cache_size=3)
    plaintexts = {wrapped(barrier, number, bytes([number]) * 32): bytes([number]) * 32 for number in range(8)}
    wrong: list[KeyMaterial] = []

    def unwrap_all() -> None:
        for _ in range(50):
            wrong.extend(key for key, secret in plaintexts.items() if barrier.unwrap_material(key) != secret)

    threads = [threading.Thread(target=unwrap_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
