"""The other encrypting filesystems, as Debian packages them: gocryptfs, securefs, EncFS and CryFS.

Each with its defaults, but for a passphrase that is quick to check, and for CryFS AES, which processors have.
Whichever is installed takes part.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cryfsconfig
from measuring import run
from systems import System, WithoutCommands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PASSPHRASE = "benchmark only"  # noqa: S105 - of volumes that live for seconds

_OTHERS_TOO = ("-o", "allow_other") if os.geteuid() == 0 else ()


@dataclass
class Gocryptfs(WithoutCommands):
    """AES-GCM by OpenSSL, encrypted names."""

    scratch: Path
    name: str = "gocryptfs"

    @property
    def passfile(self) -> Path:
        """Where the throw-away passphrase is kept."""
        return self.scratch / "passphrase"

    def make(self, backing: Path) -> None:
        """See `System`."""
        self.passfile.write_text(PASSPHRASE)
        run(["gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", str(self.passfile), str(backing)])

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        others = ["-allow_other"] if _OTHERS_TOO else []
        return ["gocryptfs", "-fg", *others, "-passfile", str(self.passfile), str(backing), str(mountpoint)]

    def version(self) -> str:
        """See `System`."""
        return run(["gocryptfs", "--version"]).splitlines()[0]

    @property
    def ready_line(self) -> bytes:
        """See `System`; it opens its own mount first, and would wait for whoever changes it then."""
        return b"Filesystem mounted and ready."


@dataclass
class Securefs(WithoutCommands):
    """Format 4: AES-GCM, encrypted names, no sizes or times of its own."""

    scratch: Path
    name: str = "securefs"

    def make(self, backing: Path) -> None:
        """See `System`."""
        derivation = ["--pbkdf", "pkcs5-pbkdf2-hmac-sha256", "-r", "1000"]
        run(["securefs", "create", "--pass", PASSPHRASE, *derivation, str(backing)])

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        return ["securefs", "mount", "--pass", PASSPHRASE, *_OTHERS_TOO, str(backing), str(mountpoint)]

    def version(self) -> str:
        """See `System`."""
        return run(["securefs", "version"]).splitlines()[0]


@dataclass
class Encfs(WithoutCommands):
    """AES-CBC and no authentication of contents, which its standard mode goes without."""

    scratch: Path
    name: str = "encfs"

    def make(self, backing: Path) -> None:
        """See `System`; its first mount makes the volume."""

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        others = ["--public"] if _OTHERS_TOO else []
        return ["encfs", "--standard", "--stdinpass", *others, "-f", str(backing), str(mountpoint)]

    @property
    def typed(self) -> bytes:
        """See `System`."""
        return f"{PASSPHRASE}\n".encode()

    def version(self) -> str:
        """See `System`."""
        return _package_version("encfs")


@dataclass
class Cryfs(WithoutCommands):
    """AES-256-GCM in blocks of 16 KiB, so that neither names nor sizes nor directories can be seen."""

    scratch: Path
    name: str = "cryfs"

    def make(self, backing: Path) -> None:
        """See `System`; what it remembers of volumes that were in the same place is taken away."""
        shutil.rmtree(self.scratch / "state", ignore_errors=True)
        (backing / "cryfs.config").write_bytes(cryfsconfig.new_config(PASSPHRASE, self._number()))

    def mount_command(self, backing: Path, mountpoint: Path) -> list[str]:
        """See `System`."""
        return ["cryfs", "-f", str(backing), str(mountpoint), *_OTHERS_TOO]

    @property
    def typed(self) -> bytes:
        """See `System`."""
        return f"{PASSPHRASE}\n".encode()

    def environment(self) -> dict[str, str]:
        """See `System`."""
        return {
            "CRYFS_FRONTEND": "noninteractive",
            "CRYFS_NO_UPDATE_CHECK": "true",
            "CRYFS_LOCAL_STATE_DIR": str(self.scratch / "state"),
        }

    def version(self) -> str:
        """See `System`."""
        return run(["cryfs", "--version"], environment={**os.environ, **self.environment()}).splitlines()[0]

    def _number(self) -> str:
        return self.version().rpartition(" ")[2]


PEERS: Final[Mapping[str, Callable[[Path], System]]] = {
    "gocryptfs": Gocryptfs,
    "securefs": Securefs,
    "encfs": Encfs,
    "cryfs": Cryfs,
}
"""Name of the program → the system, given a directory of its own."""


def installed() -> list[str]:
    """Return the names of the peers that this machine has."""
    return [name for name in PEERS if shutil.which(name)]


def _package_version(package: str) -> str:
    """Return what dpkg says, of a program that fails when it is asked for its version."""
    if not shutil.which("dpkg-query"):
        return "unknown"
    return run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package])
