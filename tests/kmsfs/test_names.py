"""Names on the backing store: one-to-one within a directory, refused everywhere else."""

import hashlib
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmsfs import base64url
from kmsfs.errors import CorruptNameError, NameTooLongError, ReservedNameError
from kmsfs.names import (
    LONG_PREFIX,
    SIDECAR_SIZE_MAX,
    PlainNames,
    SivNames,
    StoredName,
    is_long,
    is_reserved,
    long_name_matches,
    sidecar_name,
)

NAMES = SivNames(bytes(range(64)))
DIR_ID = b"directory no. 01"
OTHER_DIR_ID = b"directory no. 02"
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

any_name = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)


def spelling(stored: StoredName) -> bytes:
    """Return what `open` takes for a stored name."""
    return stored.name if stored.sidecar is None else stored.sidecar


@given(any_name)
@example(b"\x01")
@example(b"\xff" * 255)
@example(b".kmsfs")
@example(b"kmsfs.long.x")
def test_names_round_trip(name: bytes) -> None:
    """Any name a directory can hold is stored in at most 255 safe bytes and comes back."""
    stored = NAMES.seal(DIR_ID, name)
    assert stored == NAMES.seal(DIR_ID, name)
    assert len(stored.name) <= 255
    assert not is_reserved(stored.name)
    assert is_long(stored.name) == (stored.sidecar is not None)
    assert set(stored.name) <= set(ALPHABET + b".")
    assert NAMES.open(DIR_ID, spelling(stored)) == name


@given(any_name, any_name)
def test_different_names_are_stored_differently(first: bytes, second: bytes) -> None:
    """Two names share a stored name only if they are one name."""
    assert (NAMES.seal(DIR_ID, first) == NAMES.seal(DIR_ID, second)) == (first == second)


@pytest.mark.parametrize(
    ("size", "stored_size", "sidecar_size"),
    [(1, 43, None), (16, 43, None), (17, 64, None), (160, 235, None), (161, 54, 256), (255, 54, 363)],
)
def test_worked_sizes(size: int, stored_size: int, sidecar_size: int | None) -> None:
    """Stored names have the sizes that format.md works out."""
    stored = NAMES.seal(DIR_ID, b"n" * size)
    assert len(stored.name) == stored_size
    assert (None if stored.sidecar is None else len(stored.sidecar)) == sidecar_size
    assert SIDECAR_SIZE_MAX == 363


def test_a_name_is_good_in_its_directory_only() -> None:
    """A stored name brought into another directory, or under another key, is refused."""
    stored = NAMES.seal(DIR_ID, b"name").name
    with pytest.raises(CorruptNameError):
        NAMES.open(OTHER_DIR_ID, stored)
    with pytest.raises(CorruptNameError):
        SivNames(bytes(64)).open(DIR_ID, stored)


@pytest.mark.parametrize("name", [b"n", b"seventeen bytes ok", b"n" * 255])
def test_every_changed_character_is_refused(name: bytes) -> None:
    """No stored name has a second spelling one character away: stray low bits included."""
    sealed = spelling(NAMES.seal(DIR_ID, name))
    for position in range(len(sealed)):
        for character in b"A-_+/=. \n\xff" + bytes((sealed[position] ^ 1,)):
            changed = sealed[:position] + bytes((character,)) + sealed[position + 1 :]
            if changed != sealed:
                with pytest.raises(CorruptNameError):
                    NAMES.open(DIR_ID, changed)


@pytest.mark.parametrize("change", [b"%s=", b"%s==", b"%sA", b"A%s", b"%s\n", b" %s", b"%s.", b"%s\0"])
def test_longer_spellings_are_refused(change: bytes) -> None:
    """Padding, white space and other additions that lenient decoders skip are refused."""
    for size in (15, 30, 47):
        sealed = NAMES.seal(DIR_ID, b"n" * size).name
        with pytest.raises(CorruptNameError):
            NAMES.open(DIR_ID, change % sealed)


