"""Invariant: bytes in a file of the audit log are what the agent wrote there, or one error says they are not.

For the agent's own reading of lines, digests, the head and the index of uses, and for the verifier's, which
shares no code with it. Here Hypothesis drives them, with real files cut, joined and damaged.
"""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.audit import digest, reading, signed
from agent.audit.chain import GENESIS, BrokenChainError, Link, extend, follow
from agent.audit.checking import digests as checked_digests
from agent.audit.checking import lines as checked_lines
from agent.audit.checking.digests import DigestFileError
from agent.audit.checking.lines import LineError
from agent.audit.digest import DigestError
from agent.audit.errors import AuditUnavailableError
from agent.audit.head import Head, read_head, write_head
from agent.crypto.digestkey import DigestKey
from fuzzing import examples

KEY: Final = DigestKey(bytes(range(32)))
RECORD: Final = (
    b'{"eventName":"Decrypt","eventTime":"2026-01-01T00:00:00Z","requestID":"a","resources":[{"ARN":"b"}]}'
)
LINE, END = extend(GENESIS, RECORD)
SECOND, _ = extend(END, RECORD)
DIGEST: Final = digest.sign(
    None,
    KEY,
    account_id="0" * 12,
    stem="audit-00000001-20260101T000000Z",
    end_time="2026-01-01T00:00:00Z",
    end=GENESIS,
    log_files=(),
)
NAME: Final = DIGEST.digest.digest_file
HEAD: Final = Head(Link(7, "a" * 64), 3)
HEAD_TEXT: Final = b'{"sequence":7,"hash":"%b","digests":3}' % (b"a" * 64)
DEEP: Final = b"[" * 20_000
CHAIN: Final = b',"chain":{"sequence":1,"previous":"%b","hash":"%b"}}\n' % (b"0" * 64, b"0" * 64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a head may lie."""
    return tmp_path_factory.mktemp("log") / "audit.head"


def near(good: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that are almost a good file."""
    place = st.integers(0, len(good))
    return st.one_of(
        st.binary(max_size=300),
        st.just(good),
        place.map(lambda end: good[:end]),
        st.binary(max_size=30).map(lambda more: good + more),
        st.tuples(place, place, st.binary(max_size=4)).map(
            lambda change: good[: change[0]] + change[2] + good[max(change[:2]) :]
        ),
    )


@examples(500)
@given(near(LINE))
@example(SECOND)
@example(DEEP + CHAIN)
@example(b'{"eventTime":"\xff"' + CHAIN)
@example(b'{"a":' * 20_000 + CHAIN)
def test_lines(content: bytes) -> None:
    """Only the line that was written follows the one before; any other is told, by both readers."""
    for first in (True, False):
        try:
            follow(GENESIS if first else END, content)
        except BrokenChainError:
            continue
        assert content == (LINE if first else SECOND)
    try:
        line = checked_lines.read(content)
    except LineError:
        assert content not in (LINE, SECOND)
    else:
        assert content.endswith(b"\n")
        assert line.sequence >= 0
    record = reading.parse(content)
    assert record is None or isinstance(record.event_name, str)


@examples(500)
@given(near(DIGEST.content), st.sampled_from((NAME, "audit-00000002-20260101T000000Z.json")))
@example(DEEP, NAME)
@example(signed.seal(b'{"a":1}', KEY), NAME)
@example(signed.seal(b'{"a":"\xff"}', KEY), NAME)
@example(signed.seal(b'{"a":' + DEEP, KEY), NAME)
def test_digests(content: bytes, name: str) -> None:
    """Only the digest that was signed, under the name that it was signed for, is read by either."""
    good = content == DIGEST.content and name == NAME
    try:
        assert digest.read(name, content, KEY.public_key) == DIGEST
        assert good
    except DigestError:
        assert not good
    try:
        assert checked_digests.read(name, content, KEY.public_key).number == 1
        # A file with something after the signature is read by the verifier if it is the same JSON.
        assert content.rstrip() == DIGEST.content.rstrip()
    except DigestFileError:
        assert not good


@examples(300)
@given(near(HEAD_TEXT))
@example(b'{"sequence":7,"hash":"\xff"}')
@example(DEEP)
@example(b'{"sequence":1e400,"hash":"","digests":0}')
def test_heads(path: Path, content: bytes) -> None:
    """What is no head is told as the log's, not the agent's failure."""
    path.write_bytes(content)
    try:
        head = read_head(path)
    except AuditUnavailableError:
        return
    assert head is not None
    write_head(path, head)
    assert read_head(path) == head


def test_a_head_comes_back(path: Path) -> None:
    """What is written is read."""
    write_head(path, HEAD)
    assert read_head(path) == HEAD


@examples(300)
@given(near(signed.seal(b'{"a":1}', KEY)))
def test_signed_objects(content: bytes) -> None:
    """Nothing is taken for signed but what was."""
    try:
        assert signed.unseal(content, KEY.public_key) == b'{"a":1}'
    except signed.SignatureError:
        return
    assert content == signed.seal(b'{"a":1}', KEY)
