"""Fuzz target: a text is a grant token only if it was made with the key, whatever it looks like.

The target can be given to a coverage-guided fuzzer as it is. Here Hypothesis drives it, with whole, cut,
doubled and damaged tokens in between.
"""

from hypothesis import given
from hypothesis import strategies as st

from agent.crypto.grant_tokens import NONCE_SIZE, GrantTokenError, TokenOf, make_token, read_token
from fuzzing import examples

KEY = b"k" * 32
NAMED = TokenOf("local", "1234abcd-12ab-34cd-56ef-1234567890ab", "0a" * 32)
GOOD = make_token(KEY, NAMED, bytes(NONCE_SIZE))
FOREIGN = make_token(b"l" * 32, NAMED, bytes(NONCE_SIZE))
PIECES = (
    GOOD,
    GOOD[:40],
    GOOD[40:],
    FOREIGN,
    FOREIGN[40:],
    "=",
    "==",
    "-",
    "_",
    "+",
    "/",
    " ",
    "\n",
    "é",
    "\0",
)


def fuzz_grant_token(data: bytes) -> None:
    """Any bytes: refused in one way, or the one good token."""
    text = data.decode("utf-8", "replace")
    try:
        named = read_token(KEY, text)
    except GrantTokenError:
        return
    assert text == GOOD
    assert named == NAMED


@examples(1000)
@given(
    st.binary(max_size=400) | st.lists(st.sampled_from(PIECES), max_size=6).map(lambda p: "".join(p).encode())
)
def test_any_text(data: bytes) -> None:
    """No text but the token passes."""
    fuzz_grant_token(data)


@examples(500)
@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_damaged_tokens(place: int, character: str) -> None:
    """A token with one character changed does not pass."""
    fuzz_grant_token((GOOD[:place] + character + GOOD[place + 1 :]).encode("utf-8", "surrogatepass"))
