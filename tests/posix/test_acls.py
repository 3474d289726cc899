"""POSIX ACLs with `-o acl`: what comes of each step is what comes of it on tmpfs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from backgrounds import Place
from users import ALICE, BOB, CAROL, Step, do

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users"),
    pytest.mark.skipif(shutil.which("setfacl") is None, reason="the acl package is not installed"),
]

STEPS: dict[str, list[Step]] = {
    "one more user": [
        (ALICE, "put('file'), os.chmod('file', 0o640), acl('file')"),
        (BOB, "get('file')"),
        (ALICE, "set_acl('-m', 'u:60002:r', 'file'), acl('file'), see('file')"),
        (BOB, "get('file')"),
        (BOB, "put('file', b'bob', os.O_WRONLY)"),
        (CAROL, "get('file')"),
        (BOB, "set_acl('-m', 'u:60002:rw', 'file')"),
        (ALICE, "set_acl('-m', 'u:60002:rw', 'file'), acl('file'), see('file')"),
        (BOB, "put('file', b'from bob', os.O_WRONLY), get('file')"),
        (ALICE, "set_acl('-x', 'u:60002', 'file'), acl('file'), see('file')"),
        (BOB, "get('file')"),
        (ALICE, "set_acl('-b', 'file'), acl('file'), see('file')"),
    ],
    "a group more, and one less": [
        (ALICE, "put('file'), os.chmod('file', 0o604), see('file')"),
        (ALICE, "set_acl('-m', 'g:60100:rw,g:60101:-', 'file'), acl('file'), see('file')"),
        (BOB, "get('file')"),
        (BOB, "put('file', b'team', os.O_WRONLY)"),
        (CAROL, "get('file')"),
    ],
    "mask and mode": [
        (ALICE, "put('file'), set_acl('-m', 'u:60002:rwx,g:60101:rx', 'file'), acl('file'), see('file')"),
        (ALICE, "os.chmod('file', 0o600), acl('file'), see('file')"),
        (BOB, "get('file')"),
        (ALICE, "os.chmod('file', 0o640), acl('file'), see('file')"),
        (BOB, "get('file')"),
        (BOB, "put('file', b'x', os.O_WRONLY)"),
        (ALICE, "set_acl('-m', 'm::rw', 'file'), acl('file'), see('file')"),
        (BOB, "put('file', b'x', os.O_WRONLY)"),
        (ALICE, "set_acl('-m', 'm::-', 'file'), acl('file'), see('file')"),
        (CAROL, "get('file')"),
        (BOB, "os.access('file', os.R_OK)"),
    ],
    "inherited": [
        (ALICE, "os.mkdir('d'), set_acl('-d', '-m', 'u:60002:rwx,g:60101:r', 'd'), acl('d'), see('d')"),
        (ALICE, "put('d/file'), acl('d/file'), see('d/file')", 0o077),
        (ALICE, "put('d/private', mode=0o600), acl('d/private'), see('d/private')", 0),
        (ALICE, "os.mkdir('d/below'), acl('d/below'), see('d/below')", 0o077),
        (ALICE, "os.mkdir('d/tight', 0o700), acl('d/tight'), see('d/tight')", 0),
        (ALICE, "os.mkfifo('d/fifo', 0o666), acl('d/fifo'), see('d/fifo')", 0o077),
        (ALICE, "os.symlink('file', 'd/link'), see('d/link')"),
        (ALICE, "put('d/below/file'), acl('d/below/file'), see('d/below/file')", 0o027),
        (BOB, "put('d/file', b'from bob', os.O_WRONLY), get('d/file')"),
        (BOB, "put('d/below/bobs'), acl('d/below/bobs'), see('d/below/bobs')"),
        (CAROL, "get('d/file')"),
        (ALICE, "set_acl('-k', 'd'), acl('d')"),
        (ALICE, "put('d/later'), acl('d/later'), see('d/later')", 0o077),
    ],
    "moved and replaced": [
        (ALICE, "os.mkdir('d'), put('file'), set_acl('-m', 'u:60002:rw', 'file'), acl('file')"),
        (ALICE, "os.rename('file', 'd/moved'), acl('d/moved'), see('d/moved')"),
        (ALICE, "os.link('d/moved', 'again'), acl('again')"),
        (BOB, "put('again', b'via the other', os.O_WRONLY), get('d/moved')"),
        (ALICE, "put('new'), os.rename('new', 'again'), acl('again'), acl('d/moved')"),
        (BOB, "put('again', b'x', os.O_WRONLY)"),
        (0, "os.chown('d/moved', 60003, 60101), acl('d/moved'), see('d/moved')"),
        (CAROL, "set_acl('-m', 'u:60001:r', 'd/moved'), acl('d/moved')"),
        (ALICE, "set_acl('-m', 'u:60001:rw', 'd/moved')"),
    ],
    "nonsense": [
        (ALICE, "put('file'), set_acl('-d', '-m', 'u:60002:r', 'file'), acl('file')"),
        (ALICE, "os.setxattr('file', 'system.posix_acl_access', b'nonsense')"),
        (ALICE, "os.setxattr('file', 'system.posix_acl_access', b'')"),
        (BOB, "os.setxattr('file', 'system.posix_acl_access', b'')"),
        (ALICE, "os.removexattr('file', 'system.posix_acl_access')"),
        (ALICE, "[name for name in os.listxattr('file') if 'acl' in name]"),
    ],
    "set-group-ID": [
        (ALICE, "os.mkdir('d'), os.chown('d', -1, 60100), os.chmod('d', 0o2770), see('d')"),
        (ALICE, "set_acl('-d', '-m', 'g:60101:rw', 'd'), acl('d'), see('d')"),
        (BOB, "put('d/file'), acl('d/file'), see('d/file')"),
        (BOB, "os.mkdir('d/below'), acl('d/below'), see('d/below')"),
        (CAROL, "get('d/file')"),
        (ALICE, "set_acl('-m', 'g:60101:x', 'd'), acl('d'), see('d')"),
        (CAROL, "get('d/file')"),
        (CAROL, "put('d/file', b'from carol', os.O_WRONLY)"),
    ],
}


@pytest.mark.parametrize("name", STEPS)
def test_as_on_tmpfs(native: Path, acl_place: Place, name: str) -> None:
    """Setting, inheriting, masking and obeying ACLs gives what it gives on tmpfs, step for step."""
    tops = [above / f"acls, {name}" for above in (native, acl_place.mountpoint)]
    for top in tops:
        top.mkdir()
        top.chmod(0o777)
    for step in STEPS[name]:
        expected, found = (do(top, *step) for top in tops)
        assert (step, found) == (step, expected)


def test_kept_over_a_mount(acl_place: Place) -> None:
    """ACLs are there after a remount; without the option they do not count, and cannot be set."""
    top = acl_place.mountpoint / "kept"
    top.mkdir(0o777)
    top.chmod(0o777)
    do(top, ALICE, "put('file'), os.chmod('file', 0o600), set_acl('-m', 'u:60002:r', 'file')")
    before = do(top, ALICE, "acl('file')")
    assert "user:60002:r--" in before
    assert acl_place.umount().returncode == 0
    assert acl_place.mount("-o", "acl").returncode == 0
    assert do(top, ALICE, "acl('file')") == before
    assert do(top, BOB, "get('file')") == "b'text'"
    assert acl_place.umount().returncode == 0
    assert acl_place.mount().returncode == 0
    try:
        assert do(top, ALICE, "set_acl('-m', 'u:60003:r', 'file')") == "1"
    finally:
        assert acl_place.umount().returncode == 0
        assert acl_place.mount("-o", "acl").returncode == 0
