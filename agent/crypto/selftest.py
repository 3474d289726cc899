"""Owns the known-answer tests that run before anything else. Each uses the code that the agent uses.

Sources: AES-256-GCM: McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16. HKDF: RFC 5869,
test case 1. HMAC: RFC 4231, test case 2. SHA-256: FIPS 180-4 example "abc". Argon2id: the tests of the
reference implementation. AES-KWP: RFC 5649, section 6. The encryption context and the blob: worked out with
a second implementation from the layouts in their modules.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.api.errors import InvalidCiphertextException
from agent.crypto import blob, context, kdf, keywrap, selftest_agreement, selftest_signing, wrapping


class SelfTestError(Exception):
    """A primitive does not give its known answer: nothing that it computes may be trusted."""

    def __init__(self, primitive: str) -> None:
        super().__init__(
            f"The self-test of {primitive} failed. Do not trust this machine's cryptography: "
            "reinstall kms-agent and its dependencies, then check the hardware."
        )
        self.primitive = primitive


_GCM_KEY: Final = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
_GCM_NONCE: Final = bytes.fromhex("cafebabefacedbaddecaf888")
_GCM_AAD: Final = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_GCM_PLAINTEXT: Final = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
_GCM_CIPHERTEXT: Final = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)

_KWP_KEY: Final = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
_KWP_MATERIAL: Final = bytes.fromhex("c37b7e6492584340bed12207808941155068f738")
_KWP_WRAPPED: Final = bytes.fromhex("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")

_MATERIAL_ID: Final = bytes(range(32)).hex()
_MATERIAL_KEY: Final = bytes(range(32, 64))
_BLOB_RANDOM: Final = bytes(range(64, 92))
_BLOB_PLAINTEXT: Final = b"known answer"
_CONTEXT: Final = {"kmsfs:volume": "v1", "a": "é"}
_CONTEXT_BYTES: Final = bytes.fromhex(
    "6b6d732d6167656e7420656e6372797074696f6e20636f6e746578742031"
    "00000002000000016100000002c3a90000000c6b6d7366733a766f6c756d65000000027631"
)
_BLOB: Final = bytes.fromhex(
    "4b4d534101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "404142434445464748494a4b4c4d4e4f505152535455565758595a5b"
    "8d2de1e408621b9057e4d3cbce47f84d4253959d54fcb948332b8d86"
)


def _aes_gcm() -> bool:
    cipher = AESGCM(_GCM_KEY)
    sealed = cipher.encrypt(_GCM_NONCE, _GCM_PLAINTEXT, _GCM_AAD)
    opened = cipher.decrypt(_GCM_NONCE, _GCM_CIPHERTEXT, _GCM_AAD)
    try:
        cipher.decrypt(_GCM_NONCE, _GCM_CIPHERTEXT[:-1] + b"\x00", _GCM_AAD)
    except InvalidTag:
        return sealed == _GCM_CIPHERTEXT and opened == _GCM_PLAINTEXT
    return False


def _sha256() -> bool:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    return kdf.sha256(b"abc").hex() == expected


def _hmac() -> bool:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    return kdf.hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


def _hkdf() -> bool:
    key = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    return kdf.hkdf_expand(key, bytes(range(0xF0, 0xFA))).hex() == expected


def _argon2id() -> bool:
    expected = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"
    cost = kdf.Argon2Cost(iterations=2, lanes=1, memory_kib=256)
    return kdf.argon2id(b"password", b"somesalt", cost).hex() == expected


def _context() -> bool:
    return context.encode(_CONTEXT) == _CONTEXT_BYTES


def _blob() -> bool:
    sealed = blob.seal_with(_MATERIAL_ID, _MATERIAL_KEY, _BLOB_PLAINTEXT, _CONTEXT_BYTES, _BLOB_RANDOM)
    parsed = blob.parse(_BLOB)
    opened = blob.open(parsed, _MATERIAL_KEY, _CONTEXT_BYTES)
    try:
        blob.open(parsed, _MATERIAL_KEY, context.encode({}))
    except InvalidCiphertextException:
        return (sealed, opened, parsed.material_id) == (_BLOB, _BLOB_PLAINTEXT, _MATERIAL_ID)
    return False


def _wrapping() -> bool:
    wrapped = wrapping.wrap(_GCM_KEY, _MATERIAL_KEY, b"binding")
    opened = wrapping.unwrap(_GCM_KEY, wrapped, b"binding")
    try:
        wrapping.unwrap(_GCM_KEY, wrapped, b"another")
    except wrapping.WrappingError:
        return opened == _MATERIAL_KEY
    return False


def _aes_kwp() -> bool:
    wrapped = keywrap.wrap_under_aes(_KWP_KEY, _KWP_MATERIAL)
    opened = keywrap.unwrap_under_aes(_KWP_KEY, _KWP_WRAPPED)
    try:
        keywrap.unwrap_under_aes(_KWP_KEY, _KWP_WRAPPED[:-1] + b"\x00")
    except InvalidCiphertextException:
        return (wrapped, opened) == (_KWP_WRAPPED, _KWP_MATERIAL)
    return False


PRIMITIVES: Final[tuple[tuple[str, Callable[[], bool]], ...]] = (
    ("AES-256-GCM", _aes_gcm),
    ("SHA-256", _sha256),
    ("HMAC-SHA-256", _hmac),
    ("HKDF-SHA-256", _hkdf),
    ("Argon2id", _argon2id),
    ("the encryption context", _context),
    ("the ciphertext blob", _blob),
    ("key wrapping", _wrapping),
    ("AES-KWP", _aes_kwp),
    *selftest_signing.PRIMITIVES,
    *selftest_agreement.PRIMITIVES,
)


def run() -> None:
    """Test every primitive.

    Raises:
        SelfTestError: names the first one that fails; the agent must not start.
    """
    for name, answers_as_known in PRIMITIVES:
        try:
            passed = answers_as_known()
        except Exception as error:
            raise SelfTestError(name) from error
        if not passed:
            raise SelfTestError(name)
