"""Owns CMS EnvelopedData (RFC 5652, section 6) as AWS KMS answers it to an attested recipient.

One recipient, known by the SHA-256 of its public key: RSAES-OAEP with SHA-256 (RFC 4056, section 4) carries
a fresh AES-256 key, and AES-256-CBC (RFC 3565) the content. The outer layers are of indefinite length, as
AWS writes them: the AWS Nitro Enclaves SDK for C reads no other form.
"""

import hashlib
import os
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from agent.crypto.keypairs import encode_public

_KEY_SIZE: Final = 32
_IV_SIZE: Final = 16
_BLOCK_BITS: Final = 128

_VERSION_2: Final = bytes.fromhex("020102")
_ENVELOPED_DATA: Final = bytes.fromhex("06092a864886f70d010703")
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")
_OAEP_SHA_256: Final = bytes.fromhex(
    "303c06092a864886f70d010107302f"  # id-RSAES-OAEP, and its parameters:
    "a00f300d06096086480165030402010500"  # hash: SHA-256
    "a11c301a06092a864886f70d010108300d06096086480165030402010500"  # mask: MGF1 with SHA-256
)

_OCTET_STRING: Final = 0x04
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_SUBJECT_KEY_IDENTIFIER: Final = 0x80
_CONTEXT_0: Final = 0xA0
_LONG_LENGTH: Final = 0x80
_INDEFINITE: Final = b"\x80"
_END_OF_CONTENTS: Final = b"\0\0"


def seal(public_key: RSAPublicKey, plaintext: bytes) -> bytes:
    """Return a ContentInfo that only the private key opens; up to 4096 bytes make fewer than 6144."""
    content_key, iv = os.urandom(_KEY_SIZE), os.urandom(_IV_SIZE)
    digest = hashes.SHA256()
    encrypted_key = public_key.encrypt(content_key, OAEP(MGF1(digest), digest, None))
    recipient = _definite(
        _SEQUENCE,
        _VERSION_2,
        _definite(_SUBJECT_KEY_IDENTIFIER, hashlib.sha256(encode_public(public_key)).digest()),
        _OAEP_SHA_256,
        _definite(_OCTET_STRING, encrypted_key),
    )
    content = _indefinite(
        _SEQUENCE,
        _DATA,
        _definite(_SEQUENCE, _AES_256_CBC, _definite(_OCTET_STRING, iv)),
        _indefinite(_CONTEXT_0, _definite(_OCTET_STRING, encrypt_content(content_key, iv, plaintext))),
    )
    enveloped = _indefinite(_SEQUENCE, _VERSION_2, _definite(_SET, recipient), content)
    return _indefinite(_SEQUENCE, _ENVELOPED_DATA, _indefinite(_CONTEXT_0, enveloped))


def encrypt_content(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return the plaintext, padded as CMS has it, in AES-256-CBC."""
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    cipher = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(plaintext) + padder.finalize()) + cipher.finalize()


def _definite(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < _LONG_LENGTH:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, _LONG_LENGTH | len(digits)]) + digits + content


def _indefinite(tag: int, *parts: bytes) -> bytes:
    return bytes([tag]) + _INDEFINITE + b"".join(parts) + _END_OF_CONTENTS
