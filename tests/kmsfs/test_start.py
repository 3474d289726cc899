"""What commands load before they begin, and plain lines without what draws the others."""

import os
import subprocess
import sys

import pytest

from kmsfs.cli import show

# What takes long to load, and only mounts, terminals and agents on a network need.
UNUSED = ("trio", "rich.console", "ssl", "agent.api.operations", "kmsfs.control", "pyfuse3")


@pytest.mark.parametrize("module", ["kmsfs.cli.transfer", "kmsfs.cli.ls", "kmsfs.cli.cat", "kmsfs.cli.put"])
def test_commands_load_what_they_use(module: str) -> None:
    """A command for one small thing does not wait for what it has no use for."""
    program = f"import sys, kmsfs.cli, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-c", program], check=True, capture_output=True, text=True)
    assert not set(UNUSED).intersection(loaded.stdout.split())


def test_nobody_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that nobody reads ends a command, which has failed, without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(SystemExit, match="1"):
            show.show_warning("lost")


def test_lines_cannot_be_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line shows what a terminal would obey, and nothing of it is markup."""
    show.show_line("[bold]a\x1b[0m :smile: \udcff")
    assert capsys.readouterr().out == "[bold]a\\x1b[0m :smile: \\udcff\n"
