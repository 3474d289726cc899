"""What two programs on one mount see of each other: locks, mappings, events; and copies by the kernel."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from backgrounds import Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the mount is root's")

LIBC = ctypes.CDLL(None, use_errno=True)
IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
CONTENT = bytes(range(256)) * 400

# Each as one program takes it, or is refused. 37 is F_OFD_SETLK, which Python 3.11 has no name for.
LOCKS = {
    "flock": "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "whole": "fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "range": "fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)",
    "beside": "fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20)",
    "read": "fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 10, 5)",
    "description": "fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 5, 10, 0))",
}
REFUSES = {
    "flock": {"flock"},
    "whole": {"whole", "range", "beside", "read", "description"},
    "range": {"whole", "range", "read", "description"},
    "beside": {"whole", "beside"},
    "read": {"whole", "range", "description"},
    "description": {"whole", "range", "read", "description"},
}
"""Which locks another program does not get, by the one that is held."""


@pytest.fixture
def file(posix_place: Place, request: pytest.FixtureRequest) -> Path:
    """A file on the mount, in a directory of its own."""
    directory = posix_place.mountpoint / f"{request.node.path.stem}.{request.node.name}"
    directory.mkdir()
    path = directory / "file"
    path.write_bytes(CONTENT)
    return path


def elsewhere(path: Path, code: str) -> str:
    """Run some Python in another program, with `fd` open on the file; return what it prints."""
    head = f"import fcntl, mmap, os, struct\nfd = os.open({str(path)!r}, os.O_RDWR)\n"
    command = [sys.executable, "-c", head + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.mark.parametrize("held", LOCKS)
def test_locks(file: Path, held: str) -> None:
    """A lock keeps another program from what overlaps with it, and from nothing else."""
    head = "import fcntl, os, struct, sys\nfd = os.open(sys.argv[1], os.O_RDWR)"
    script = f"{head}\n{LOCKS[held]}\nprint(flush=True)\ninput()"
    command = [sys.executable, "-c", script, file]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline()
            for tried, code in LOCKS.items():
                attempt = f"try:\n    {code}\nexcept BlockingIOError:\n    print('refused')"
                attempt += "\nelse:\n    print('taken')"
                expected = "refused" if tried in REFUSES[held] else "taken"
                assert (tried, elsewhere(file, attempt)) == (tried, expected)
        finally:
            holder.kill()
    assert elsewhere(file, f"{LOCKS[held]}\nprint('taken')") == "taken"


def test_shared_mapping(file: Path) -> None:
    """What one program stores in a shared mapping, the other reads at once, mapped or not; and back."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[5000:5005] = b"HELLO"
        assert elsewhere(file, "print(os.pread(fd, 5, 5000).decode())") == "HELLO"
        assert elsewhere(file, "print(mmap.mmap(fd, 0)[5000:5005].decode())") == "HELLO"
        elsewhere(file, "mmap.mmap(fd, 0)[70000:70005] = b'THERE'")
        assert mapped[70000:70005] == b"THERE"
        elsewhere(file, "os.pwrite(fd, b'AGAIN', 90000)")
        assert mapped[90000:90005] == b"AGAIN"


def test_direct(file: Path) -> None:
    """What goes past the cache of one program and what goes through that of another is one content."""
    fd = os.open(file, os.O_RDWR | os.O_DIRECT)
    try:
        with mmap.mmap(-1, 4096) as aligned:
            aligned[:] = b"D" * 4096
            os.pwritev(fd, [aligned], 4096)
            assert elsewhere(file, "print(os.pread(fd, 4, 4094)[2:].decode())") == "DD"
            elsewhere(file, "os.pwrite(fd, b'cached', 8192)")
            os.preadv(fd, [aligned], 8192)
            assert aligned[:6] == b"cached"
    finally:
        os.close(fd)


def test_events(file: Path) -> None:
    """An inotify watch tells of what another program does."""
    fd = LIBC.inotify_init1(os.O_NONBLOCK)
    try:
        wanted = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
        assert LIBC.inotify_add_watch(fd, os.fsencode(file.parent), wanted) >= 0
        above = f"os.chdir({str(file.parent)!r})\n"
        elsewhere(file, f"{above}os.write(fd, b'x'); os.mkdir('d'); os.rename('file', 'new'); os.rmdir('d')")
        assert select.select([fd], [], [], 60)[0]
        seen = []
        events = os.read(fd, 4096)
        while events:
            _, mask, _, length = struct.unpack_from("iIII", events)
            seen.append((mask & 0xFFF, events[16 : 16 + length].rstrip(b"\0")))
            events = events[16 + length :]
    finally:
        os.close(fd)
    assert seen == [
        (IN_MODIFY, b"file"),
        (IN_CREATE, b"d"),
        (IN_MOVED_FROM, b"file"),
        (IN_MOVED_TO, b"new"),
        (IN_DELETE, b"d"),
    ]


def test_copies_by_the_kernel(file: Path) -> None:
    """sendfile(2) and copy_file_range(2) copy from here, to here and within."""
    copy = file.with_name("copy")
    for call in ("os.sendfile(out, fd, None, 1 << 20)", "os.copy_file_range(fd, out, 1 << 20)"):
        code = f"out = os.open({str(copy)!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\nprint({call})"
        assert elsewhere(file, code) == str(len(CONTENT))
        assert copy.read_bytes() == CONTENT
