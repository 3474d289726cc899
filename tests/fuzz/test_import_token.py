"""Fuzz target: any bytes as an import token give the token that was sealed, or InvalidImportTokenException.

The target can be given to a coverage-guided fuzzer as it is. Here Hypothesis drives it, with whole, cut,
joined and damaged tokens in between, and with plaintexts of any shape under the right key.
"""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from agent.api.enums import AlgorithmSpec, WrappingKeySpec
from agent.api.errors import InvalidImportTokenException
from agent.crypto import import_token, wrapping
from agent.crypto.import_token import MAX_TOKEN_BYTES, ImportToken, open_token, seal

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
TOKEN = ImportToken(
    key_id="mrk-" + "0" * 32,
    region="us-east-1",
    algorithm=AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_256,
    wrapping_key_spec=WrappingKeySpec.RSA_4096,
    private_key=bytes(2400),
    valid_to=1_800_000_000.5,
)
GOOD = seal(KEY, TOKEN)
HEAD = GOOD[:21]
FIELD = st.one_of(st.binary(max_size=40), st.sampled_from([b"RSA_2048", b"RSAES_OAEP_SHA_256", b"local"]))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True).map(lambda number: struct.pack(">d", number))


def open_any(sealed: bytes) -> None:
    """The target."""
    try:
        opened = open_token(KEY, sealed)
    except InvalidImportTokenException:
        return
    assert opened == TOKEN


def _damaged(position: int, mask: int) -> bytes:
    at = position % len(GOOD)
    return GOOD[:at] + bytes([GOOD[at] ^ mask]) + GOOD[at + 1 :]


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda rest: HEAD + rest),
        st.integers(0, len(GOOD)).map(lambda end: GOOD[:end]),
        st.binary(min_size=1, max_size=20).map(lambda rest: GOOD + rest),
        st.builds(_damaged, st.integers(0, len(GOOD)), st.integers(1, 255)),
    )
)
@example(GOOD)
@example(GOOD + GOOD)
@example(bytes(MAX_TOKEN_BYTES + 1))
@example(seal(OTHER_KEY, TOKEN))
def test_any_bytes(sealed: bytes) -> None:
    """The invariant holds."""
    open_any(sealed)


@given(NUMBERS, st.lists(FIELD, max_size=7), st.binary(max_size=3))
def test_any_plaintext(expiry: bytes, fields: list[bytes], rest: bytes) -> None:
    """Even under the right key, what is not a token of this version is none."""
    plain = expiry + b"".join(len(part).to_bytes(2, "big") + part for part in fields) + rest
    sealed = HEAD + wrapping.wrap(import_token._key(KEY, HEAD), plain, HEAD)
    try:
        opened = open_token(KEY, sealed)
    except InvalidImportTokenException:
        return
    parts = (opened.key_id, opened.region, opened.algorithm, opened.wrapping_key_spec)
    assert [*(part.encode() for part in parts), opened.private_key] == fields
    assert not rest


@given(
    st.text(max_size=64),
    st.text(max_size=64),
    st.sampled_from(AlgorithmSpec),
    st.sampled_from(WrappingKeySpec),
    st.binary(max_size=4096),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_sealed_is_opened(
    key_id: str,
    region: str,
    algorithm: AlgorithmSpec,
    spec: WrappingKeySpec,
    private_key: bytes,
    valid_to: float,
) -> None:
    """A token comes back whole, is never twice the same bytes, and does not show its key."""
    token = ImportToken(key_id, region, algorithm, spec, private_key, valid_to)
    sealed = seal(KEY, token)
    assert open_token(KEY, sealed) == token
    assert seal(KEY, token) != sealed
    assert "private_key" not in repr(token)
