"""Owns how a JSON object carries its own signature. Pure; knows nothing of what the object says.

The last member is `signature`, 128 hexadecimal digits over all bytes before `,"signature":`, as they stand:
nothing has to be canonical, and `head -c -145` of such a file is what was signed.
"""

from typing import Final

from agent.crypto.digestkey import SIGNATURE_BYTES, DigestKey, PublicKey

_AT: Final = b',"signature":"'
_END: Final = b'"}\n'
TAIL_BYTES: Final = len(_AT) + 2 * SIGNATURE_BYTES + len(_END)


class SignatureError(Exception):
    """The object was not signed by this key, or was changed since."""


def seal(document: bytes, key: DigestKey) -> bytes:
    """Return a JSON object, with at least one member, as a signed line."""
    signed = document[:-1]
    return b"".join((signed, _AT, key.sign(signed).hex().encode(), _END))


def signature_of(content: bytes) -> str:
    """Return the signature that a line carries, in hexadecimal digits."""
    return content[-TAIL_BYTES:][len(_AT) : -len(_END)].decode()


def unseal(content: bytes, key: PublicKey) -> bytes:
    """Return the object of a signed line, without its signature.

    Raises:
        SignatureError: it was not signed by this key, or was changed.
    """
    signed, tail = content[:-TAIL_BYTES], content[-TAIL_BYTES:]
    digits = tail[len(_AT) : -len(_END)]
    if tail != b"".join((_AT, digits, _END)):
        raise SignatureError
    try:
        signature = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise SignatureError from None
    if not key.verifies(signature, signed):
        raise SignatureError
    return signed + b"}"
