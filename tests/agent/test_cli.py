"""The kms-agent command: transcripts of whole sessions, and what they cannot show.

A transcript in ``transcripts/`` is what a user sees: ``$`` lines are commands, the rest is what they print,
and ``[N]`` an exit status other than 0. Identifiers, dates and places are replaced by names, which commands
may use.
``UPDATE_TRANSCRIPTS=1 pytest tests/agent/test_cli.py`` writes them anew; read the difference.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from agent.api import errors
from agent.api.operations import CREATE_KEY, OPERATIONS
from agent.api.shapes.keys import CreateKeyRequest
from agent.cli import kms_agent
from agent.cli.exits import EXITS, Exit, exit_of, message_of
from agents import RunningAgent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRANSCRIPTS = Path(__file__).parent / "transcripts"
UPDATE = "UPDATE_TRANSCRIPTS" in os.environ

NAMED = {
    "KEY": re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"),
    "HASH": re.compile(r"\b[0-9a-f]{64}\b"),
    "ACCESS": re.compile(r"\bA[KS]IA[A-Z2-7]{16}\b"),
}
"""What gets a name and a number, in the order of appearance."""
REPLACED = {
    "SECRET": re.compile(r"(?<![\w-])[\w-]{40}(?![\w-])"),
    "TOKEN": re.compile(r"(?<![\w-])[\w-]{128}(?![\w-])"),
    "DATE": re.compile(r"\b20\d\d-\d\d-\d\d(?:T\d\d:\d\d:\d\dZ| \d\d:\d\d UTC)"),
    "EPOCH": re.compile(r"\b1\d{9}\.\d+\b"),
    "VERSION": re.compile(re.escape(version("kmsfs"))),
    "PID": re.compile(r'(?<=Process    )\d+|(?<="pid": )\d+'),
    "LOCK": re.compile(r'locked: keys are never swapped out|may be swapped out|(?<="memory_locked": )\w+'),
}
"""What differs from run to run and is never referred to."""

MATERIAL = {"first": bytes(range(32)), "second": bytes(range(32, 64)), "short": b"too short"}
"""Files of the user's, to be imported."""


class Session:
    """Runs the commands of a transcript and writes down what they print."""

    def __init__(self, agent: RunningAgent) -> None:
        self._agent = agent
        self._names: dict[str, str] = {}

    def replay(self, transcript: str) -> str:
        """Return the transcript with the output that its commands give now."""
        commands = [line[2:] for line in transcript.splitlines() if line.startswith("$ ")]
        return "".join(self._run(command) for command in commands)

    def _run(self, command: str) -> str:
        words = command
        for value, name in self._names.items():
            words = re.sub(rf"\b{name}\b", value, words)
        program, *arguments = shlex.split(words.replace("DIR", str(self._agent.directory)))
        assert program == "kms-agent"
        result = self._agent.command(*arguments)
        lines = [line.rstrip() for line in self._anonymous(result.stdout + result.stderr).splitlines()]
        status = [f"[{result.returncode}]"] if result.returncode else []
        return "\n".join([f"$ {command}", *lines, *status]) + "\n"

    def _anonymous(self, text: str) -> str:
        text = text.replace(str(self._agent.directory), "DIR")
        for kind, pattern in NAMED.items():
            for value in pattern.findall(text):
                count = sum(name.startswith(kind) for name in self._names.values())
                self._names.setdefault(value, f"{kind}{count + 1}")
        for value, name in self._names.items():
            text = text.replace(value, name)
        for name, pattern in REPLACED.items():
            text = pattern.sub(name, text)
        # Tables are as wide as what stood in them.
        return re.sub("─+", "───", re.sub(r"(?<=\S) {2,}", "   ", text))


@pytest.fixture
def user(make_agent: Callable[[], RunningAgent]) -> Iterator[RunningAgent]:
    """A user without an agent, who has key material; one that a command starts is ended afterwards."""
    agent = make_agent()
    for name, content in MATERIAL.items():
        (agent.directory / name).write_bytes(content)
    yield agent
    agent.end_started()


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_session_looks_as_written(user: RunningAgent, path: Path) -> None:
    """Every command of a transcript prints what stands there and ends with that status."""
    expected = path.read_text()
    found = Session(user).replay(expected)
    if UPDATE:
        path.write_text(found)
    assert found == expected


def test_every_error_has_its_exit_status() -> None:
    """Each exception of the service has a status of the table, the nearest ancestor's where it has no own."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    refusals = [kind for kind in kinds if issubclass(kind, errors.ServiceError)]
    assert len(refusals) > len(OPERATIONS)
    for kind in refusals:
        error = kind("Code", "words") if kind is errors.UnknownServiceError else kind("words")
        assert exit_of(error) not in (Exit.DONE, Exit.BUG)
        assert "words" in message_of(error)
    assert exit_of(errors.DisabledException("")) is Exit.STATE
    assert exit_of(errors.LimitExceededException("")) is Exit.INVALID
    assert exit_of(RuntimeError("a bug")) is Exit.BUG


def test_the_table_of_exit_statuses_is_complete() -> None:
    """Every status that can be returned stands in the module's table, and nothing else does."""
    import_docstring = __import__("agent.cli.exits", fromlist=["__doc__"]).__doc__
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", import_docstring, re.MULTILINE)}
    assert documented == {int(status) for status in Exit}
    assert set(EXITS.values()) <= set(Exit)


def test_every_command_explains_itself() -> None:
    """Each command and group has a help text, and each option one too."""
    context = click.Context(kms_agent)
    groups = [kms_agent]
    while groups:
        group = groups.pop()
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            assert command.help, name
            for parameter in command.params:
                explained = isinstance(parameter, click.Argument) or getattr(parameter, "help", None)
                assert explained, (name, parameter)
            if isinstance(command, click.Group):
                groups.append(command)


