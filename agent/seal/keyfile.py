"""Owns the seal by key file: whoever can read the file can start the agent. Knows nothing of passphrases.

The file holds 32 random bytes as 64 hexadecimal digits and a newline, mode 0600. It may lie anywhere: in the
state directory (then file permissions alone protect the keys), on a removable medium, or in a service's
credentials.
"""

import os
import stat
from pathlib import Path
from typing import Final

from agent.crypto.kdf import KEY_SIZE
from agent.durable import create_file
from agent.seal.descriptor import (
    KeyFileSeal,
    create_root_key,
    open_root_key,
    prepare,
    read_descriptor,
)
from agent.seal.errors import SealError

DEFAULT_NAME: Final = "seal.key"
_DIGITS: Final = 2 * KEY_SIZE
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LOST: Final = "Restore it: without it the keys cannot be read."


def create(state_directory: Path, key_file: Path | None = None) -> bytes:
    """Seal a new root key with a key file, and return the root key (32 bytes).

    Args:
        state_directory: made if it does not exist.
        key_file: taken as it is if it exists, else created; by default `seal.key` in the state directory.

    Raises:
        SealError: the directory is initialized already, or a file cannot be read or written.
    """
    prepare(state_directory)
    seal = KeyFileSeal(str(key_file.absolute()) if key_file else DEFAULT_NAME)
    path = state_directory / seal.path
    try:
        create_file(path, os.urandom(KEY_SIZE).hex().encode() + b"\n")
    except FileExistsError:
        pass  # the administrator's own key file, or one from an `init` that was interrupted
    except OSError as error:
        raise SealError(f"{path} cannot be written: {error.strerror}.") from error
    return create_root_key(state_directory, seal, _read(path))


def unseal(state_directory: Path, key_file: Path | None = None) -> bytes:
    """Return the root key (32 bytes).

    Args:
        state_directory: an initialized state directory.
        key_file: where the key file lies now; by default where it was created.

    Raises:
        SealError: not sealed by key file, or the file is missing, unsafe, or of another agent.
    """
    descriptor = read_descriptor(state_directory)
    if not isinstance(descriptor.seal, KeyFileSeal):
        raise SealError(f"{state_directory} is sealed by a passphrase, not by a key file.")
    path = key_file or state_directory / descriptor.seal.path
    return open_root_key(
        descriptor,
        _read(path),
        f"{path} is not the key file of {state_directory}, or seal.json was changed. {_LOST}",
    )


def _read(path: Path) -> bytes:
    """Return the wrapping key in a key file that nobody else can read."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_DIGITS + 2)
    except FileNotFoundError:
        raise SealError(f"The key file {path} is missing. {_LOST}") from None
    except OSError as error:
        raise SealError(f"The key file {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise SealError(f"The key file {path} is not a regular file.")
    if status.st_mode & _OTHERS:
        raise SealError(f"The key file {path} is open to other users. Run `chmod 600 {path}`.")
    if status.st_uid not in {0, os.geteuid()}:
        raise SealError(f"The key file {path} belongs to another user. Run `chown {os.geteuid()} {path}`.")
    digits = content.removesuffix(b"\n")
    try:
        key = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        key = b""
    if len(digits) != _DIGITS or len(key) != KEY_SIZE:
        raise SealError(f"The key file {path} does not hold {_DIGITS} hexadecimal digits. {_LOST}")
    return key
