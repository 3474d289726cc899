"""The agent's self-tests find a primitive that does not give its known answer."""

import pytest

from agent.api.enums import KeySpec, MessageType, SigningAlgorithmSpec
from agent.crypto import (
    agreement,
    blob,
    context,
    enveloped,
    kdf,
    keywrap,
    mac,
    mlkem,
    rsa,
    selftest,
    selftest_signing,
    wrapping,
)
from agent.crypto.generation import generate
from agent.crypto.keypairs import PrivateKey, load_private
from agent.crypto.signatures import SCHEMES


def test_self_tests_pass_here() -> None:
    """On a sound machine every self-test passes."""
    selftest.run()


@pytest.mark.parametrize(
    ("module", "function", "primitive"),
    [
        (kdf, "sha256", "SHA-256"),
        (kdf, "hmac_sha256", "HMAC-SHA-256"),
        (kdf, "hkdf_expand", "HKDF-SHA-256"),
        (kdf, "argon2id", "Argon2id"),
        (context, "encode", "the encryption context"),
        (blob, "hkdf_expand", "the ciphertext blob"),
        (blob, "open", "the ciphertext blob"),
        (wrapping, "unwrap", "key wrapping"),
        (keywrap, "unwrap_under_aes", "AES-KWP"),
        (rsa, "decrypt", "RSAES-OAEP"),
        (selftest_signing, "sha256", "ML-DSA"),
        (mac, "generate", "HMAC-SHA-2"),
        (agreement, "derive", "ECDH"),
        (mlkem, "decapsulate", "ML-KEM"),
        (enveloped, "encrypt_content", "AES-256-CBC"),
    ],
)
def test_a_wrong_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, module: object, function: str, primitive: str
) -> None:
    """A primitive that answers wrongly is named in the error, and the agent does not start."""
    monkeypatch.setattr(module, function, lambda *_arguments: bytes(32))
    with pytest.raises(selftest.SelfTestError) as caught:
        selftest.run()
    assert caught.value.primitive == primitive


def test_a_wrong_cipher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AES-GCM that accepts every tag is named."""

    class Accepting:
        def __init__(self, _key: bytes) -> None:
            pass

        def encrypt(self, *_arguments: object) -> bytes:
            return selftest._GCM_CIPHERTEXT

        def decrypt(self, *_arguments: object) -> bytes:
            return selftest._GCM_PLAINTEXT

    monkeypatch.setattr(selftest, "AESGCM", Accepting)
    with pytest.raises(selftest.SelfTestError, match="AES-256-GCM"):
        selftest.run()


class Credulous:
    """A signature scheme that signs as before, but accepts every signature."""

    def __init__(self, algorithm: SigningAlgorithmSpec) -> None:
        self.sign = SCHEMES[algorithm].sign

    def verify(self, *_arguments: object) -> None:
        """Accept."""


class Forger:
    """A signature scheme that signs with a key of its own."""

    def __init__(self, algorithm: SigningAlgorithmSpec) -> None:
        self.scheme = SCHEMES[algorithm]
        self.verify = self.scheme.verify
        self.key = load_private(generate(KeySpec.ECC_NIST_P256).plaintext, trusted=True)

    def sign(self, _key: PrivateKey, message_type: MessageType, message: bytes) -> bytes:
        """Sign, but not as asked."""
        return self.scheme.sign(self.key, message_type, message)


@pytest.mark.parametrize(
    ("algorithm", "primitive"),
    [
        (SigningAlgorithmSpec.RSASSA_PKCS1_V1_5_SHA_256, "RSASSA-PKCS1-v1_5"),
        (SigningAlgorithmSpec.RSASSA_PSS_SHA_256, "RSASSA-PSS"),
        (SigningAlgorithmSpec.ECDSA_SHA_384, "ECDSA"),
        (SigningAlgorithmSpec.ED25519_SHA_512, "Ed25519"),
        (SigningAlgorithmSpec.ED25519_PH_SHA_512, "Ed25519ph"),
        (SigningAlgorithmSpec.ML_DSA_SHAKE_256, "ML-DSA"),
    ],
)
def test_a_credulous_scheme_is_named(
    monkeypatch: pytest.MonkeyPatch, algorithm: SigningAlgorithmSpec, primitive: str
) -> None:
    """A scheme that accepts a signature of another message is named."""
    monkeypatch.setattr(selftest_signing, "SCHEMES", {**SCHEMES, algorithm: Credulous(algorithm)})
    with pytest.raises(selftest.SelfTestError) as caught:
        selftest.run()
    assert caught.value.primitive == primitive


def test_a_scheme_that_signs_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing with another key than the given one is noticed."""
    algorithm = SigningAlgorithmSpec.ECDSA_SHA_256
    monkeypatch.setattr(selftest_signing, "SCHEMES", {**SCHEMES, algorithm: Forger(algorithm)})
    with pytest.raises(selftest.SelfTestError, match="ECDSA"):
        selftest.run()