def test_files_are_for_their_owner_only(running_agent: RunningAgent) -> None:
    """Whatever the agent writes or listens on, nobody else can open."""
    with running_agent.client() as client:
        client.call(CREATE_KEY, CreateKeyRequest())
    paths = [path for path in running_agent.state_directory.rglob("*") if not path.is_dir()]
    assert {"keys.sqlite", "seal.json", "seal.key", "audit.jsonl"} <= {path.name for path in paths}
    for path in [*paths, running_agent.socket_path, running_agent.socket_path.parent]:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(running_agent.state_directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_agent_gracefully(running_agent: RunningAgent, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C give exit status 0, a removed socket and an audit log that is closed properly."""
    with running_agent.client() as client:
        client.call(CREATE_KEY, CreateKeyRequest())
    running_agent.stop(number)
    assert not running_agent.socket_path.exists()
    verified = json.loads(running_agent.command("audit", "verify", "--json").stdout)
    assert (verified["whole"], verified["records"]) == (True, 1)


def test_a_passphrase_seals_and_unseals(make_agent: Callable[[], RunningAgent]) -> None:
    """A root key sealed with a passphrase comes back with it, however it is given, and with no other."""
    agent = make_agent()
    words, wrong = agent.directory / "words", agent.directory / "wrong"
    words.write_text("correct horse\nsecond line\n")
    wrong.write_text("battery staple")
    assert agent.command("init", "--passphrase-file", str(words)).returncode == Exit.DONE
    assert not (agent.state_directory / "seal.key").exists()
    refused = agent.command("serve", "--passphrase-file", str(wrong))
    assert (refused.returncode, "The passphrase is wrong" in refused.stderr) == (Exit.SEALED, True)
    nobody = agent.command("serve")
    assert (nobody.returncode, "no terminal to ask on" in nobody.stderr) == (Exit.SEALED, True)
    agent.start("--passphrase-file", str(words))
    agent.stop()
    try:
        detached = agent.command("serve", "--detach", "--passphrase-file", "-", words="correct horse\n")
        assert detached.returncode == Exit.DONE, detached.stderr
        assert agent.command("status").returncode == Exit.DONE
    finally:
        agent.end_started()
    both = agent.command("init", "--passphrase-file", str(words), "--key-file", str(wrong))
    assert both.returncode == Exit.USAGE


def test_a_key_file_elsewhere_is_remembered(make_agent: Callable[[], RunningAgent]) -> None:
    """A key file outside the state directory is made, used, and missed when it is gone."""
    agent = make_agent()
    key_file = agent.directory / "stick" / "root.key"
    key_file.parent.mkdir()
    assert agent.command("init", "--key-file", str(key_file)).returncode == Exit.DONE
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    agent.start()
    agent.stop()
    key_file.rename(key_file.with_name("moved.key"))
    refused = agent.command("serve")
    assert (refused.returncode, "is missing" in refused.stderr) == (Exit.SEALED, True)
    config = agent.directory / "config.yaml"
    config.write_text(json.dumps({"key_file": str(key_file.with_name("moved.key"))}))
    agent.start("--config", str(config))


def test_a_damaged_audit_log_keeps_the_agent_down(running_agent: RunningAgent) -> None:
    """An agent whose log was edited refuses to start, and verification names the line."""
    with running_agent.client() as client:
        for _ in range(3):
            client.call(CREATE_KEY, CreateKeyRequest())
    running_agent.stop()
    log = running_agent.audit_path
    log.write_bytes(log.read_bytes().replace(b"CreateKey", b"DeleteKey", 1))
    verified = running_agent.command("audit", "verify")
    assert (verified.returncode, "line 1" in verified.stderr) == (Exit.AUDIT, True)
    log.write_bytes(log.read_bytes()[:-100])
    assert running_agent.command("serve").returncode == Exit.AUDIT


def test_an_audit_log_that_cannot_be_closed_is_told_at_the_end(running_agent: RunningAgent) -> None:
    """An agent whose log directory vanished ends with the status for that, and says so in one line."""
    with running_agent.client() as client:
        client.call(CREATE_KEY, CreateKeyRequest())
    running_agent.audit_path.parent.rename(running_agent.directory / "stolen")
    assert running_agent.end(signal.SIGTERM) == Exit.AUDIT
    assert "kms-agent: " in running_agent.log_path.read_text().splitlines()[-1]
    assert "Traceback" not in running_agent.log_path.read_text()


def typed(agent: RunningAgent, arguments: list[str], answers: list[str]) -> tuple[int, str]:
    """Run a command on a terminal and answer its prompts; return its status and what the terminal showed."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "agent", *arguments],
        env=agent.environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError), open(ours, "r+b", buffering=0) as terminal:  # EIO: it is over
            while piece := terminal.read(1024):
                shown += piece
                # Echo is off once the prompt stands there: what was typed before would show.
                if answers and shown.endswith(b": "):
                    terminal.write(answers.pop(0).encode() + b"\n")
        return process.wait(60), shown.decode()


def test_a_passphrase_is_asked_for_on_the_terminal(make_agent: Callable[[], RunningAgent]) -> None:
    """On a terminal the passphrase is typed, twice when it is new, and never shown."""
    agent = make_agent()
    status, shown = typed(agent, ["init", "--passphrase"], ["open sesame", "open sesame"])
    assert status == Exit.DONE, shown
    assert "Passphrase: " in shown
    assert "sesame" not in shown
    try:
        status, shown = typed(agent, ["serve", "--detach"], ["open sesame"])
        assert status == Exit.DONE, shown
        assert "sesame" not in shown
    finally:
        agent.end_started()
    assert typed(agent, ["serve"], ["close sesame"])[0] == Exit.SEALED
