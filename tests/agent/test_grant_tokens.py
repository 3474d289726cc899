"""Grant tokens: only what was made with the key is read, and every changed bit is noticed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.crypto.grant_tokens import NONCE_SIZE, GrantTokenError, TokenOf, make_token, read_token

KEY: Final = bytes(range(32))
NONCE: Final = bytes(range(100, 100 + NONCE_SIZE))
NAMED: Final = TokenOf("eu-west-1", "mrk-1234abcd12ab34cd56ef1234567890ab", "5f" * 32)
TOKEN: Final = make_token(KEY, NAMED, NONCE)

HEX: Final = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES: Final = st.builds(
    TokenOf,
    region=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    key_id=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    grant_id=HEX,
)


@given(NAMES, st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE))
def test_a_token_names_its_grant(named: TokenOf, nonce: bytes) -> None:
    """What was put in comes out; the token is plain text within AWS's limit."""
    token = make_token(KEY, named, nonce)
    assert read_token(KEY, token) == named
    assert token.isascii()
    assert len(token) <= 8192


def test_tokens_of_one_grant_differ() -> None:
    """Another nonce makes another token of the same grant."""
    other = make_token(KEY, NAMED, bytes(NONCE_SIZE))
    assert other != TOKEN
    assert read_token(KEY, other) == read_token(KEY, TOKEN)


def test_every_flipped_bit_is_noticed() -> None:
    """No bit of a token can be changed: version, nonce, ids and tag are all authenticated."""
    raw = bytearray(urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4)))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(GrantTokenError):
            read_token(KEY, urlsafe_b64encode(changed).decode().rstrip("="))


def test_every_changed_character_is_noticed() -> None:
    """A token has one spelling: no character can be another, be left out or be added."""
    others = "Aa0-_+/= \n.é"
    for place in range(len(TOKEN) + 1):
        for other in others:
            spellings = {TOKEN[:place] + other + TOKEN[place:], TOKEN[:place] + other + TOKEN[place + 1 :]}
            for spelling in (spellings | {TOKEN[:place], TOKEN[place:]}) - {TOKEN}:
                with pytest.raises(GrantTokenError):
                    read_token(KEY, spelling)


@given(st.integers(0, 255), st.text(max_size=2), st.binary(max_size=300))
def test_nothing_else_is_a_token(flipped: int, prefix: str, noise: bytes) -> None:
    """Tokens made with another key, and any other text, are refused without another error."""
    other = bytearray(KEY)
    other[flipped // 8] ^= 1 << flipped % 8
    for text in (prefix, prefix + urlsafe_b64encode(noise).decode(), noise.decode("latin-1")):
        with pytest.raises(GrantTokenError):
            read_token(KEY, text)
    with pytest.raises(GrantTokenError):
        read_token(bytes(other), TOKEN)
