"""Invariant: what is known of a head by heart is what h11 reads, and it is known only for one whole request.

The target can be given to a coverage-guided fuzzer as it is. Here Hypothesis drives it, with requests put
together of good and bad lines, and cut, joined and damaged ones.
"""

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from agent.heads import MAX_HEADS, Heads
from fuzzing import examples

LINES = (
    b"Host: a\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 3, 3\r\n",
    b"Content-Length: +3\r\n",
    b"content-length:3 \r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"Authorization: x\r\n",
    b"X: y\r\n",
    b"X: y\n",
    b" folded\r\n",
    b"X\r\n",
    b"X: \xff\r\n",
    b"\n",
)
STARTS = (
    b"POST / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\n",
    b"POST / HTTP/1.0\r\n",
    b"GET /status HTTP/1.1\r\n",
    b"\r\n",
)
ENDS = (b"\r\n", b"\n", b"\r\n\r\n", b"")
BODIES = st.sampled_from((b"", b"abc", b"abcd", b"a\r\n\r\nb", b"\r\n\r\n")) | st.binary(max_size=8)
STARTED = st.sampled_from((b"POST / HTTP/1.1\r\nHost: a\r\n", *STARTS))
LENGTH = st.sampled_from((b"Content-Length: 3\r\n", b""))
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
HEADS = st.builds(
    lambda start, length, lines, end: start + length + b"".join(lines) + end,
    STARTED,
    LENGTH,
    st.lists(st.sampled_from(LINES), max_size=2),
    st.sampled_from(ENDS),
)


def read(data: bytes) -> tuple[h11.Request, bytes, bytes] | None:
    """Return what h11 makes of data that came at once: request, body and what is left; None if no request."""
    http = h11.Connection(h11.SERVER)
    http.receive_data(data)
    request, body = None, b""
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, body, http.trailing_data[0]
        else:
            return None


def fuzz_heads(first: bytes, second: bytes) -> None:
    """Any two requests: what is known of the second after the first is what h11 would say."""
    heads = Heads()
    found = read(first)
    if found is not None:
        heads.remember(first, found[0])
    for data in (first, second):
        known = heads.match(data)
        if known is None:
            continue
        head, body = known
        by_h11 = read(data)
        assert by_h11 is not None
        request, read_body, left = by_h11
        assert (head.method, head.target, head.headers) == (
            request.method,
            request.target,
            tuple(request.headers),
        )
        assert (body, left) == (read_body, b"")
        assert not {b"connection", b"expect", b"authorization"} & {name for name, _ in head.headers}


@examples(500)
@given(HEADS, BODIES, BODIES, HEADS)
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\n\n", b"\r\n\r\nb", b"\r\n\r\nabcde", b"")
@example(CHUNKED, b"0\r\n\r\n", b"0\r\n", b"")
def test_any_two_requests(head: bytes, body: bytes, other_body: bytes, other_head: bytes) -> None:
    """The invariant holds for the same head again, with any body, and for another one."""
    fuzz_heads(head + body, head + other_body)
    fuzz_heads(head + body, other_head + body)


@given(BODIES, st.integers(0, 90), st.binary(max_size=3))
def test_the_same_head_with_another_rest(body: bytes, cut: int, more: bytes) -> None:
    """It holds for a head that is known, with its body, less of it or more."""
    first = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    fuzz_heads(first, first[:-3] + body)
    fuzz_heads(first, first[:cut] + more)
    fuzz_heads(first, first + more)


def test_no_more_heads_are_kept_than_said() -> None:
    """Heads that never come again push each other out."""
    heads = Heads()
    for number in range(MAX_HEADS + 10):
        data = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % number
        found = read(data)
        assert found is not None
        heads.remember(data, found[0])
        assert heads.match(data) is not None
    assert heads.match(b"POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n") is None
