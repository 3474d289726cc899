"""The primitives against published vectors, through the functions that the agent uses."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from agent.crypto import kdf

# NIST CAVP gcmEncryptExtIV256.rsp (Count 0 of three sections), then McGrew and Viega, test cases 13, 14, 16:
# key, nonce, plaintext, additional data, ciphertext, tag.
GCM = [
    (
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ),
    (
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "",
        "fa4362189661d163fcd6a56d8bf0405a",
        "d636ac1bbedd5cc3ee727dc2ab4a9489",
    ),
    (
        "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
        "ac93a1a6145299bde902f21a",
        "2d71bcfa914e4ac045b2aa60955fad24",
        "1e0889016f67601c8ebea4943bc23ad6",
        "8995ae2e6df3dbf96fac7b7137bae67f",
        "eca5aa77d51d4a0a14d9c51e1da474ab",
    ),
    ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    (
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        (
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        (
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        ),
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]

# RFC 4231, test cases 1, 2, 3 and 6: key, message, HMAC-SHA-256.
HMAC = [
    ("0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe".hex(),
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("aa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        "aa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]

# RFC 5869, test cases 1, 2 and 3: PRK, info, the first 32 bytes of OKM.
HKDF_EXPAND = [
    (
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    (
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        bytes(range(0xB0, 0x100)),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
    ),
    (
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        b"",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
    ),
]

# The reference implementation's tests (argon2id, version 1.3): passphrase, salt, cost, tag.
ARGON2ID = [
    (
        b"password",
        b"somesalt",
        kdf.Argon2Cost(2, 1, 65536),
        "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
    ),
    (
        b"password",
        b"somesalt",
        kdf.Argon2Cost(2, 1, 256),
        "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
    ),
]

# FIPS 180-4 examples: message, SHA-256.
SHA256 = [
    (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ),
]


@pytest.mark.parametrize(("key", "nonce", "plaintext", "aad", "ciphertext", "tag"), GCM)
def test_aes_gcm(key: str, nonce: str, plaintext: str, aad: str, ciphertext: str, tag: str) -> None:
    """AES-256-GCM seals and opens as NIST and its authors say."""
    cipher = AESGCM(bytes.fromhex(key))
    sealed = bytes.fromhex(ciphertext + tag)
    data = bytes.fromhex(aad)
    assert cipher.encrypt(bytes.fromhex(nonce), bytes.fromhex(plaintext), data) == sealed
    assert cipher.decrypt(bytes.fromhex(nonce), sealed, data) == bytes.fromhex(plaintext)


@pytest.mark.parametrize(("key", "message", "tag"), HMAC)
def test_hmac(key: str, message: bytes, tag: str) -> None:
    """HMAC-SHA-256 is that of RFC 4231."""
    assert kdf.hmac_sha256(bytes.fromhex(key), message).hex() == tag


@pytest.mark.parametrize(("key", "info", "derived"), HKDF_EXPAND)
def test_hkdf_expand(key: str, info: bytes, derived: str) -> None:
    """HKDF-Expand is that of RFC 5869."""
    assert kdf.hkdf_expand(bytes.fromhex(key), info).hex() == derived


@pytest.mark.parametrize(("passphrase", "salt", "cost", "tag"), ARGON2ID)
def test_argon2id(passphrase: bytes, salt: bytes, cost: kdf.Argon2Cost, tag: str) -> None:
    """Argon2id is that of its reference implementation."""
    assert kdf.argon2id(passphrase, salt, cost).hex() == tag


def test_argon2id_of_the_rfc() -> None:
    """The library's Argon2id is that of RFC 9106, section 5.3, secret and associated data included."""
    derive = Argon2id(
        salt=b"\x02" * 16,
        length=32,
        iterations=3,
        lanes=4,
        memory_cost=32,
        ad=b"\x04" * 12,
        secret=b"\x03" * 8,
    ).derive
    assert derive(b"\x01" * 32).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


@pytest.mark.parametrize(("message", "digest"), SHA256)
def test_sha256(message: bytes, digest: str) -> None:
    """SHA-256 is that of FIPS 180-4."""
    assert kdf.sha256(message).hex() == digest
