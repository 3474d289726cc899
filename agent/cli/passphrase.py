"""Passphrases: asked for on the terminal, or read from where the user says."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agent.seal.errors import SealError

if TYPE_CHECKING:
    from pathlib import Path

# More than any passphrase; a limit on what is read.
_MAX_BYTES = 4096


def read_passphrase(file: Path | None, *, confirm: bool = False) -> bytes:
    """Return a passphrase: one line, without its end.

    Args:
        file: Where it is; ``-`` is standard input; None asks on the terminal.
        confirm: Whether to ask twice.

    Raises:
        SealError: It cannot be read, or there is nobody to ask.
    """
    if file is None:
        if not sys.stdin.isatty():
            raise SealError(
                "the root key is sealed with a passphrase and there is no terminal to ask on: "
                "use --passphrase-file, or passphrase_file in the configuration"
            )
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        return text.encode("utf-8", "surrogateescape")
    try:
        with click.open_file(str(file), "rb") as stream:
            content: bytes = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SealError(f"the passphrase cannot be read from {file}: {error.strerror}") from None
    line, _, _ = content.partition(b"\n")
    if not line or len(content) > _MAX_BYTES:
        raise SealError(f"{file} holds no passphrase: it is empty or larger than {_MAX_BYTES} bytes")
    return line
