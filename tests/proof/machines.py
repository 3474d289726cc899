"""A machine that boots systemd: a container over an overlay of this one, thrown away afterwards."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_BOOT_SECONDS: Final = 180
# Not where they are here: units have a /tmp of their own, and a clone or its environment may lie in ours.
_SOURCE: Final = "/opt/kmsfs-source"
_ENVIRONMENT: Final = "/opt/kmsfs"
_PROGRAMS: Final = {"kmsfs": "kmsfs", "kms-agent": "agent"}
_LAUNCHER: Final = f"""#!/bin/sh
PYTHONPATH={_SOURCE} PYTHONDONTWRITEBYTECODE=1 exec {_ENVIRONMENT}/bin/python -m {{package}} "$@"
"""
_PROBE: Final = """
[Unit]
Description=What the test has this machine do
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/bash /var/probe/probe.sh
StandardOutput=file:/var/probe/probe.out
StandardError=file:/var/probe/probe.err
ExecStopPost=/bin/systemctl poweroff --no-block
"""


_PROLOGUE: Final = """
set -euo pipefail
trap '[ $? = 0 ] || journalctl --no-pager -n 50 -o cat >&2' EXIT
PATH=/usr/local/bin:$PATH
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's disk, which outlasts its boots."""

    root: Path

    def write(self, path: str, content: str) -> None:
        """Put a file on the disk while the machine is off."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def boot(self, script: str) -> str:
        """Boot until multi-user.target, run a bash script as root, power off; return what it printed.

        The script ends at its first command that fails; then the test fails with what it said.
        """
        self.write("/var/probe/probe.sh", f"{_PROLOGUE}{script}\necho finished\n")
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}"]
        command += ["--register=no", "--keep-unit", "--capability=all", f"--machine=kmsfs-{os.getpid()}"]
        command += [
            "--bind=/dev/fuse",
            f"--bind-ro={REPOSITORY}:{_SOURCE}",
            f"--bind-ro={sys.prefix}:{_ENVIRONMENT}",
        ]
        try:
            console = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BOOT_SECONDS, check=False
            ).stdout
        except subprocess.TimeoutExpired as slow:
            console = slow.stdout or b""
        output = self.root / "var/probe/probe.out"
        said = output.read_text() if output.exists() else ""
        if not said.endswith("finished\n"):
            errors = self.root / "var/probe/probe.err"
            why = errors.read_text() if errors.exists() else console.decode(errors="replace")[-4000:]
            raise AssertionError(f"the machine did not do as it was told:\n{said}\n{why}")
        output.unlink()
        return said.removesuffix("finished\n")


@contextmanager
def machine(directory: Path) -> Iterator[Machine]:
    """Give a machine whose disk begins as a copy of this one's, with the programs and units installed.

    Args:
        directory: where its own files are kept; not on an overlay itself.
    """
    upper, work, root = directory / "upper", directory / "work", directory / "root"
    for path in (upper, work, root):
        path.mkdir()
    # Without xino the files and directories would be of different devices, which kmsfs refuses.
    layers = f"xino=on,lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, os.fspath(root)], check=True)
    try:
        made = Machine(root)
        # Not what else this machine serves: it is there already, and starting it twice may take for ever.
        for link in (root / "etc/systemd/system").glob("*.target.wants/*"):
            link.unlink()
        for name, package in _PROGRAMS.items():
            made.write(f"/usr/local/bin/{name}", _LAUNCHER.format(package=package))
            (root / "usr/local/bin" / name).chmod(0o755)
        (root / "root").chmod(0o711)  # the interpreter may lie there, and ordinary users start it too
        for unit in (REPOSITORY / "systemd/system").iterdir():
            made.write(f"/etc/systemd/system/{unit.name}", unit.read_text())
        for unit in (REPOSITORY / "systemd/user").iterdir():
            made.write(f"/etc/systemd/user/{unit.name}", unit.read_text())
        made.write("/etc/systemd/system/probe.service", _PROBE)
        wanted = root / "etc/systemd/system/multi-user.target.wants"
        wanted.mkdir(parents=True, exist_ok=True)
        (wanted / "probe.service").symlink_to("/etc/systemd/system/probe.service")
        yield made
    finally:
        subprocess.run(["umount", "--recursive", os.fspath(root)], check=True)
