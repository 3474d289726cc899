"""Owns `seal.json`: how the root key of a state directory is sealed, and the sealed root key itself.

A JSON object: `format` (1), `seal` (a kind and its parameters), `wrapped_root_key` (`agent.crypto.wrapping`
under a key that the kind yields, bound to format, kind and parameters), and `check`, by which a root key is
known to be the right one. Knows nothing of where the wrapping key comes from.
"""

import hmac
import os
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from agent.crypto.kdf import KEY_SIZE, hmac_sha256
from agent.crypto.wrapping import WrappingError, unwrap, wrap
from agent.durable import create_file
from agent.seal.errors import SealError

_FORMAT: Final = 1
_MAX_DESCRIPTOR_BYTES: Final = 16 * 1024
_CHECK_LABEL: Final = b"kms-agent root key check 1"
_RESTORE: Final = "Restore the state directory from a backup."

KEY_FILE: Final = "key-file"
PASSPHRASE: Final = "passphrase"  # noqa: S105 -- the name of a kind, not a passphrase


class KeyFileSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=KEY_FILE):
    """Sealed by a file that holds the wrapping key.

    Attributes:
        path: the key file, relative to the state directory unless absolute.
    """

    path: Annotated[str, Meta(min_length=1, max_length=4096)]


class PassphraseSeal(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=PASSPHRASE
):
    """Sealed by a passphrase through Argon2id; bounded, so that a forged file cannot take all memory."""

    salt: Annotated[bytes, Meta(min_length=16, max_length=64)]
    iterations: Annotated[int, Meta(ge=1, le=64)]
    lanes: Annotated[int, Meta(ge=1, le=64)]
    memory_kib: Annotated[int, Meta(ge=512, le=4 * 1024 * 1024)]


Seal: TypeAlias = KeyFileSeal | PassphraseSeal


class Descriptor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `seal.json`."""

    format: int
    seal: Seal
    wrapped_root_key: bytes
    check: str


def descriptor_path(state_directory: Path) -> Path:
    """Return where the descriptor lies."""
    return state_directory / "seal.json"


def is_initialized(state_directory: Path) -> bool:
    """Whether there is a sealed root key."""
    return descriptor_path(state_directory).exists()


def seal_kind(state_directory: Path) -> str:
    """Return KEY_FILE or PASSPHRASE: what is needed to unseal.

    Raises:
        SealError: there is no descriptor, or it makes no sense.
    """
    return KEY_FILE if isinstance(read_descriptor(state_directory).seal, KeyFileSeal) else PASSPHRASE


def prepare(state_directory: Path) -> None:
    """Make the state directory, mode 0700, if there is none; refuse one that has a root key.

    Raises:
        SealError: there is a root key, or the directory cannot be made.
    """
    try:
        state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SealError(f"{state_directory} cannot be made: {error.strerror}.") from error
    if is_initialized(state_directory):
        raise SealError(
            f"{state_directory} is initialized already. "
            "Start the agent with `kms-agent serve`, or choose another state directory."
        )


def create_root_key(state_directory: Path, seal: Seal, wrapping_key: bytes) -> bytes:
    """Draw a root key (32 bytes), write its descriptor, and return it.

    Raises:
        SealError: there is one already, or the disk did not take it.
    """
    root_key = os.urandom(KEY_SIZE)
    descriptor = Descriptor(
        format=_FORMAT,
        seal=seal,
        wrapped_root_key=wrap(wrapping_key, root_key, _binding(seal)),
        check=_check(root_key),
    )
    content = msgspec.json.format(msgspec.json.encode(descriptor), indent=2) + b"\n"
    try:
        create_file(descriptor_path(state_directory), content)
    except FileExistsError:
        prepare(state_directory)
        raise
    except OSError as error:
        raise SealError(f"{descriptor_path(state_directory)} cannot be written: {error.strerror}.") from error
    return root_key


def read_descriptor(state_directory: Path) -> Descriptor:
    """Return the descriptor of a state directory.

    Raises:
        SealError: there is none, or it makes no sense.
    """
    path = descriptor_path(state_directory)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_DESCRIPTOR_BYTES)
    except FileNotFoundError:
        raise SealError(f"{state_directory} is not initialized. Run `kms-agent init`.") from None
    except OSError as error:
        raise SealError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        descriptor = msgspec.json.decode(content, type=Descriptor)
    except (ValueError, RecursionError) as error:
        raise SealError(f"{path} is damaged: {error}. {_RESTORE}") from error
    if descriptor.format != _FORMAT:
        raise SealError(
            f"{path} has format {descriptor.format}, this kms-agent knows {_FORMAT}. Use a newer one."
        )
    return descriptor


def open_root_key(descriptor: Descriptor, wrapping_key: bytes, refusal: str) -> bytes:
    """Return the root key.

    Args:
        descriptor: from `read_descriptor`.
        wrapping_key: 32 bytes, from whatever the seal's kind asks for.
        refusal: what to say if it is not the right one, and what to do next.

    Raises:
        SealError: the wrapping key is wrong, or the descriptor was changed.
    """
    try:
        root_key = unwrap(wrapping_key, descriptor.wrapped_root_key, _binding(descriptor.seal))
    except WrappingError:
        raise SealError(refusal) from None
    if not hmac.compare_digest(_check(root_key), descriptor.check):
        raise SealError(f"seal.json is damaged: its check value is of another root key. {_RESTORE}")
    return root_key


def _binding(seal: Seal) -> bytes:
    return msgspec.json.encode({"format": _FORMAT, "seal": seal}, order="sorted")


def _check(root_key: bytes) -> str:
    return hmac_sha256(root_key, _CHECK_LABEL).hex()
