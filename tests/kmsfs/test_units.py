"""The unit files that systemd is given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kmsfs.cli.codes import ExitCode

UNITS = Path(__file__).resolve().parents[2] / "systemd"
MANAGERS = ["system", "user"]

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@needs_systemd
@pytest.mark.parametrize("manager", MANAGERS)
def test_units_verify(tmp_path: Path, manager: str) -> None:
    """Systemd finds nothing to say about any unit, once its program is where the tests have it."""
    names = []
    for unit in sorted((UNITS / manager).glob("*.service")):
        # A template is verified as an instance of it.
        name = unit.name.replace("@.", "@example.")
        text = unit.read_text(encoding="utf-8")
        changed = re.sub(
            r"^ExecStart=(?=[a-z])", f"ExecStart={Path(sys.executable).parent}/", text, flags=re.MULTILINE
        )
        assert changed != text
        (tmp_path / name).write_text(changed, encoding="utf-8")
        names.append(str(tmp_path / name))
    assert len(names) == 2
    result = subprocess.run(
        ["systemd-analyze", f"--{manager}", "--man=no", "verify", *names],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("manager", MANAGERS)
def test_no_restart_where_somebody_must_act(manager: str) -> None:
    """A mount is not tried again after an error that trying again does not mend."""
    text = (UNITS / manager / "kmsfs@.service").read_text(encoding="utf-8")
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", text, flags=re.MULTILINE)
    assert {ExitCode(int(code)) for code in codes.split()} == {
        ExitCode.USAGE,
        ExitCode.VOLUME,
        ExitCode.DAMAGED,
        ExitCode.IN_USE,
        ExitCode.KEY_REFUSED,
        ExitCode.MOUNT_POINT,
    }


def test_mount_unit_keeps_the_file_system_in_sight() -> None:
    """No setting gives the mount process a mount namespace of its own: nobody else would see the mount."""
    private = re.compile(
        r"^(Private(Tmp|Devices|Mounts|Users)|Protect(System|Home|Kernel\w+|ControlGroups|Hostname|Proc|Clock)"
        r"|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|BindPaths|TemporaryFileSystem|RootDirectory"
        r"|DynamicUser|StateDirectory|RuntimeDirectory)=",
        flags=re.MULTILINE,
    )
    for manager in MANAGERS:
        assert not private.search((UNITS / manager / "kmsfs@.service").read_text(encoding="utf-8"))
