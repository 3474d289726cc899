"""kmsfs put: write one file of a volume that is not mounted."""

import os
import sys
from functools import partial

import click

from kmsfs import logs, offline, paths
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.customerkeys import CustomerKeys


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("path", metavar="PATH")
@agent_option
@customer_key_options
def put(directory: str, path: str, *, agent_url: str | None, customer_keys: CustomerKeys) -> None:
    """Write standard input to the file PATH of the volume in DIR, which is not mounted.

    As with a shell's redirection, a new file is yours; one that is there keeps its owner, mode, links and
    extended attributes.
    """
    logs.warnings_to_terminal_too()
    with offline.opened(directory, agent_url, read_only=False, customer_keys=customer_keys) as core:
        pieces = iter(partial(sys.stdin.buffer.read, paths.PIECE_BYTES), b"")
        paths.write(core, os.fsencode(path), pieces)
