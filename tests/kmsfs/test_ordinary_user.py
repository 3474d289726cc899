"""All of it as an ordinary user, through fusermount3.

Each test runs one shell script as a user without privileges, in namespaces of its own: of mounts, so that
the user may open /dev/fuse and reach the interpreter wherever it is kept, and of processes, so that whatever
the script starts ends with it.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
UID = 65534
PATIENCE_SECONDS = 120

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user; other tests are run as this one"),
    pytest.mark.skipif(shutil.which("fusermount3") is None, reason="fusermount3 is not installed"),
]

# The interpreter, its packages and the project, each at a place of its own in the stage.
STAGE = """
set -eu
cd "$STAGE"
mkdir python packages project
mount --bind "$PYTHON" python
mount --bind "$PACKAGES" packages
mount --bind "$PROJECT" project
mknod -m "$FUSE_MODE" fuse c 10 229
mount --bind fuse /dev/fuse
mount --bind fuse.conf /etc/fuse.conf
exec setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --inh-caps=-all \
    env -i HOME="$STAGE/home" PATH=/usr/bin:/bin PYTHONPATH="$STAGE/project:$STAGE/packages" \
    LD_LIBRARY_PATH="$STAGE/python/lib" \
    PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=error STAGE="$STAGE" bash -eu -c "$SCRIPT"
"""

PRELUDE = """
cd "$HOME"
kmsfs() { "$STAGE/python/bin/python3" -P -m kmsfs "$@"; }
fails() {
    local want=$1 got=0
    shift
    "$@" || got=$?
    [ "$got" = "$want" ] || { echo "$* gave $got"; exit 99; }
}
pid() { kmsfs status --json "$1" | sed -n 's/^ *"pid": \\([0-9]*\\),.*/\\1/p' | head -1; }
mkdir mnt
"""


@pytest.fixture
def stage(short_directory: Path) -> Path:
    """A directory that the user may pass through, with a home of its own in it."""
    short_directory.chmod(0o755)
    home = short_directory / "home"
    home.mkdir(mode=0o700)
    os.chown(home, UID, UID)
    (short_directory / "fuse.conf").write_text("")
    return short_directory


def run(stage: Path, script: str, *, fuse_mode: str = "666") -> subprocess.CompletedProcess[str]:
    """Run a script as the user, on a stage."""
    environ = {
        "STAGE": str(stage),
        "PYTHON": sys.base_prefix,
        "PACKAGES": site.getsitepackages()[0],
        "PROJECT": str(PROJECT),
        "USER_ID": str(UID),
        "FUSE_MODE": fuse_mode,
        "SCRIPT": PRELUDE + script,
    }
    apart = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run(
        ["unshare", *apart, "bash", "-c", STAGE],
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_round_trip(stage: Path) -> None:
    """Make, mount, use, look, unmount, mount again: with an agent of one's own that nobody had to start."""
    result = run(
        stage,
        """
        kmsfs init vault
        kmsfs mount vault mnt
        echo content > mnt/file
        mkdir mnt/directory
        ln -s file mnt/link
        stat -c '%u %a' mnt/file
        grep -q nosuid,nodev /proc/self/mounts
        kmsfs status --json mnt | grep '"dumpable"'
        fails 10 bash -c "cd mnt && exec \\"$STAGE\\"/python/bin/python3 -P -m kmsfs umount $HOME/mnt"
        kmsfs umount mnt
        [ -z "$(ls mnt)" ]
        kmsfs mount vault mnt
        cat mnt/link
        kmsfs status --json mnt | grep '"was_clean"'
        kmsfs umount mnt
        """,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert f"{UID} 644" in lines
    assert "content" in lines
    assert any('"dumpable": false' in line for line in lines)
    assert any('"was_clean": true' in line for line in lines)


def test_killed_mount_is_cleaned_up(stage: Path) -> None:
    """What a killed process left at the mount point goes with the user's next mount, or by unmounting."""
    result = run(
        stage,
        """
        kmsfs init vault
        kmsfs mount vault mnt
        echo content > mnt/file
        sync mnt/file
        kill -9 "$(pid mnt)"
        while kmsfs status | grep -q answering; do :; done
        kmsfs mount vault mnt
        cat mnt/file
        kill -9 "$(pid mnt)"
        while kmsfs status | grep -q answering; do :; done
        kmsfs umount mnt
        [ -z "$(ls mnt)" ]
        """,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "content" in result.stdout.splitlines()


def test_what_root_must_allow(stage: Path) -> None:
    """Device nodes, set-user-ID and other users are refused with what root can do about it."""
    result = run(
        stage,
        """
        kmsfs init vault
        fails 2 kmsfs mount -o suid vault mnt
        fails 9 kmsfs mount -o allow_other vault mnt
        """,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "root only" in result.stderr
    assert "user_allow_other" in result.stderr


def test_allow_other_where_it_is_allowed(stage: Path) -> None:
    """With user_allow_other in fuse.conf, a user may let others in."""
    (stage / "fuse.conf").write_text("# a comment\nuser_allow_other\n")
    script = "kmsfs init vault; kmsfs mount -o allow_other vault mnt; grep allow_other /proc/self/mounts"
    result = run(stage, script)
    assert result.returncode == 0, result.stdout + result.stderr


def test_closed_device(stage: Path) -> None:
    """Where the user may not open /dev/fuse, the message says what root can do."""
    result = run(stage, "kmsfs init vault; fails 9 kmsfs mount vault mnt", fuse_mode="600")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "chmod 0666 /dev/fuse" in result.stderr


def test_someone_elses_directories(stage: Path) -> None:
    """A volume that may not be read, or a mount point that may not be used, is an error that names it."""
    (stage / "foreign").mkdir(mode=0o700)
    result = run(
        stage,
        """
        kmsfs init vault
        fails 11 kmsfs mount "$STAGE/foreign" mnt
        fails 8 kmsfs mount vault "$STAGE/foreign"
        fails 11 kmsfs init "$STAGE/foreign/new"
        """,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr.count(f"{stage}/foreign") >= 3
