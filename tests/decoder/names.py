"""Names, records, bindings, link targets, attributes: format.md, sections 6, 7, 9 and 10."""

import hashlib
import hmac

from decoder.primitives import base64url_decode, expand, hmac_sha256, siv_open, xaes_open
from decoder.refusal import Refused


class Sealed:
    """Opens everything that hangs on the volume key.

    Args:
        volume_key: 32 bytes.
        volume_id: 16 bytes.
    """

    def __init__(self, volume_key: bytes, volume_id: bytes) -> None:
        self._names = expand(volume_key, b"kmsfs names 1" + volume_id, 64)
        self._records = expand(volume_key, b"kmsfs records 1" + volume_id, 64)
        self._xattr = expand(volume_key, b"kmsfs xattr 1" + volume_id, 32)
        self._bindings = expand(volume_key, b"kmsfs bindings 1" + volume_id, 32)

    def binding(self, dir_id: bytes, name: bytes) -> bytes:
        """Return the binding of the place of an entry; the root directory's has 16 zero bytes and no name."""
        return hmac_sha256(self._bindings, b"kmsfs binding 1" + dir_id + name)[:16]

    def note_allows(self, file_id: bytes, note: bytes, place: bytes) -> bool:
        """Say whether a note that authenticates tells that a file may be at a place."""
        body, tag = note[:-16], note[-16:]
        if not hmac.compare_digest(hmac_sha256(self._bindings, b"kmsfs moved 1" + file_id + body)[:16], tag):
            return False
        if len(body) not in {1, 33} or body[0] != {1: 2, 33: 1}[len(body)]:
            raise Refused("a note that the format does not have")
        return len(body) == 1 or place in (body[1:17], body[17:33])

    def name(self, dir_id: bytes, spelling: bytes) -> bytes:
        """Return the plain name of a spelling."""
        padded = siv_open(self._names, b"kmsfs name 1" + dir_id, base64url_decode(spelling))
        name = padded.rstrip(b"\0")
        if not 1 <= len(name) <= 255 or b"\0" in name or b"/" in name or name in (b".", b".."):
            raise Refused("not a name")
        if len(padded) != -(-len(name) // 16) * 16:
            raise Refused("not the one padding of a name")
        return name

    def long_name(self, dir_id: bytes, stored: bytes, sidecar: bytes) -> bytes:
        """Return the plain name of a long name with its sidecar."""
        if not 256 <= len(sidecar) <= 363:
            raise Refused("a sidecar of a size that none has")
        if base64url_decode(stored.removeprefix(b"kmsfs.long.")) != hashlib.sha256(sidecar).digest():
            raise Refused("the sidecar of another name")
        return self.name(dir_id, sidecar)

    def record(self, target: bytes) -> tuple[bytes, list[bytes]]:
        """Return the dir_id and the bindings in a directory's record."""
        record = siv_open(self._records, b"kmsfs directory 1", base64url_decode(target))
        if len(record) != {1: 19, 2: 27, 3: 35}.get(record[0] if record else 0):
            raise Refused("not a directory's record")
        return record[3:19], [record[at : at + 8] for at in range(19, len(record), 8)]

    def target(self, dir_id: bytes, stored: bytes) -> bytes:
        """Return the target of a symbolic link."""
        target = siv_open(self._records, b"kmsfs target 1" + dir_id, base64url_decode(stored))
        if not target:
            raise Refused("an empty target")
        return target

    def xattr_name(self, stored: bytes) -> bytes:
        """Return the plain name of a sealed attribute."""
        spelling = base64url_decode(stored.removeprefix(b"user.kmsfs."))
        padded = siv_open(self._records, b"kmsfs xattr name 1", spelling)
        rest = padded.rstrip(b"\0")
        if len(padded) != max(16, -(-len(rest) // 16) * 16) or b"\0" in rest:
            raise Refused("not the one padding of an attribute's name")
        return b"user." + rest

    def xattr_value(self, owner: bytes, name: bytes, stored: bytes) -> bytes:
        """Return the value of a sealed attribute."""
        return xaes_open(self._xattr, stored[:24], b"kmsfs xattr value 1" + owner + name, stored[24:])
