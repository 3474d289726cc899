"""POSIX ACLs with -o acl: every step leaves on a mount what it leaves on tmpfs, and decides the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backgrounds import Place

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as several users"),
    pytest.mark.skipif(shutil.which("setfacl") is None, reason="the package acl is not installed"),
]

NOBODY = 65534
SET_UP = "setfacl -d -m u:nobody:rwx,g:mail:r-x ."
STEPS = {
    "inherited by files": f"{SET_UP}; umask 027; touch a; install -m 640 /dev/null b; mkfifo -m 666 c",
    "inherited by directories": f"{SET_UP}; umask 077; mkdir a a/b; touch a/b/c; mkdir -m 700 d e",
    "narrower than the mode": "setfacl -d -m u:nobody:rwx,m::rx,o::- .; mkdir a a/b; mkdir -m 1311 d",
    "the umask without a default": "umask 027; mkdir a; touch a/b; mkfifo c; setfacl -m u:nobody:r a/b",
    "chmod changes the mask": "touch a; setfacl -m u:nobody:rw,g:mail:rw a; chmod 600 a; chmod 664 a",
    "set-group-ID goes": "touch a; chgrp mail a; chmod 2755 a; setfacl -m u:nobody:rwx a; mkdir -m 2755 d",
    "taken away": f"{SET_UP}; touch a; mkdir b; setfacl -b a; setfacl -k b; touch b/c; chmod 755 .",
    "refused": "touch a; setfacl -m u:nobody:rwx a; chmod 000 a; setfacl -m m::- a; ln -s a link",
    "kept by mv and cp": f"mkdir d; cd d; {SET_UP}; touch a; cd ..; mv d/a b; cp -a d c; cp -p b d/e",
}  # fmt: skip
EACH = "find . 2>/dev/null | sort | while read -r f; do"
ACLS = f"{EACH} getfacl $f; done"
PROBE = f"{EACH} test -r $f; r=$?; test -w $f; w=$?; test -x $f; echo $f $r $w $?; done"


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    """A directory on tmpfs."""
    with tempfile.TemporaryDirectory(prefix="kms-", dir="/dev/shm") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def run(directory: Path, script: str, uid: int = 0) -> str:
    """Return what a script prints, with the errors in it."""
    result = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=directory, user=uid, group=uid, extra_groups=[], check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )  # fmt: skip
    return result.stdout


def seen(directory: Path, script: str) -> list[str]:
    """Run a script in a directory; return what it printed, the ACLs after it, and what nobody may do."""
    return [run(directory, script), run(directory, ACLS), run(directory, PROBE, NOBODY)]


def test_every_step_is_as_on_tmpfs(place: Place, tmpfs: Path) -> None:
    """ACLs set, inherited, masked by chmod(2) and umask, and removed: the same ACLs, the same decisions."""
    place.init()
    assert place.mount("-o", "acl").returncode == 0
    place.directory.chmod(0o755)
    here: dict[str, list[str]] = {}
    for name, script in STEPS.items():
        found = []
        for root in (tmpfs, place.mountpoint):
            directory = root / name.replace(" ", "-")
            directory.mkdir()
            found.append(seen(directory, script))
        assert found[0] == found[1], name
        here[name] = found[1]
    assert place.umount().returncode == 0
    assert place.mount("-o", "acl").returncode == 0
    for name, (_, acls, decisions) in here.items():
        directory = place.mountpoint / name.replace(" ", "-")
        assert run(directory, ACLS) == acls
        assert run(directory, PROBE, NOBODY) == decisions


def test_without_the_option_there_are_none(place: Place) -> None:
    """setfacl(1) is refused, rather than taken and not kept to."""
    place.init()
    assert place.mount().returncode == 0
    (place.mountpoint / "file").touch()
    assert "Operation not supported" in run(place.mountpoint, "setfacl -m u:nobody:rw file")
