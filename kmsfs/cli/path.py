"""kmsfs path: from plain paths to where they lie in the ciphertext directory, and back."""

import os

import click

from kmsfs import logs, offline, paths
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.show import show_name
from kmsfs.customerkeys import CustomerKeys


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("named", metavar="PATH", nargs=-1, required=True)
@click.option("--reverse", is_flag=True, help="From paths in the ciphertext directory to plain ones.")
@agent_option
@customer_key_options
def path(
    directory: str,
    named: tuple[str, ...],
    *,
    reverse: bool,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> None:
    """Print where each PATH of the volume in DIR lies in the ciphertext directory, one line each.

    With --reverse each PATH is of ciphertext, as the shell has it or relative to DIR, and the plain one is
    printed.
    """
    logs.warnings_to_terminal_too()
    with offline.opened(directory, agent_url, read_only=True, customer_keys=customer_keys) as core:
        for each in named:
            if reverse:
                show_name(paths.plain_path(core, _below(directory, each)))
            else:
                stored = paths.stored_path(core, os.fsencode(each))
                show_name(os.path.normpath(os.path.join(os.fsencode(directory), stored)))  # noqa: PTH118 - bytes


def _below(directory: str, named: str) -> bytes:
    """Return a ciphertext path relative to the ciphertext directory."""
    root = os.path.realpath(directory)
    parent, name = os.path.split(os.path.abspath(named))  # noqa: PTH100 - the last name may be a symlink
    direct = os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 - names that are not UTF-8
    if direct.startswith(f"{root}/"):
        return os.fsencode(direct.removeprefix(root))
    if named.startswith("/"):
        raise click.BadParameter(f"{named!r} does not lie in {root}", param_hint="PATH")
    return os.fsencode(named)
