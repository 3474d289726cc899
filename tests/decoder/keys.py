"""The keys that a decoder is given, and which one a header names: format.md, sections 4 and 8.1."""

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from decoder.description import Description
from decoder.primitives import expand, hmac_sha256, xaes_open
from decoder.refusal import Refused


@dataclass(frozen=True)
class Keys:
    """What the KMS would give for blobs, and what customers bring along.

    Attributes:
        volume_key: for the blob in the description.
        bucket_keys: by id, for the blobs in the description.
        data_keys: by blob, for those of files in mode direct, each under its own file's context.
        customer_keys: in any order.
    """

    volume_key: bytes = field(repr=False)
    bucket_keys: Mapping[bytes, bytes] = field(repr=False)
    data_keys: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    customer_keys: tuple[bytes, ...] = field(default=(), repr=False)


def read_data_key(raw: bytes, description: Description, keys: Keys) -> bytes:
    """Return the data key in a header, before its commitment is checked."""
    mode, (size,), reference = raw[9], struct.unpack(">H", raw[12:14]), raw[48:64]
    wrapped = raw[96 : 96 + size]
    if mode not in (1, 2, 3) or not 1 <= size <= 280 or (mode != 2 and size != 72):
        raise Refused("a field of the header has a value that the format does not have")
    if any(raw[96 + size : 376]):
        raise Refused("reserved bytes of the header are not zero")
    if mode == 1:
        if reference not in description.bucket_key_ids or reference not in keys.bucket_keys:
            raise Refused("under another bucket key")
        return xaes_open(keys.bucket_keys[reference], wrapped[:24], raw[:96], wrapped[24:])
    index = int.from_bytes(reference[14:])
    if any(reference[:14]) or index >= len(description.policies):
        raise Refused("a key reference is not a policy's")
    policy = description.policies[index]
    if policy.mode != {2: "direct", 3: "customer"}[mode]:
        raise Refused("of another mode than its policy")
    if mode == 2:
        if wrapped not in keys.data_keys:
            raise Refused("the KMS key did not make its data key for this file")
        return keys.data_keys[wrapped]
    wrapping = wrapping_key(keys.customer_keys, description.volume_id, policy.salt, policy.mac)
    return xaes_open(wrapping, wrapped[:24], raw[:96], wrapped[24:])


def wrapping_key(customer_keys: tuple[bytes, ...], volume_id: bytes, salt: bytes, mac: bytes) -> bytes:
    """Return what the one of these keys that a policy was made with leads to."""
    for key in customer_keys:
        if hmac.compare_digest(hmac_sha256(key, b"kmsfs customer 1" + volume_id + salt), mac):
            return expand(key, b"kmsfs wrapping 1" + volume_id + salt, 32)
    raise Refused("no customer's key is the policy's")


def customers_volume_key(wrapping: bytes, wrapped: bytes, volume_id: bytes) -> bytes:
    """Return the volume key of a volume whose own policy is of mode customer."""
    return xaes_open(wrapping, wrapped[:24], b"kmsfs volume key 1" + volume_id, wrapped[24:])
