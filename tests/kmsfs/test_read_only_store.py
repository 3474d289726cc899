"""A ciphertext directory that cannot be written: a snapshot, a backup, a medium of its own."""

from __future__ import annotations

import os
import subprocess

import pytest

from backgrounds import Place
from kmsfs.cli.codes import ExitCode

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts the ciphertext read-only")


@pytest.fixture
def sealed_off(volume: Place) -> Place:
    """A volume with a file in it, its ciphertext directory now on a read-only mount."""
    volume.mount()
    (volume.mountpoint / "file").write_bytes(b"content")
    volume.umount()
    writable = volume.ciphertext
    volume.ciphertext = volume.directory / "snapshot"
    volume.ciphertext.mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", writable, volume.ciphertext], check=True)
    return volume


def test_read_only_mount_works(sealed_off: Place) -> None:
    """A read-only mount needs to write nothing at all."""
    result = sealed_off.mount("-o", "ro")
    assert result.returncode == 0, result.stderr
    assert (sealed_off.mountpoint / "file").read_bytes() == b"content"
    assert sealed_off.umount().returncode == 0


def test_mount_for_writing_is_refused(sealed_off: Place) -> None:
    """A mount for writing fails before anything is served, and says what the store said."""
    result = sealed_off.kmsfs("mount", sealed_off.ciphertext, sealed_off.mountpoint)
    assert result.returncode == ExitCode.SYSTEM
    assert "Read-only file system" in result.stderr
    assert "-o ro" in result.stderr
    assert sealed_off.status(sealed_off.ciphertext)["state"] == "not mounted"


OFFLINE = {
    "init": ("init", "{ciphertext}/new"),
    "put": ("put", "{ciphertext}", "new"),
    "verify": ("verify", "--repair", "{ciphertext}"),
    "policy": ("policy", "set", "{ciphertext}", "--key", "alias/aws/kmsfs"),
    "rewrap": ("rewrap", "{ciphertext}"),
    "reencrypt": ("reencrypt", "{ciphertext}"),
}


@pytest.mark.parametrize("command", OFFLINE)
def test_what_changes_is_refused(sealed_off: Place, command: str) -> None:
    """Every command that would change the volume says that its store is read-only, and ends."""
    words = [word.format(ciphertext=sealed_off.ciphertext) for word in OFFLINE[command]]
    result = sealed_off.kmsfs(*words)
    assert result.returncode == ExitCode.SYSTEM, (result.returncode, result.stdout, result.stderr)
    assert "Read-only file system" in result.stderr
    assert sealed_off.status(sealed_off.ciphertext)["volume"]["condition"] == "clean"


@pytest.mark.parametrize("command", ["ls", "cat", "verify", "export"])
def test_what_only_looks_works(sealed_off: Place, command: str) -> None:
    """Every command that only reads needs to write nothing."""
    words = {
        "ls": ("ls", sealed_off.ciphertext),
        "cat": ("cat", sealed_off.ciphertext, "file"),
        "verify": ("verify", "--deep", sealed_off.ciphertext),
        "export": ("export", sealed_off.ciphertext, sealed_off.directory / "copy"),
    }[command]
    result = sealed_off.kmsfs(*words)
    assert result.returncode == 0, result.stderr
