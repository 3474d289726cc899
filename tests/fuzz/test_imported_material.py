"""Fuzz target: any bytes as material for any spec are refused as IncorrectKeyMaterial, or are a proven key.

The target can be given to a coverage-guided fuzzer as it is. Here Hypothesis drives it, with private keys of
every kind, whole, cut, joined, damaged and declared as what they are not.
"""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from agent.api.enums import KeySpec
from agent.api.errors import IncorrectKeyMaterialException, UnsupportedOperationException
from agent.crypto import importing
from agent.crypto.generation import generate
from agent.crypto.specs import require_supported
from fuzzing import examples

SLOW = {KeySpec.RSA_3072, KeySpec.RSA_4096}


def _is_supported(spec: KeySpec) -> bool:
    try:
        require_supported(spec)
    except UnsupportedOperationException:
        return False
    return True


SPECS = [spec for spec in KeySpec if _is_supported(spec)]


@cache
def good(spec: KeySpec) -> bytes:
    """Return material of a spec."""
    return generate(KeySpec.RSA_2048 if spec in SLOW else spec).plaintext


def read_any(spec: KeySpec, plaintext: bytes) -> None:
    """The target."""
    try:
        material = importing.read(spec, plaintext)
    except IncorrectKeyMaterialException:
        return
    assert importing.read(spec, material.plaintext) == material
    assert importing.identity(material)


def _damaged(spec: KeySpec, position: int, mask: int) -> bytes:
    content = good(spec)
    at = position % len(content)
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


ORIGINALS = st.sampled_from(SPECS)
MATERIALS = st.one_of(
    st.binary(max_size=200),
    ORIGINALS.map(good),
    st.builds(_damaged, ORIGINALS, st.integers(0, 3000), st.integers(1, 255)),
    # The first bytes are where kinds, lengths and curves are told.
    st.builds(_damaged, ORIGINALS, st.integers(0, 60), st.integers(1, 255)),
    st.builds(lambda spec, end: good(spec)[:end], ORIGINALS, st.integers(0, 3000)),
    st.builds(lambda spec, rest: good(spec) + rest, ORIGINALS, st.binary(min_size=1, max_size=20)),
)


@examples(400)
@given(ORIGINALS, MATERIALS)
def test_any_bytes(spec: KeySpec, plaintext: bytes) -> None:
    """The invariant holds."""
    read_any(spec, plaintext)


@given(st.data())
def test_damaged_material_of_its_own_kind(data: st.DataObject) -> None:
    """It holds where a damaged key is taken for what it was, too."""
    spec = data.draw(ORIGINALS)
    read_any(spec, _damaged(spec, data.draw(st.integers(0, 3000)), data.draw(st.integers(1, 255))))
