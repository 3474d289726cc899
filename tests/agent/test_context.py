"""The encoding of encryption contexts: one for each context, whatever the order."""

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from agent.crypto import context

TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=6)
CONTEXTS = st.dictionaries(TEXT, TEXT, max_size=4)


@given(CONTEXTS, CONTEXTS)
@example({"a": "bc"}, {"ab": "c"})
@example({"a": "", "b": ""}, {"a": "b"})
@example({"a": "1", "b": "2"}, {"a": "1b2"})
@example({"\u00e9": ""}, {"e\u0301": ""})
@example({"\ud800\udc00": ""}, {"\U00010000": ""})
def test_injective(one: dict[str, str], other: dict[str, str]) -> None:
    """Two contexts have the same bytes exactly if they are equal."""
    assert (context.encode(one) == context.encode(other)) == (one == other)


@given(CONTEXTS, st.randoms())
def test_order_does_not_count(pairs: dict[str, str], random: Random) -> None:
    """The order in which a caller wrote the pairs does not show."""
    shuffled = list(pairs.items())
    random.shuffle(shuffled)
    assert context.encode(dict(shuffled)) == context.encode(pairs)


def test_case_counts() -> None:
    """Keys and values are compared exactly."""
    assert context.encode({"Purpose": "x"}) != context.encode({"purpose": "x"})


def test_layout() -> None:
    """The bytes are those of the layout in the module, so that blobs sealed today open tomorrow."""
    assert context.encode({"b": "", "a": "é"}) == (
        b"kms-agent encryption context 1"
        b"\x00\x00\x00\x02"
        b"\x00\x00\x00\x01a\x00\x00\x00\x02\xc3\xa9"
        b"\x00\x00\x00\x01b\x00\x00\x00\x00"
    )
