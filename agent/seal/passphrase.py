"""Owns the seal by passphrase, through Argon2id. Knows nothing of how the passphrase is asked for."""

import os
import unicodedata
from pathlib import Path
from typing import Final

from agent.crypto.kdf import Argon2Cost, argon2id
from agent.seal.descriptor import (
    PassphraseSeal,
    create_root_key,
    open_root_key,
    prepare,
    read_descriptor,
)
from agent.seal.errors import SealError

MAX_PASSPHRASE_BYTES: Final = 4096
_SALT_SIZE: Final = 16

# RFC 9106, section 4, asks for 3 passes and 4 lanes where 2 GiB are too much; its 64 MiB are quadrupled here,
# because an agent unseals once per start: about half a second.
DEFAULT_COST: Final = Argon2Cost(iterations=3, lanes=4, memory_kib=256 * 1024)


def create(state_directory: Path, passphrase: bytes, cost: Argon2Cost = DEFAULT_COST) -> bytes:
    """Seal a new root key with a passphrase, and return the root key (32 bytes).

    Raises:
        SealError: the passphrase is empty or too long, or the directory has a root key or is not writable.
    """
    prepare(state_directory)
    seal = PassphraseSeal(os.urandom(_SALT_SIZE), cost.iterations, cost.lanes, cost.memory_kib)
    return create_root_key(state_directory, seal, _wrapping_key(passphrase, seal))


def unseal(state_directory: Path, passphrase: bytes) -> bytes:
    """Return the root key (32 bytes); takes the time and memory that the passphrase was created with.

    Raises:
        SealError: not sealed by passphrase, or the passphrase is wrong.
    """
    descriptor = read_descriptor(state_directory)
    if not isinstance(descriptor.seal, PassphraseSeal):
        raise SealError(f"{state_directory} is sealed by a key file, not by a passphrase.")
    return open_root_key(
        descriptor,
        _wrapping_key(passphrase, descriptor.seal),
        "The passphrase is wrong, or seal.json was changed. Try again, or restore the state directory.",
    )


def _wrapping_key(passphrase: bytes, seal: PassphraseSeal) -> bytes:
    secret = _normalized(passphrase)
    if not secret:
        raise SealError("The passphrase is empty. Choose one of several words.")
    if len(secret) > MAX_PASSPHRASE_BYTES:
        raise SealError(f"The passphrase is longer than {MAX_PASSPHRASE_BYTES} bytes. Choose a shorter one.")
    return argon2id(secret, seal.salt, Argon2Cost(seal.iterations, seal.lanes, seal.memory_kib))


def _normalized(passphrase: bytes) -> bytes:
    """Return text in NFC, as RFC 8265 has it: what is typed the same is the same from every keyboard."""
    try:
        return unicodedata.normalize("NFC", passphrase.decode()).encode()
    except UnicodeDecodeError:
        return passphrase
