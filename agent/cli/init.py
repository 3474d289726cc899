"""``kms-agent init``: make the state directory and the root key."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent.cli.options import config_option, passphrase_file_option
from agent.cli.passphrase import read_passphrase
from agent.cli.printing import print_line
from agent.config import load
from agent.places import standard_places
from agent.seal import keyfile, passphrase


@click.command("init")
@click.option(
    "--passphrase", "ask", is_flag=True, help="Seal the root key with a passphrase, asked for here."
)
@passphrase_file_option
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Seal the root key with this file, made if it is not there. Default: one in the state directory.",
)
@config_option
def init(*, ask: bool, passphrase_file: Path | None, key_file: Path | None, config_path: Path | None) -> None:
    """Make an agent's state directory, with a new root key.

    The root key protects all keys. It is sealed with a key file, or with a passphrase that must then be
    given at each start. Without either, nobody can ever read the keys again: keep a copy elsewhere.
    """
    config = load(config_path, standard_places(os.environ, os.geteuid()))
    by_passphrase = ask or passphrase_file is not None or config.passphrase_file is not None
    if by_passphrase and key_file is not None:
        raise click.UsageError("a root key is sealed with a passphrase or with a key file, not with both")
    if by_passphrase:
        file = None if ask else passphrase_file or config.passphrase_file
        passphrase.create(config.state_directory, read_passphrase(file, confirm=True))
        print_line(f"{config.state_directory} is ready, sealed with the passphrase.")
    else:
        place = key_file or config.key_file
        keyfile.create(config.state_directory, place)
        place = place or config.state_directory / keyfile.DEFAULT_NAME
        print_line(f"{config.state_directory} is ready, sealed with {place}: keep a copy of that file.")
    print_line("Next: kms-agent serve --detach")
