"""The keys of an open volume, found by policy and by what headers say."""

import pytest

from kmsfs.bucketkeys import BucketKey
from kmsfs.errors import CorruptHeaderError, KeyUnavailableError
from kmsfs.keyring import Keyring, PolicyKeys
from kmsfs.wrapping import Mode, policy_reference

KEY = BucketKey(b"bucket key no. 1", bytes(range(32)))
CUSTOMERS = BucketKey(policy_reference(3), bytes(range(32)), Mode.CUSTOMER)
LOST = b"bucket key no. 2"


def keyring() -> Keyring:
    """Policies: 0 in order, 1 denied, 3 a customer's, 4 a customer's that nobody gave."""
    return Keyring(
        PolicyKeys(0, (KEY,), KEY, {LOST: "it is disabled"}),
        PolicyKeys(1, reason="denied"),
        PolicyKeys(3, (CUSTOMERS,), CUSTOMERS),
        PolicyKeys(4, missing={policy_reference(4): "nobody gave it"}, reason="nobody gave it"),
    )


def test_a_keyring_tells_unavailable_from_foreign() -> None:
    """A key of the volume that could not be had is unavailable; a key of no volume is corruption."""
    keys = keyring()
    assert keys.get(KEY.id, Mode.BUCKET) is KEY
    assert keys.get(CUSTOMERS.id, Mode.CUSTOMER) is CUSTOMERS
    for reference, mode, reason in (
        (LOST, Mode.BUCKET, "it is disabled"),
        (policy_reference(4), Mode.CUSTOMER, "nobody gave it"),
    ):
        with pytest.raises(KeyUnavailableError, match=reason):
            keys.get(reference, mode)


@pytest.mark.parametrize(
    ("reference", "mode"),
    [
        (b"bucket key no. 3", Mode.BUCKET),
        (b"bucket key no. 3", Mode.DIRECT),
        (KEY.id, Mode.CUSTOMER),
        (CUSTOMERS.id, Mode.BUCKET),
        (CUSTOMERS.id, Mode.DIRECT),
        (policy_reference(0), Mode.DIRECT),
        (policy_reference(9), Mode.CUSTOMER),
    ],
)
def test_a_header_names_a_key_in_its_mode(reference: bytes, mode: Mode) -> None:
    """A reference that no policy of that mode has is of a forged header."""
    with pytest.raises(CorruptHeaderError):
        keyring().get(reference, mode)


def test_a_policy_without_a_key_is_refused_when_it_is_used() -> None:
    """New files get the key of their policy, or the reason why there is none."""
    keys = keyring()
    assert keys.new_key() is KEY
    assert keys.new_key(3) is CUSTOMERS
    with pytest.raises(KeyUnavailableError, match="denied"):
        keys.new_key(1)
    with pytest.raises(KeyUnavailableError, match="no policy 2"):
        keys.new_key(2)
    assert keys.reasons() == {1: "denied", 4: "nobody gave it"}
    assert repr(keys) == "Keyring(2 keys, 2 unavailable)"
