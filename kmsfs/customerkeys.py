"""Owns keys that a customer brings along, as with S3's SSE-C: known again by a MAC, never stored. Pure.

Such a key wraps data keys, and the volume key of a volume whose own policy has it, by way of a key derived
from it for one volume and one policy. Knows nothing of headers, of files, or of where keys are read from.
"""

import base64
import binascii
import hmac
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from kmsfs import hkdf
from kmsfs.bucketkeys import BucketKey
from kmsfs.errors import CorruptHeaderError, CorruptVolumeError, KeyUnavailableError, KmsfsError
from kmsfs.volume import CustomerCheck, Policy
from kmsfs.wrapping import WRAPPED_KEY_SIZE, Mode, policy_reference

KEY_SIZE: Final = 32
SPELLING_SIZE: Final = 44

_SALT_SIZE: Final = 16
_CHECK_LABEL: Final = b"kmsfs customer 1"
_WRAPPING_LABEL: Final = b"kmsfs wrapping 1"
_VOLUME_KEY_LABEL: Final = b"kmsfs volume key 1"


class CustomerKeyError(KmsfsError):
    """What was given as a customer's key is none, or may not be used."""


@dataclass(frozen=True, slots=True)
class CustomerKeys:
    """The keys that a user gave for one opening of a volume; each policy takes the one that is its own."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    def find(self, policy: Policy, volume_id: bytes) -> BucketKey | None:
        """Return what wraps data keys for a policy of mode customer; None if none of the keys is its own."""
        check = _check(policy)
        mac_matches = (
            key for key in self.keys if hmac.compare_digest(_mac(key, volume_id, check.salt), check.mac)
        )
        key = next(mac_matches, None)
        if key is None:
            return None
        derived = hkdf.expand(key, _WRAPPING_LABEL + volume_id + check.salt)
        return BucketKey(policy_reference(policy.index), derived, Mode.CUSTOMER)

    def require(self, policy: Policy, volume_id: bytes) -> BucketKey:
        """Return what wraps data keys for a policy of mode customer.

        Raises:
            KeyUnavailableError: none of the keys is the policy's.
        """
        wrapping = self.find(policy, volume_id)
        if wrapping is not None:
            return wrapping
        given = "the customer's key given is not" if self.keys else "nobody gave"
        raise KeyUnavailableError(
            f"{given} the one that policy {policy.index} was made with. "
            "Give it with --customer-key-file FILE or --customer-key-fd N.",
        )


NO_CUSTOMER_KEYS: Final = CustomerKeys()


def parse(raw: bytes) -> bytes:
    """Return the key (32 bytes) in what a user gave: the bytes themselves, or base64 and perhaps a newline.

    Raises:
        CustomerKeyError: it is neither.
    """
    if len(raw) == KEY_SIZE:
        return raw
    spelling = raw.removesuffix(b"\n")
    if len(spelling) == SPELLING_SIZE:
        try:
            key = base64.b64decode(spelling, validate=True)
        except binascii.Error:
            key = b""
        if len(key) == KEY_SIZE and base64.b64encode(key) == spelling:
            return key
    raise CustomerKeyError(
        "a customer's key is 32 bytes, or those in base64 (44 characters). Make one with: "
        "(umask 077; openssl rand -base64 32 >FILE)",
    )


def new_check(key: bytes, volume_id: bytes) -> CustomerCheck:
    """Return what a new policy remembers of a key (32 bytes)."""
    salt = os.urandom(_SALT_SIZE)
    return CustomerCheck(salt, _mac(key, volume_id, salt))


def wrap_volume_key(wrapping: BucketKey, volume_key: bytes, volume_id: bytes) -> bytes:
    """Return the 72 bytes that the description keeps in place of a CiphertextBlob."""
    return wrapping.wrap(volume_key, _VOLUME_KEY_LABEL + volume_id)


def unwrap_volume_key(wrapping: BucketKey, wrapped: bytes, volume_id: bytes) -> bytes:
    """Return the volume key (32 bytes).

    Raises:
        CorruptVolumeError: it was not wrapped with this key for this volume.
    """
    # The description is not verified yet: that takes this key.
    if len(wrapped) == WRAPPED_KEY_SIZE:
        with suppress(CorruptHeaderError):
            return wrapping.unwrap(wrapped, _VOLUME_KEY_LABEL + volume_id)
    raise CorruptVolumeError(
        "the volume key in the volume description was changed; restore volume.yaml from a copy",
    )


def _mac(key: bytes, volume_id: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, _CHECK_LABEL + volume_id + salt, "sha256")


def _check(policy: Policy) -> CustomerCheck:
    if policy.customer is None:
        raise AssertionError("a policy of mode customer has a check")
    return policy.customer
