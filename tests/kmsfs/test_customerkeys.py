"""Keys that a customer brings along: how they are spelled, known again, and used; none is ever stored."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmsfs import customerkeys, keyfile
from kmsfs.customerkeys import CustomerKeyError, CustomerKeys
from kmsfs.errors import CorruptHeaderError, CorruptVolumeError, KeyUnavailableError
from kmsfs.volume import CUSTOMER, Policy
from kmsfs.wrapping import Mode, policy_reference

VOLUME_ID = b"volume number 01"
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
DATA_KEY, HEAD = b"D" * 32, bytes(96)


def policy(key: bytes = KEY, index: int = 2) -> Policy:
    """Return a new policy of mode customer."""
    return Policy(index, "", CUSTOMER, customer=customerkeys.new_check(key, VOLUME_ID))


@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_a_key_is_its_bytes_or_base64(key: bytes, ends_line: bool) -> None:  # noqa: FBT001 - Hypothesis
    """Both spellings give the key, base64 with a newline too."""
    assert customerkeys.parse(key) == key
    assert customerkeys.parse(base64.b64encode(key) + b"\n" * ends_line) == key


@given(st.binary(max_size=64) | st.text("ABCDab+/=\n", max_size=50).map(str.encode))
def test_nothing_else_is_a_key(raw: bytes) -> None:
    """Whatever is taken for a key has one spelling as bytes or in base64; all else is refused."""
    try:
        key = customerkeys.parse(raw)
    except CustomerKeyError:
        return
    assert raw in (key, base64.b64encode(key), base64.b64encode(key) + b"\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        KEY[:31],
        KEY + b"\n",
        KEY.hex().encode(),
        base64.b64encode(KEY)[:-1],
        base64.b64encode(KEY) + b"\n\n",
        base64.b64encode(KEY[:31] + b"\xff").replace(b"8=", b"9="),
        base64.urlsafe_b64encode(b"\xff" * 32),
    ],
)
def test_a_malformed_key_is_refused_without_being_shown(raw: bytes) -> None:
    """The error says what a key looks like and how to make one, and nothing of what was given."""
    with pytest.raises(CustomerKeyError, match="openssl rand -base64 32") as caught:
        customerkeys.parse(raw)
    assert not raw or repr(raw)[2:-1] not in str(caught.value)


def test_each_policy_takes_its_own_key() -> None:
    """Of several keys given, a policy takes the one that it was made with."""
    first, second = policy(KEY, 2), policy(OTHER, 3)
    given_keys = CustomerKeys((OTHER, KEY))
    for made in (first, second):
        wrapping = given_keys.require(made, VOLUME_ID)
        assert (wrapping.id, wrapping.mode) == (policy_reference(made.index), Mode.CUSTOMER)
        wrapped = wrapping.wrap(DATA_KEY, HEAD)
        assert given_keys.require(made, VOLUME_ID).unwrap(wrapped, HEAD) == DATA_KEY
    with pytest.raises(CorruptHeaderError):
        given_keys.require(first, VOLUME_ID).unwrap(wrapped, HEAD)


def test_one_key_of_two_policies_wraps_under_two() -> None:
    """Policies do not share what wraps their data keys, though they have one customer's key."""
    given_keys = CustomerKeys((KEY,))
    first, second = (given_keys.require(policy(), VOLUME_ID) for _ in range(2))
    with pytest.raises(CorruptHeaderError):
        second.unwrap(first.wrap(DATA_KEY, HEAD), HEAD)


@pytest.mark.parametrize(("keys", "words"), [((), "nobody gave"), ((OTHER,), "is not the one that policy 2")])
def test_a_missing_or_wrong_key_says_what_to_do(keys: tuple[bytes, ...], words: str) -> None:
    """The error tells which policy wants a key, and the options that give one."""
    with pytest.raises(KeyUnavailableError, match=words) as caught:
        CustomerKeys(keys).require(policy(), VOLUME_ID)
    assert "--customer-key-file" in str(caught.value)


def test_a_key_is_known_again_in_its_volume_only() -> None:
    """What a policy remembers of a key is salted, and good for one volume."""
    made = policy()
    assert made.customer != policy().customer
    assert CustomerKeys((KEY,)).find(made, VOLUME_ID) is not None
    assert CustomerKeys((KEY,)).find(made, b"volume number 02") is None


def test_the_volume_key_comes_back() -> None:
    """The volume key of a volume under a customer's key is wrapped under it, for that volume."""
    wrapping = CustomerKeys((KEY,)).require(policy(), VOLUME_ID)
    wrapped = customerkeys.wrap_volume_key(wrapping, DATA_KEY, VOLUME_ID)
    assert customerkeys.unwrap_volume_key(wrapping, wrapped, VOLUME_ID) == DATA_KEY
    for changed, volume_id in (
        (wrapped, b"volume number 02"),
        (wrapped[:-1] + b"\0", VOLUME_ID),
        (b"", VOLUME_ID),
    ):
        with pytest.raises(CorruptVolumeError):
            customerkeys.unwrap_volume_key(wrapping, changed, volume_id)


def test_keys_do_not_show() -> None:
    """No representation holds a key."""
    assert KEY.hex() not in repr(CustomerKeys((KEY,)))
    assert repr(KEY)[2:-1] not in repr(CustomerKeys((KEY,)))


def test_keys_are_read_from_files_and_descriptors(tmp_path: Path) -> None:
    """Each file and each descriptor holds one key; descriptors are closed, so that nobody inherits them."""
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o440)
    reading, writing = os.pipe()
    os.write(writing, base64.b64encode(OTHER) + b"\n")
    os.close(writing)
    assert keyfile.read_all([str(path)], [reading]).keys == (KEY, OTHER)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


@pytest.mark.parametrize("mode", [0o604, 0o666, 0o620])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    """Its file is named, and how to mend that."""
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(CustomerKeyError, match=f"chmod 600 {path}"):
        keyfile.read_all([str(path)], [])


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory, a descriptor that is not open, and endless input are refused by name."""
    with pytest.raises(CustomerKeyError, match="No such file"):
        keyfile.read_all([str(tmp_path / "none")], [])
    tmp_path.chmod(0o700)
    with pytest.raises(CustomerKeyError, match="Is a directory"):
        keyfile.read_all([str(tmp_path)], [])
    with pytest.raises(CustomerKeyError, match="descriptor 999: Bad"):
        keyfile.read_all([], [999])
    endless = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
    with pytest.raises(CustomerKeyError, match=f"descriptor {endless}: a customer's key is 32 bytes"):
        keyfile.read_all([], [endless])
