"""Owns the subkeys of the volume key. Knows nothing of what they seal, or where the volume key comes from."""

from dataclasses import dataclass, field
from typing import Final, Self

from kmsfs import hkdf

_VOLUME_KEY_SIZE: Final = 32
_ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class VolumeKeys:
    """One key per purpose, each HKDF-Expand of the volume key under a label of its own.

    Attributes:
        names: AES-256-SIV key of names, 64 bytes.
        records: AES-256-SIV key of directory records, symlink targets and attribute names, 64 bytes.
        xattr: XAES-256-GCM key of attribute values, 32 bytes.
        mac: HMAC-SHA-256 key of the volume description, 32 bytes.
        bindings: HMAC-SHA-256 key of bindings, 32 bytes.
    """

    names: bytes = field(repr=False)
    records: bytes = field(repr=False)
    xattr: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    bindings: bytes = field(repr=False)

    @classmethod
    def derive(cls, volume_key: bytes, volume_id: bytes) -> Self:
        """Return the subkeys of `volume_key` (32 bytes) for the volume `volume_id` (16 bytes)."""
        if len(volume_key) != _VOLUME_KEY_SIZE or len(volume_id) != _ID_SIZE:
            raise AssertionError("a volume key has 32 bytes, a volume id 16")
        return cls(
            names=hkdf.expand(volume_key, b"kmsfs names 1" + volume_id, 64),
            records=hkdf.expand(volume_key, b"kmsfs records 1" + volume_id, 64),
            xattr=hkdf.expand(volume_key, b"kmsfs xattr 1" + volume_id),
            mac=hkdf.expand(volume_key, b"kmsfs mac 1" + volume_id),
            bindings=hkdf.expand(volume_key, b"kmsfs bindings 1" + volume_id),
        )
