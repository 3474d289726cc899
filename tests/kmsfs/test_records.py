"""Directory records, symlink targets and extended attributes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs import base64url, records
from kmsfs.errors import CorruptRecordError, NameTooLongError
from kmsfs.records import DirectoryRecord, RecordCipher

CIPHER = RecordCipher(bytes(range(64)), bytes(range(32)))
ID = b"directory no. 01"
OTHER_ID = b"directory no. 02"
sixteen_bytes = st.binary(min_size=16, max_size=16)


@given(sixteen_bytes, st.integers(0, 0xFFFF), st.lists(st.binary(min_size=8, max_size=8), max_size=2))
def test_directory_records_round_trip(dir_id: bytes, policy: int, bindings: list[bytes]) -> None:
    """A record comes back, and has the size that format.md works out for its kind."""
    record = DirectoryRecord(dir_id, policy, *bindings)
    sealed = CIPHER.seal(record)
    assert CIPHER.open(sealed) == record
    assert len(sealed) == (47, 58, 68)[len(bindings)]


@given(st.binary(min_size=1, max_size=3055).filter(lambda target: 0 not in target))
def test_targets_round_trip(target: bytes) -> None:
    """A symlink's target comes back, and its length is known from the stored length alone."""
    sealed = CIPHER.seal_target(ID, target)
    assert CIPHER.open_target(ID, sealed) == target
    assert records.target_length(len(sealed)) == len(target)
    assert 23 <= len(sealed) <= 4095


@given(st.binary(max_size=160).filter(lambda rest: 0 not in rest), st.binary(max_size=300))
def test_attributes_round_trip(rest: bytes, value: bytes) -> None:
    """An attribute's name and value come back; the stored name is one that Linux takes."""
    name = b"user." + rest
    stored_name = CIPHER.seal_xattr_name(name)
    stored = CIPHER.seal_xattr_value(ID, name, value)
    assert stored_name.startswith(b"user.kmsfs.")
    assert len(stored_name) <= 255
    assert CIPHER.open_xattr_name(stored_name) == name
    assert CIPHER.open_xattr_value(ID, name, stored) == value
    assert records.xattr_value_length(len(stored)) == len(value)


def test_equal_values_are_stored_differently() -> None:
    """Every stored value has its own nonce."""
    assert len({CIPHER.seal_xattr_value(ID, b"user.n", b"value")[:24] for _ in range(1000)}) == 1000


SEALED = {
    "record": (CIPHER.seal(DirectoryRecord(ID)), CIPHER.open),
    "target": (CIPHER.seal_target(ID, b"../x"), lambda sealed: CIPHER.open_target(ID, sealed)),
    "xattr name": (
        CIPHER.seal_xattr_name(b"user.n").removeprefix(b"user.kmsfs."),
        lambda sealed: CIPHER.open_xattr_name(b"user.kmsfs." + sealed),
    ),
}


@pytest.mark.parametrize("kind", SEALED)
def test_every_changed_character_is_refused(kind: str) -> None:
    """No sealed text has a second spelling; changed, longer and shorter ones are refused."""
    sealed, open_it = SEALED[kind]
    open_it(sealed)
    for position in range(len(sealed)):
        for character in bytes((sealed[position] ^ 1,)) + b"=/+ ":
            with pytest.raises(CorruptRecordError):
                open_it(sealed[:position] + bytes((character,)) + sealed[position + 1 :])
    for changed in (b"", sealed[:-1], sealed + b"=", sealed + b"A", sealed[:22]):
        with pytest.raises(CorruptRecordError):
            open_it(changed)


@pytest.mark.parametrize("kind", SEALED)
def test_one_kind_does_not_pass_for_another(kind: str) -> None:
    """What was sealed as one kind of record is refused as every other."""
    sealed, _ = SEALED[kind]
    for other, (_, open_it) in SEALED.items():
        if other != kind:
            with pytest.raises(CorruptRecordError):
                open_it(sealed)


def test_values_are_good_in_their_place_only() -> None:
    """A target of another directory, and a value of another attribute or inode, is refused."""
    value = CIPHER.seal_xattr_value(ID, b"user.n", b"value")
    moved: list[Callable[[], bytes]] = [
        lambda: CIPHER.open_target(OTHER_ID, CIPHER.seal_target(ID, b"../x")),
        lambda: CIPHER.open_xattr_value(OTHER_ID, b"user.n", value),
        lambda: CIPHER.open_xattr_value(ID, b"user.m", value),
        lambda: CIPHER.open_xattr_value(ID, b"user.n", value[:39]),
        lambda: CIPHER.open_xattr_value(ID, b"user.n", value + b"\0"),
    ]
    for open_it in moved:
        with pytest.raises(CorruptRecordError):
            open_it()


def test_every_bit_of_a_value_counts() -> None:
    """Flipping any bit of a stored attribute value is refused."""
    value = CIPHER.seal_xattr_value(ID, b"user.n", b"value")
    for bit in range(len(value) * 8):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptRecordError):
            CIPHER.open_xattr_value(ID, b"user.n", bytes(changed))


@pytest.mark.parametrize("plain", [b"\0" * 19, b"\1" * 18, b"\2" * 19, b"\1" * 35, b"\4" * 67, b"\3" * 27])
def test_records_of_other_kinds_are_refused(plain: bytes) -> None:
    """A record that authenticates but has another kind or length than format 1 is refused."""
    sealed = base64url.encode(CIPHER._siv.encrypt(plain, [b"kmsfs directory 1"]))
    with pytest.raises(CorruptRecordError):
        CIPHER.open(sealed)


@pytest.mark.parametrize("padded", [b"n", b"n" * 16 + bytes(16), b"a\0b".ljust(16, b"\0"), bytes(32)])
def test_attribute_names_have_one_padding(padded: bytes) -> None:
    """An attribute's name that authenticates but is padded otherwise is refused."""
    sealed = base64url.encode(CIPHER._siv.encrypt(padded, [b"kmsfs xattr name 1"]))
    with pytest.raises(CorruptRecordError):
        CIPHER.open_xattr_name(b"user.kmsfs." + sealed)


def test_foreign_attribute_names_are_refused() -> None:
    """An attribute that kmsfs did not name is refused."""
    with pytest.raises(CorruptRecordError):
        CIPHER.open_xattr_name(b"user.comment")


def test_too_long_is_refused() -> None:
    """Targets and attribute names that would not fit once sealed are too long."""
    with pytest.raises(NameTooLongError):
        CIPHER.seal_target(ID, b"t" * 3056)
    with pytest.raises(NameTooLongError):
        CIPHER.seal_xattr_name(b"user." + b"n" * 161)


@pytest.mark.parametrize("size", [0, 1, 21, 22, 25, 29])
def test_sizes_that_no_target_has(size: int) -> None:
    """A stored size that no target leads to is refused."""
    with pytest.raises(CorruptRecordError):
        records.target_length(size)


def test_sizes_that_no_value_has() -> None:
    """A stored value has at least its salt, nonce and tag."""
    with pytest.raises(CorruptRecordError):
        records.xattr_value_length(39)
