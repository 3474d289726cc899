"""``kms-agent serve``: run the agent, here or in the background."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import click

from agent import daemon
from agent.cli.background import serve_in_background
from agent.cli.options import config_option, passphrase_file_option
from agent.cli.passphrase import read_passphrase
from agent.config import load
from agent.places import standard_places
from agent.seal import keyfile, passphrase
from agent.seal.descriptor import PASSPHRASE, is_initialized, seal_kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.config import Config

LOG_NAME = "agent.log"


@click.command("serve")
@click.option("--detach", is_flag=True, help="Go on in the background; return once the agent answers.")
@click.option(
    "--init",
    "make_state",
    is_flag=True,
    help="If there is no state directory, make one first, with a key file: kms-agent init.",
)
@passphrase_file_option
@config_option
@click.pass_context
def serve(
    context: click.Context,
    *,
    detach: bool,
    make_state: bool,
    passphrase_file: Path | None,
    config_path: Path | None,
) -> None:
    """Run the agent until it is told to stop, by SIGTERM or Ctrl-C."""
    config = load(config_path, standard_places(os.environ, os.geteuid()))
    if make_state and not is_initialized(config.state_directory):
        keyfile.create(config.state_directory, config.key_file)
    words = _passphrase(config, passphrase_file)
    if not detach:
        daemon.serve(config, _unsealer(config, words))
        return
    arguments = [] if config_path is None else ["--config", str(config_path.absolute())]
    if words is not None:
        arguments += ["--passphrase-file", "-"]
    log_path = config.state_directory / "log" / LOG_NAME
    context.exit(serve_in_background(arguments, log_path, words))


def _passphrase(config: Config, file: Path | None) -> bytes | None:
    """Return the passphrase if the root key is sealed with one."""
    if seal_kind(config.state_directory) != PASSPHRASE:
        return None
    return read_passphrase(file or config.passphrase_file)


def _unsealer(config: Config, words: bytes | None) -> Callable[[], bytes]:
    if words is None:
        return partial(keyfile.unseal, config.state_directory, config.key_file)
    return partial(passphrase.unseal, config.state_directory, words)
