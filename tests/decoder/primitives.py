"""The primitives of format.md, section 2, each built from smaller ones than the program uses."""

import hashlib
import hmac
import string

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import cmac, hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode

from decoder.refusal import Refused

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def expand(key: bytes, info: bytes, size: int) -> bytes:
    """HKDF-Expand with SHA-256."""
    return HKDFExpand(hashes.SHA256(), size, info).derive(key)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.new(key, data, hashlib.sha256).digest()


def base64url_decode(text: bytes) -> bytes:
    """Decode unpadded base64url, one character at a time; refuse every other spelling."""
    bits = count = 0
    raw = bytearray()
    for character in text.decode("latin-1"):
        value = ALPHABET.find(character)
        if value < 0:
            raise Refused(f"{character!r} is not in the alphabet of base64url")
        bits = bits << 6 | value
        count += 6
        if count >= 8:
            count -= 8
            raw.append(bits >> count & 0xFF)
    if count == 6 or bits & ((1 << count) - 1):
        raise Refused("not the one spelling in base64url")
    return bytes(raw)


def xaes_open(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes:
    """XAES-256-GCM, its key derivation by the library's SP 800-108 KDF in counter mode with CMAC."""
    if len(nonce) != 24 or len(sealed) < 16:
        raise Refused("too short for XAES-256-GCM")
    derivation = KBKDFCMAC(
        algorithm=algorithms.AES256,
        mode=Mode.CounterMode,
        length=32,
        rlen=2,
        llen=None,
        location=CounterLocation.BeforeFixed,
        label=None,
        context=None,
        fixed=b"X\0" + nonce[:12],
    )
    cipher = Cipher(algorithms.AES256(derivation.derive(key)), modes.GCM(nonce[12:], sealed[-16:]))
    decryptor = cipher.decryptor()
    decryptor.authenticate_additional_data(ad)
    plain = decryptor.update(sealed[:-16])
    try:
        decryptor.finalize()
    except InvalidTag:
        raise Refused("XAES-256-GCM: the tag is wrong") from None
    return plain


def siv_open(key: bytes, ad: bytes, sealed: bytes) -> bytes:
    """AES-256-SIV (RFC 5297 section 2.7) with one associated data string, from CMAC and CTR."""
    if len(key) != 64 or len(sealed) < 16:
        raise Refused("too short for AES-SIV")
    iv, ciphertext = sealed[:16], sealed[16:]
    counter = bytearray(iv)
    counter[8] &= 0x7F
    counter[12] &= 0x7F
    plain = Cipher(algorithms.AES256(key[32:]), modes.CTR(bytes(counter))).decryptor().update(ciphertext)
    if not hmac.compare_digest(s2v(key[:32], [ad], plain), iv):
        raise Refused("AES-SIV: the synthetic IV is wrong")
    return plain


def s2v(key: bytes, strings: list[bytes], last: bytes) -> bytes:
    """S2V (RFC 5297 section 2.4) of associated data strings and a plaintext."""
    digest = _cmac(key, bytes(16))
    for item in strings:
        digest = _xor(_double(digest), _cmac(key, item))
    if len(last) >= 16:
        return _cmac(key, last[:-16] + _xor(last[-16:], digest))
    padded = last + b"\x80" + bytes(15 - len(last))
    return _cmac(key, _xor(_double(digest), padded))


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def _double(block: bytes) -> bytes:
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = value & ((1 << 128) - 1) ^ 0x87
    return value.to_bytes(16, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
