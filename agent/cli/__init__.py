"""``kms-agent``: the commands, and the one place where errors become exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from agent.cli.exits import Exit, exit_of, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("agent.cli.init", "init"),
    "serve": ("agent.cli.serve", "serve"),
    "status": ("agent.cli.status", "status"),
    "stop": ("agent.cli.stop", "stop"),
    "key": ("agent.cli.keys", "key_group"),
    "alias": ("agent.cli.aliases", "alias_group"),
    "tag": ("agent.cli.tags", "tag_group"),
    "grant": ("agent.cli.grants", "grant_group"),
    "access-key": ("agent.cli.access_keys", "access_key_group"),
    "policy": ("agent.cli.policies", "policy_group"),
    "explain": ("agent.cli.explain", "explain"),
    "audit": ("agent.cli.audit", "audit_group"),
}
"""Command → the module and attribute that hold it; a module is imported when its command is used."""


class _Commands(click.Group):
    """The table above as a click group: listing keys must not wait for the daemon's libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kmsfs", prog_name="kms-agent")
def kms_agent() -> None:
    """Keep keys for this machine, and use them for those who may, as AWS KMS does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, as ``agent.cli.exits`` lists them.

    Args:
        arguments: What follows the program's name; the process's own when None.
    """
    try:
        status = kms_agent.main(args=arguments, prog_name="kms-agent", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - the boundary: a table says what is foreseen
        status = exit_of(error)
        if status is Exit.BUG:
            traceback.print_exc()
        click.echo(f"kms-agent: {message_of(error)}", err=True)
        return status
    return status if isinstance(status, int) else Exit.DONE
