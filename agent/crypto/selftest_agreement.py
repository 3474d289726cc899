"""Owns the known-answer tests of shared secrets and of envelopes that run before anything else.

Each uses the code that the agent uses. Sources: ECDH: RFC 5903, sections 8.1 to 8.3. ML-KEM: key generation
from the first seed of "kat_MLKEM_768" and "kat_MLKEM_1024" in pyca/cryptography; the secret of a ciphertext
of zeros, which is rejected implicitly, is SHAKE256(z, ciphertext) by FIPS 203, algorithm 18. AES-256-CBC:
NIST SP 800-38A, section F.2.5, of which the first block is enough: the padding makes another one.

Encapsulation uses fresh random bytes and so has no known answer: it is undone instead.
"""

from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import derive_private_key

from agent.api.enums import KeySpec
from agent.crypto import agreement, ecc, enveloped, keypairs, mlkem
from agent.crypto.kdf import sha256

# Both private keys, and the secret that they share.
_ECDH: Final[Mapping[KeySpec, tuple[str, str, str]]] = {
    KeySpec.ECC_NIST_P256: (
        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    ),
    KeySpec.ECC_NIST_P384: (
        "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
        "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
    ),
    KeySpec.ECC_NIST_P521: (
        (
            "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0"
            "95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d4a52"
        ),
        (
            "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e"
            "9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb151685eb9"
        ),
        (
            "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04"
            "d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3ddea"
        ),
    ),
}

_ML_KEM_SEED: Final = bytes.fromhex(
    "6dbbc4375136df3b07f7c70e639e223e177e7fd53b161b3f4d57791794f12624"
    "f696484048ec21f96cf50a56d0759c448f3779752f0383d37449690694cf7a68"
)
# The public key's SHA-256, and the secret of a ciphertext of so many zeros.
_ML_KEM: Final[Mapping[KeySpec, tuple[str, int, str]]] = {
    KeySpec.ML_KEM_768: (
        "4bec4730f26273c6319ef7387dd4758315240a9394cd89264b148b9113060b61",
        1088,
        "cf015c2169c6d9f1f45ec20a14a9e67e7b276215d9c6eb76c2257f461fa7ad8d",
    ),
    KeySpec.ML_KEM_1024: (
        "b6dff88f25fef3b0bbee12f9c5fe8174c6df6f300e0d975419cef692759d6906",
        1568,
        "c11ce57aac27525ce2c0f8781d130d4f999cecd1a2ab4c17bb6e7737fbe91bf0",
    ),
}

_CBC_KEY: Final = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
_CBC_PLAINTEXT: Final = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
_CBC_CIPHERTEXT: Final = bytes.fromhex("f58c4c04d6e5f1ba779eabfb5f7bfbd6")


def _ecdh() -> bool:
    for spec, (one, other, secret) in _ECDH.items():
        curve = ecc.CURVES[spec]
        keys = [derive_private_key(int(number, 16), curve) for number in (one, other)]
        for mine, theirs in (keys, reversed(keys)):
            if agreement.derive(mine, keypairs.encode_public(theirs.public_key())).hex() != secret:
                return False
    return True


def _ml_kem() -> bool:
    for spec, (public_key, size, rejected) in _ML_KEM.items():
        key = mlkem.PRIVATE_KEYS[spec].from_seed_bytes(_ML_KEM_SEED)
        secret, ciphertext = mlkem.encapsulate(key.public_key())
        if (
            sha256(key.public_key().public_bytes_raw()).hex() != public_key
            or mlkem.decapsulate(key, ciphertext) != secret
            or mlkem.decapsulate(key, bytes(size)).hex() != rejected
        ):
            return False
    return True


def _aes_cbc() -> bool:
    return enveloped.encrypt_content(_CBC_KEY, bytes(range(16)), _CBC_PLAINTEXT)[:16] == _CBC_CIPHERTEXT


PRIMITIVES: Final[tuple[tuple[str, Callable[[], bool]], ...]] = (
    ("ECDH", _ecdh),
    ("ML-KEM", _ml_kem),
    ("AES-256-CBC", _aes_cbc),
)
