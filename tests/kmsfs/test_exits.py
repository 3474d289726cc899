"""From errors to messages, next steps and exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from agent.api.errors import AccessDeniedException
from agent.client import AgentUnavailableError, InvalidAgentUrlError
from kmsfs import errors
from kmsfs.cli import exits, show
from kmsfs.cli.exits import MEANINGS, ExitCode, explain
from kmsfs.locking import Holder, VolumeLockedError
from kmsfs.mkfs import NotEmptyError
from kmsfs.mountpoint import FuseUnavailableError, MountPointError, MountRefusedError
from kmsfs.options import MountOptionError
from kmsfs.umount import MountBusyError, NotMountedError, StillFinishingError, UnmountRefusedError
from kmsfs.volumedir import NotAVolumeError

ERRORS: list[tuple[BaseException, ExitCode, str]] = [
    (VolumeLockedError(Holder(5, "h", "/m")), ExitCode.IN_USE, "process 5"),
    (VolumeLockedError(None), ExitCode.IN_USE, "in use"),
    (NotEmptyError("/d is not empty"), ExitCode.VOLUME, "not empty"),
    (NotAVolumeError("/d holds no kmsfs volume"), ExitCode.VOLUME, "no kmsfs volume"),
    (errors.CorruptVolumeError("changed"), ExitCode.DAMAGED, "changed"),
    (errors.VolumeError("format 9"), ExitCode.VOLUME, "format 9"),
    (errors.CorruptFileError(7, None, "truncated"), ExitCode.DAMAGED, "inode 7: truncated"),
    (errors.KeyUnavailableError("disabled"), ExitCode.KEY_REFUSED, "disabled"),
    (AccessDeniedException("no"), ExitCode.KEY_REFUSED, "no"),
    (AgentUnavailableError("unix:///s", "there is no socket"), ExitCode.NO_AGENT, "no socket"),
    (InvalidAgentUrlError("not an address"), ExitCode.NO_AGENT, "not an address"),
    (MountPointError("/m is not empty"), ExitCode.MOUNT_POINT, "not empty"),
    (NotMountedError("nothing there"), ExitCode.MOUNT_POINT, "nothing"),
    (FuseUnavailableError("there is no /dev/fuse"), ExitCode.FUSE, "/dev/fuse"),
    (MountRefusedError("cannot mount"), ExitCode.FUSE, "cannot mount"),
    (MountBusyError("/m", ("bash (1)",)), ExitCode.BUSY, "bash (1)"),
    (MountBusyError("/m", ()), ExitCode.BUSY, "some program"),
    (UnmountRefusedError("not yours"), ExitCode.SYSTEM, "not yours"),
    (StillFinishingError("wait"), ExitCode.FINISHING, "wait"),
    (MountOptionError("unknown mount option 'x'"), ExitCode.USAGE, "'x'"),
    (PermissionError(errno.EACCES, "Permission denied", "/d"), ExitCode.SYSTEM, "/d: Permission denied"),
    (OSError(errno.ENOSPC, "No space left on device"), ExitCode.SYSTEM, "No space left"),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
]


@pytest.mark.parametrize(("error", "code", "words"), ERRORS, ids=lambda value: type(value).__name__)
def test_explained(error: BaseException, code: ExitCode, words: str) -> None:
    """Every error that a user can meet has its code and says what is wrong."""
    explanation = explain(error)
    assert explanation is not None
    assert explanation.exit_code == code
    assert words in explanation.message


@pytest.mark.parametrize("error", [AssertionError("impossible"), ZeroDivisionError(), KeyError("x")])
def test_bugs_are_not_explained_away(error: Exception) -> None:
    """What nobody foresaw is left to show its traceback."""
    assert explain(error) is None


def test_no_row_hides_another() -> None:
    """In the table of errors a class stands above its base, or it would never count."""
    kinds = [kind for kind, _, _ in exits._ROWS]
    for index, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:index]), kind


def test_help_lists_every_code() -> None:
    """Each exit code has a meaning, and `kmsfs --help` shows it."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "kmsfs", "--help"], capture_output=True, text=True, check=True
    )
    for code in ExitCode:
        assert f"{code:>3}  {MEANINGS[code]}" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["mount"],
        ["init"],
        ["bogus"],
        ["init", "--chunk-size", "5000", "d"],
        ["init", "--chunk-size", "2K", "d"],
        ["init", "--chunk-size", "2M", "d"],
        ["init", "--chunk-size", "0", "d"],
        ["init", "--chunk-size", "x", "d"],
    ],
)
def test_wrong_command_lines(arguments: list[str]) -> None:
    """A command line that makes no sense is refused before anything happens."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "kmsfs", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == ExitCode.USAGE
    assert result.stderr.startswith("Usage: ")


def test_terminal_is_not_obeyed() -> None:
    """Text of unknown origin is shown without the characters that a terminal acts on."""
    assert show.printable("plain é [bold]") == "plain é [bold]"
    assert show.printable("a\x1b[31mb\nc\u202e") == "a\\x1b[31mb\\nc\\u202e"
