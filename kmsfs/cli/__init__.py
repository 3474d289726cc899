"""The kmsfs command. Owns the way out: an error ends as a message, a next step and a documented exit code."""

import sys
import traceback

import click

from kmsfs.cli.exits import MEANINGS, ExitCode, explain
from kmsfs.cli.init import init
from kmsfs.cli.mount import mount
from kmsfs.cli.show import show_error
from kmsfs.cli.status import status
from kmsfs.cli.umount import umount
from kmsfs.daemonize import StartFailedError

_CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}


_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in MEANINGS.items())


@click.group(context_settings=_CONTEXT_SETTINGS, epilog=_EXIT_CODES)
@click.version_option(package_name="kmsfs")
def commands() -> None:
    """Encrypt a directory, each file with a key of its own, under a key that a key management agent holds."""


for command in (init, mount, umount, status):
    commands.add_command(command)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run())


def run() -> int:
    """Run the command line; return its exit code."""
    try:
        # Outside click's standalone mode, a command's return value or the code of an exit comes back here.
        return commands.main(standalone_mode=False) or ExitCode.DONE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except StartFailedError as error:
        # The background process has said why on this terminal.
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the one place where errors become exit codes
        explanation = explain(error)
        if explanation is None:
            traceback.print_exc()
            return ExitCode.BUG
        show_error(explanation)
        return explanation.exit_code
