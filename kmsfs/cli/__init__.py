"""The kmsfs command. Owns the way out: an error ends as a message, a next step and a documented exit code."""

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Final

import click

from kmsfs.cli.codes import MEANINGS, ExitCode
from kmsfs.daemonize import StartFailedError

# Command, and the module that has it under the same name or another one. Unmounting need not wait for FUSE's
# libraries.
_COMMANDS: Final[Mapping[str, str]] = {
    "init": "kmsfs.cli.init",
    "mount": "kmsfs.cli.mount",
    "umount": "kmsfs.cli.umount",
    "status": "kmsfs.cli.status",
    "ls": "kmsfs.cli.ls",
    "cat": "kmsfs.cli.cat",
    "put": "kmsfs.cli.put",
    "path": "kmsfs.cli.path",
    "verify": "kmsfs.cli.verify",
    "rewrap": "kmsfs.cli.rewrap",
    "reencrypt": "kmsfs.cli.reencrypt",
    "policy": "kmsfs.cli.policy",
    "import": "kmsfs.cli.transfer:import_tree",
    "export": "kmsfs.cli.transfer:export_tree",
}
_EXIT_CODES: Final = "\b\nExit codes:\n" + "\n".join(
    f"  {code:>3}  {text}" for code, text in MEANINGS.items()
)


class _Commands(click.Group):
    """The table above as a click group."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or cmd_name)
        # From here on there may be garbage, but not in what modules made: it is never looked through, here or
        # in what is forked.
        gc.freeze()
        gc.enable()
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.version_option(package_name="kmsfs", prog_name="kmsfs")
def kmsfs() -> None:
    """Encrypt a directory, each file with a key of its own, under a key that a key management agent holds."""


def main() -> None:
    """Run the command line and exit."""
    # What modules make stays: looking for garbage in it, over and over while they load, finds none.
    gc.disable()
    code = run()
    # All memory goes with the process: the interpreter need not look through it for garbage first, which
    # takes as long as a small command.
    gc.freeze()
    sys.exit(code)


def run() -> int:
    """Run the command line; return its exit code."""
    try:
        # Outside click's standalone mode, a command's return value or the code of an exit comes back here.
        return kmsfs.main(prog_name="kmsfs", standalone_mode=False) or ExitCode.DONE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except StartFailedError as error:
        # The background process has said why on this terminal.
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the one place where errors become exit codes
        return _end(error)


def _end(error: Exception) -> int:
    # Every error there is comes from somewhere: this would load all of kmsfs before anything has gone wrong.
    from kmsfs.cli.exits import explain  # noqa: PLC0415
    from kmsfs.cli.styled import show_error  # noqa: PLC0415

    explanation = explain(error)
    if explanation is None:
        traceback.print_exc()
        return ExitCode.BUG
    show_error(explanation)
    return explanation.exit_code
