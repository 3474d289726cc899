"""Invariant: bytes are a CiphertextBlob, a marker, a configuration or a seal, or one error says they are not.

These are short; each target can be given to a coverage-guided fuzzer as it is.
"""

import binascii
import contextlib
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.api.errors import InvalidCiphertextException, InvalidMarkerException
from agent.config import ConfigError, parse
from agent.crypto import blob as blobs
from agent.operations.pages import page
from agent.places import system_places
from agent.seal.descriptor import descriptor_path, read_descriptor
from agent.seal.errors import SealError
from fuzzing import examples

MATERIAL_ID: Final = "a1" * 32
KEY: Final = bytes(range(32))
BLOB: Final = blobs.seal_with(MATERIAL_ID, KEY, b"message", b"context", bytes(28))
LISTING: Final = ("a", "b", "c")
MARKER: Final = page(LISTING, str, 1, None, "ListKeys")[1] or ""
SOURCE: Final = Path("/etc/kms-agent/config.yaml")
YAML: Final = (
    *("region: a\n", "regions: [a, b]\n", "listen:\n", "  - address: 127.0.0.1\n", "    port: 1\n"),
    *("limits: {connections: 1}\n", "quotas:\n  requests:\n    ListKeys: {per_second: .nan}\n", "&a [*a]\n"),
    *("principals:\n  - uid: 1\n", "    principal: x\n", "!!python/object:os.system {}\n"),
    *("a: &a [1]\nb: *a\n", "socket: /x\n", "socket_mode: '0600'\n", "- \n", "{" * 200, "? ["),
    *("\t", "\0", "1: 2\n", "region: a\nregion: b\n"),
)
YAML_FILES: Final = st.lists(st.sampled_from(YAML), max_size=6).map(lambda lines: "".join(lines).encode())


@examples(500)
@given(
    st.binary(max_size=300)
    | st.integers(0, len(BLOB)).map(lambda end: BLOB[:end])
    | st.builds(
        lambda place, mask: BLOB[:place] + bytes([BLOB[place] ^ mask]) + BLOB[place + 1 :],
        st.integers(0, len(BLOB) - 1),
        st.integers(0, 255),
    )
    | st.binary(max_size=3).map(lambda more: BLOB + more)
)
def test_ciphertext_blobs(content: bytes) -> None:
    """Nothing opens but what was sealed."""
    try:
        assert blobs.open(blobs.parse(content), KEY, b"context") == b"message"
    except InvalidCiphertextException:
        assert content != BLOB
    else:
        assert content == BLOB


@examples(500)
@given(
    st.text(max_size=60)
    | st.integers(0, len(MARKER)).map(lambda end: MARKER[:end])
    | st.builds(
        lambda place, character: MARKER[:place] + character + MARKER[place + 1 :],
        st.integers(0, len(MARKER) - 1),
        st.characters(),
    ),
    st.sampled_from(("ListKeys", "ListAliases")),
)
@example("\ud800", "ListKeys")
@example(MARKER + "=", "ListKeys")
def test_markers(marker: str, listing: str) -> None:
    """A marker of another listing, or of none, is refused; what is taken says where the listing goes on."""
    try:
        items, _ = page(LISTING, str, 1, marker, listing)
    except InvalidMarkerException:
        assert (marker, listing) != (MARKER, "ListKeys")
        return
    assert list(items) == ["b"]
    assert listing == "ListKeys"
    assert urlsafe_b64decode(_padded(marker)) == urlsafe_b64decode(_padded(MARKER))


@examples(300)
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(YAML), max_size=6).map(lambda lines: "".join(lines).encode())
)
@example(b"[" * 500)
@example(b"a: " * 200)
def test_configurations(content: bytes) -> None:
    """A configuration, or the error for what is none."""
    with contextlib.suppress(ConfigError):
        parse(content, SOURCE, system_places())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory that has nothing but a seal."""
    return tmp_path_factory.mktemp("state")


@examples(300)
@given(
    st.binary(max_size=200)
    | st.sampled_from((b"[" * 3_000, b'{"format":"\xff"}', b'{"format":1e400}', b"{}"))
)
@example(b'{"format":"\xff"}')
@example(b"[" * 3_000)
def test_descriptors(directory: Path, content: bytes) -> None:
    """Nothing that somebody else wrote is a seal."""
    descriptor_path(directory).write_bytes(content)
    with pytest.raises(SealError):
        read_descriptor(directory)


def _padded(marker: str) -> bytes:
    try:
        return marker.encode("ascii") + b"=" * (-len(marker) % 4)
    except UnicodeEncodeError:
        raise binascii.Error from None
