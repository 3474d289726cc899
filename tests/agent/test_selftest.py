"""The agent's self-tests find a primitive that does not give its known answer."""

import pytest

from agent.crypto import blob, context, kdf, selftest, wrapping


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

    class Credulous:
        def __init__(self, _key: bytes) -> None:
            pass

        def encrypt(self, *_arguments: object) -> bytes:
            return selftest._GCM_CIPHERTEXT

        def decrypt(self, *_arguments: object) -> bytes:
            return selftest._GCM_PLAINTEXT

    monkeypatch.setattr(selftest, "AESGCM", Credulous)
    with pytest.raises(selftest.SelfTestError, match="AES-256-GCM"):
        selftest.run()
