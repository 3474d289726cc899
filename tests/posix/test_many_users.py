"""Several users on one mount: owners, groups, umask, sticky and set-group-ID directories, as on tmpfs.

Every step is done by a process of that user on the mount and on tmpfs, and must give the same on both.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backgrounds import Place
from users import ALICE, BOB, CAROL, Step, do

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

STEPS: dict[str, list[Step]] = {
    "whose a new thing is": [
        (ALICE, "put('file'), see('file')"),
        (ALICE, "os.mkdir('directory'), see('directory')"),
        (ALICE, "os.symlink('file', 'link'), see('link')"),
        (ALICE, "os.mkfifo('fifo'), see('fifo')"),
        (BOB, "put('private', mode=0o600), see('private')"),
        (ALICE, "get('private')"),
        (BOB, "get('file')"),
        (BOB, "put('file', b'mine', os.O_WRONLY)"),
        (BOB, "os.chmod('file', 0o777)"),
        (BOB, "os.chown('file', 60002, -1)"),
        (BOB, "os.utime('file', (1, 1))"),
        (BOB, "os.unlink('file'), os.path.lexists('file')"),
        (0, "see('private')"),
    ],
    "umask": [
        (ALICE, "put('tight'), see('tight')", 0o077),
        (ALICE, "put('loose'), see('loose')", 0),
        (ALICE, "os.mkdir('tight d'), see('tight d')", 0o077),
        (ALICE, "os.mkdir('loose d', 0o777), see('loose d')", 0),
        (ALICE, "os.mkfifo('fifo', 0o666), see('fifo')", 0o027),
        (ALICE, "put('exact', mode=0o640), see('exact')", 0o002),
        (BOB, "get('tight')"),
        (BOB, "put('loose', b'more', os.O_WRONLY), get('loose')"),
    ],
    "a supplementary group": [
        (ALICE, "put('shared'), os.chmod('shared', 0o660), see('shared')"),
        (BOB, "get('shared')"),
        (ALICE, "os.chown('shared', -1, 60100), see('shared')"),
        (BOB, "get('shared')"),
        (BOB, "put('shared', b'from bob', os.O_WRONLY), get('shared')"),
        (CAROL, "get('shared')"),
        (ALICE, "os.chown('shared', -1, 60101)"),
        (BOB, "os.chown('shared', -1, 60101)"),
        (BOB, "os.access('shared', os.R_OK), os.access('shared', os.X_OK)"),
        (CAROL, "os.access('shared', os.R_OK)"),
    ],
    "a set-group-ID directory": [
        (0, "os.mkdir('team'), os.chown('team', 60001, 60100), os.chmod('team', 0o2775), see('team')"),
        (BOB, "put('team/file'), see('team/file')", 0o002),
        (BOB, "os.mkdir('team/below'), see('team/below')", 0o002),
        (ALICE, "put('team/below/file'), see('team/below/file')", 0o002),
        (ALICE, "put('team/file', b'from alice', os.O_WRONLY), get('team/file')"),
        (CAROL, "put('team/carols')"),
        (CAROL, "get('team/file')"),
        (BOB, "os.symlink('x', 'team/link'), see('team/link')"),
        (BOB, "os.mkfifo('team/fifo'), see('team/fifo')"),
        (BOB, "put('team/tool', mode=0o2777), see('team/tool')", 0),
        (CAROL, "os.chmod('team', 0o777)"),
        (ALICE, "os.chmod('team/below/file', 0o2775), see('team/below/file')"),
        (ALICE, "os.rename('team/below', 'team/moved'), see('team/moved')"),
    ],
    "a sticky directory": [
        (0, "os.mkdir('tmp'), os.chmod('tmp', 0o1777), see('tmp')"),
        (ALICE, "put('tmp/alices', mode=0o666), os.mkdir('tmp/hers')", 0),
        (BOB, "os.unlink('tmp/alices')"),
        (BOB, "os.rename('tmp/alices', 'tmp/bobs')"),
        (BOB, "os.rmdir('tmp/hers')"),
        (BOB, "put('tmp/bobs'), os.rename('tmp/bobs', 'tmp/alices')"),
        (BOB, "os.link('tmp/bobs', 'tmp/again'), see('tmp/again')"),
        (ALICE, "os.unlink('tmp/bobs')"),
        (BOB, "put('tmp/alices', b'all may write', os.O_WRONLY)"),
        (ALICE, "get('tmp/alices')"),
        (ALICE, "os.unlink('tmp/alices'), os.rmdir('tmp/hers'), os.listdir('tmp').sort()"),
        (0, "os.unlink('tmp/bobs')"),
    ],
    "what writing takes away": [
        (ALICE, "put('tool'), os.chmod('tool', 0o6755), see('tool')"),
        (ALICE, "put('tool', b'new', os.O_WRONLY), see('tool')"),
        (ALICE, "os.chmod('tool', 0o6755), os.truncate('tool', 1), see('tool')"),
        (ALICE, "os.chmod('tool', 0o6777), see('tool')"),
        (BOB, "put('tool', b'from bob', os.O_WRONLY), see('tool')"),
        (0, "os.chmod('tool', 0o6755), os.chown('tool', 60001, 60100), see('tool')"),
        (ALICE, "os.chmod('tool', 0o2755), see('tool')"),
        (ALICE, "os.chown('tool', -1, 60001), os.chmod('tool', 0o2755), see('tool')"),
    ],
    "directories that others may not pass": [
        (ALICE, "os.mkdir('closed', 0o700), put('closed/file'), see('closed/file')"),
        (BOB, "os.listdir('closed')"),
        (BOB, "os.lstat('closed/file')"),
        (ALICE, "os.chmod('closed', 0o711)"),
        (BOB, "os.listdir('closed')"),
        (BOB, "get('closed/file')"),
        (ALICE, "os.chmod('closed', 0o744)"),
        (BOB, "os.listdir('closed')"),
        (BOB, "get('closed/file')"),
        (ALICE, "os.chmod('closed', 0o300), os.listdir('closed')"),
        (ALICE, "put('closed/new'), get('closed/new')"),
    ],
}


@pytest.mark.parametrize("name", STEPS)
def test_as_on_tmpfs(native: Path, posix_place: Place, name: str) -> None:
    """Each user may do the same as on tmpfs, and what comes of it belongs to the same user and group."""
    tops = [above / f"many users, {name}" for above in (native, posix_place.mountpoint)]
    for top in tops:
        top.mkdir()
        top.chmod(0o777)
    for step in STEPS[name]:
        expected, found = (do(top, *step) for top in tops)
        assert (step, found) == (step, expected)