NOT_PADDED_NAMES = {
    "nothing": b"",
    "not padded": b"n",
    "short padding": b"n\0",
    "padding only": bytes(16),
    "padding too long": b"n" * 16 + bytes(16),
    "a slash": b"a/b".ljust(16, b"\0"),
    "a NUL inside": b"a\0b".ljust(16, b"\0"),
    "dot": b".".ljust(16, b"\0"),
    "dot dot": b"..".ljust(16, b"\0"),
    "256 bytes": b"n" * 256,
}


@pytest.mark.parametrize("padded", NOT_PADDED_NAMES.values(), ids=NOT_PADDED_NAMES)
def test_only_one_padding_of_valid_names(padded: bytes) -> None:
    """What only a holder of the key could have sealed is refused all the same unless canonical."""
    sealed = NAMES._siv.encrypt(padded, [b"kmsfs name 1" + DIR_ID]) if padded else b""
    with pytest.raises(CorruptNameError):
        NAMES.open(DIR_ID, base64url.encode(sealed))


def test_long_names_need_their_own_sidecar() -> None:
    """A long name matches its sidecar only, and never a spelling that would fit into a name."""
    first, second = NAMES.seal(DIR_ID, b"a" * 200), NAMES.seal(DIR_ID, b"b" * 200)
    assert first.sidecar is not None
    assert second.sidecar is not None
    assert sidecar_name(first.name) == first.name + b".name"
    assert is_reserved(sidecar_name(first.name))
    assert long_name_matches(first.name, first.sidecar)
    assert not long_name_matches(first.name, second.sidecar)
    assert not long_name_matches(first.name, first.sidecar + b"\n")
    short = NAMES.seal(DIR_ID, b"short").name
    forged = LONG_PREFIX + base64url.encode(hashlib.sha256(short).digest())
    assert is_long(forged)
    assert not long_name_matches(forged, short)


def test_too_long_names_are_refused() -> None:
    """256 bytes are too long for either cipher."""
    for cipher in (NAMES, PlainNames()):
        with pytest.raises(NameTooLongError):
            cipher.seal(DIR_ID, b"n" * 256)


@given(any_name)
def test_plain_names(name: bytes) -> None:
    """Plain names stay themselves, unless they are kmsfs's own."""
    cipher = PlainNames()
    if name.startswith((b".kmsfs", b"kmsfs.long.")):
        with pytest.raises(ReservedNameError):
            cipher.seal(DIR_ID, name)
        with pytest.raises(CorruptNameError):
            cipher.open(DIR_ID, name)
    else:
        assert cipher.seal(DIR_ID, name) == StoredName(name)
        assert cipher.open(DIR_ID, name) == name


@pytest.mark.parametrize("name", [b".kmsfs", b".kmsfs-volume", b".kmsfs.tmp.1", b"kmsfs.long.x", b".kmsfsx"])
def test_reserved_plain_names_are_refused(name: bytes) -> None:
    """Kmsfs's own names cannot be made, nor seen, on a volume with plain names."""
    with pytest.raises(ReservedNameError):
        PlainNames().seal(DIR_ID, name)
    with pytest.raises(CorruptNameError):
        PlainNames().open(DIR_ID, name)


@given(st.binary(max_size=400))
def test_base64url_decodes_what_it_encodes_and_nothing_else(data: bytes) -> None:
    """Decoding undoes encoding, and whatever decodes encodes to the same text."""
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    assert base64url.encoded_size(len(data)) == len(text)
    assert base64url.decoded_size(len(text)) == len(data)
    try:
        decoded = base64url.decode(data)
    except ValueError:
        return
    assert base64url.encode(decoded) == data


def test_seal_does_not_accept_what_is_no_name() -> None:
    """Names that no kernel passes on are bugs of ours."""
    for name in (b"", b".", b"..", b"a/b", b"a\0", os.fsencode("/")):
        with pytest.raises(AssertionError):
            NAMES.seal(DIR_ID, name)
