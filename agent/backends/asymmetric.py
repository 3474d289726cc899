"""Owns cryptography with key pairs whose private half this agent holds. Knows no states and no callers."""

from agent.api.enums import EncryptionAlgorithmSpec, MessageType, SigningAlgorithmSpec
from agent.backends.local import current_material
from agent.crypto import agreement, mlkem, rsa
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


def encrypt(store: Store, key: Key, algorithm: EncryptionAlgorithmSpec, plaintext: bytes) -> bytes:
    """Return RSAES-OAEP's ciphertext, as long as the modulus; the plaintext fits key and algorithm."""
    return rsa.encrypt(load_public(public_key(store, key)), algorithm, plaintext)


def decrypt(
    store: Store, barrier: Barrier, key: Key, algorithm: EncryptionAlgorithmSpec, ciphertext: bytes
) -> bytes:
    """Decrypt what was encrypted to the key's public half, here or elsewhere.

    Raises:
        InvalidCiphertextException: for every reason the same.
    """
    return rsa.decrypt(barrier.private_key(current_material(store, key)), algorithm, ciphertext)


def derive(store: Store, barrier: Barrier, key: Key, peer_public_key: bytes) -> bytes:
    """Return the raw secret that the key shares with a peer.

    Raises:
        ValidationException: the peer's public key is none on the key's curve.
    """
    return agreement.derive(barrier.private_key(current_material(store, key)), peer_public_key)


def encapsulate(store: Store, key: Key) -> tuple[bytes, bytes]:
    """Return a fresh secret of 32 bytes, and its ciphertext."""
    return mlkem.encapsulate(load_public(public_key(store, key)))


def decapsulate(store: Store, barrier: Barrier, key: Key, ciphertext: bytes) -> bytes:
    """Return the secret of a ciphertext, or another one if it is not the key's; nothing tells which.

    Raises:
        InvalidCiphertextException: its length cannot be right.
    """
    return mlkem.decapsulate(barrier.private_key(current_material(store, key)), ciphertext)


def public_key(store: Store, key: Key) -> bytes:
    """Return the key's public half: SubjectPublicKeyInfo in DER."""
    return current_material(store, key).public_key
