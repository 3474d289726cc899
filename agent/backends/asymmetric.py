"""Owns cryptography with key pairs whose private half this agent holds. Knows no states and no callers."""

from agent.api.enums import MessageType, SigningAlgorithmSpec
from agent.backends.local import current_material
from agent.crypto.keypairs import load_public
from agent.crypto.signatures import SCHEMES
from agent.keys.key import Key
from agent.seal.barrier import Barrier
from agent.store.protocol import Store


def sign(
    store: Store,
    barrier: Barrier,
    key: Key,
    algorithm: SigningAlgorithmSpec,
    message_type: MessageType,
    message: bytes,
) -> bytes:
    """Return a signature by the key's private half; the algorithm fits the key, the message the algorithm."""
    private_key = barrier.private_key(current_material(store, key))
    return SCHEMES[algorithm].sign(private_key, message_type, message)


def verify(
    store: Store,
    key: Key,
    algorithm: SigningAlgorithmSpec,
    message_type: MessageType,
    message: bytes,
    signature: bytes,
) -> None:
    """Verify a signature with the key's public half.

    Raises:
        KMSInvalidSignatureException: it is not the key's for this message.
    """
    SCHEMES[algorithm].verify(load_public(public_key(store, key)), message_type, message, signature)


def public_key(store: Store, key: Key) -> bytes:
    """Return the key's public half: SubjectPublicKeyInfo in DER."""
    return current_material(store, key).public_key
