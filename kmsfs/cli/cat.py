"""kmsfs cat: the content of one file of a volume that is not mounted."""

import os
import sys

import click

from kmsfs import logs, offline, paths
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.customerkeys import CustomerKeys


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("path", metavar="PATH")
@agent_option
@customer_key_options
def cat(directory: str, path: str, *, agent_url: str | None, customer_keys: CustomerKeys) -> None:
    """Print the file PATH of the volume in DIR without mounting it.

    Nothing is printed that does not authenticate: the output ends before it.
    """
    logs.warnings_to_terminal_too()
    with offline.opened(directory, agent_url, read_only=True, customer_keys=customer_keys) as core:
        for piece in paths.read(core, os.fsencode(path)):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
