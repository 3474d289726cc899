"""Directory trees for tests: one with everything odd in it, and a snapshot by which two trees are compared.

Works on any mounted filesystem through ordinary system calls on byte paths.
"""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

CHUNK_BYTES = 4096
EDGE_SIZES = (0, 1, 511, 512, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 200_001)
"""Plain sizes where something changes: empty, the last chunk short, full or missing."""

ODD_NAMES = (
    b" ",
    b"...",
    b"-rf",
    b"two\nlines",
    b"tab\tand\x7fdelete",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"\xff\xfe not UTF-8",
    b"*?[]{}$`\"'\\",
    b"kmsfs.conf",
    b".kmsfsrc",
    b"\x01" * 255,
    b"n" * 175,
    b"n" * 176,
    b"n" * 255,
    "\N{GRINNING FACE}".encode() * 63,
)
"""Names that are legal in POSIX and easily mishandled: arbitrary bytes, every length that is an edge."""

FREE_NAMES = tuple(name for name in ODD_NAMES if not name.startswith(b".kmsfs"))
"""Those that may be given on a volume with plain names too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What two equal trees must agree on for one name."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int
    link_count: int
    device: int
    linked_with: bytes
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]


Snapshot = dict[bytes, Entry]


def walk(top: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield every path below `top`, relative to it, with its status; parents before children, sorted."""
    pending = [b""]
    while pending:
        parent = pending.pop()
        for name in sorted(os.listdir(os.path.join(top, parent))):
            relative = os.path.join(parent, name)
            status = os.lstat(os.path.join(top, relative))
            yield relative, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(relative)


def below(top: Path) -> list[Path]:
    """Return every path below `top`; Path.rglob fails on links with long targets (Python 3.11.2)."""
    return [Path(os.fsdecode(os.path.join(bytes(top), relative))) for relative, _ in walk(bytes(top))]


def snapshot(top: os.PathLike[str]) -> Snapshot:
    """Read a whole tree: status, contents, link targets, which names are one file, extended attributes."""
    root = os.fsencode(top)
    first_name: dict[tuple[int, int], bytes] = {}
    return {
        relative: _entry(os.path.join(root, relative), relative, status, first_name)
        for relative, status in walk(root)
    }


def without_links(tree: Snapshot) -> Snapshot:
    """Leave out which names are one file."""
    return {name: replace(entry, linked_with=b"") for name, entry in tree.items()}


def differences(found: Snapshot, expected: Snapshot) -> list[str]:
    """Say where two trees differ, name by name and field by field; empty if nowhere."""
    lines = [f"missing: {name!r}" for name in sorted(expected.keys() - found.keys())]
    lines += [f"not expected: {name!r}" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(found.keys() & expected.keys()):
        for field in fields(Entry):
            ours, theirs = getattr(found[name], field.name), getattr(expected[name], field.name)
            if ours != theirs:
                lines.append(f"{field.name} of {name!r}: {ours!r}, not {theirs!r}")
    return lines


def without_special_times(tree: Snapshot) -> Snapshot:
    """Leave out the times of all but files and directories: rsync --hard-links does not carry them over."""
    timed = (stat.S_ISREG, stat.S_ISDIR)
    return {
        name: entry if any(is_kind(entry.mode) for is_kind in timed) else replace(entry, mtime_ns=0)
        for name, entry in tree.items()
    }


def _entry(
    path: bytes, relative: bytes, status: os.stat_result, first_name: dict[tuple[int, int], bytes]
) -> Entry:
    is_directory = stat.S_ISDIR(status.st_mode)
    identity = (status.st_dev, status.st_ino)
    return Entry(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size_bytes=0 if is_directory else status.st_size,
        link_count=0 if is_directory else status.st_nlink,
        device=status.st_rdev if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode) else 0,
        linked_with=b"" if is_directory else first_name.setdefault(identity, relative),
        content=_content(path, status.st_mode),
        xattrs=_user_xattrs(path, status.st_mode),
    )


def digest(content: bytes) -> bytes:
    """Return what stands for a file's content in a snapshot."""
    return hashlib.sha256(content).digest()


def _content(path: bytes, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return b""
    with open(path, "rb") as file:
        return digest(file.read())


def _user_xattrs(path: bytes, mode: int) -> tuple[tuple[str, bytes], ...]:
    """Return the attributes in the user namespace, which only files and directories may carry: xattr(7)."""
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return ()
    names = sorted(name for name in os.listxattr(path) if name.startswith("user."))
    return tuple((name, os.getxattr(path, name)) for name in names)


def make_odd_tree(top: os.PathLike[str], file_count: int, names: Sequence[bytes] = ODD_NAMES) -> None:
    """Fill the existing directory `top` with `file_count` files and everything else a directory may hold.

    The tree is the same each time. Whatever only root may make is there only for root.
    """
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _make_at(root, file_count, names)
    finally:
        os.close(root)


def _make_at(root: int, file_count: int, names: Sequence[bytes]) -> None:
    chance = random.Random(20)  # noqa: S311 - the same tree each time
    directories = _make_directories(root, chance, names)
    os.mkdir(b"named oddly", 0o755, dir_fd=root)
    files: list[bytes] = []
    for number in range(file_count):
        parent = b"named oddly" if number < len(names) else chance.choice(directories)
        odd = names[number] if number < len(names) else b"file %d " % number + _noise(chance)
        path = os.path.join(parent, odd)
        _make_file(root, path, chance)
        files.append(path)
    for number in range(file_count // 20):
        parent = chance.choice(directories)
        os.link(chance.choice(files), parent + b"/hard %d" % number, src_dir_fd=root, dst_dir_fd=root)
        target = chance.choice([b"../" + chance.choice(files), b"/dev/null", b"nowhere", b"x/" * 1000])
        os.symlink(target, parent + b"/soft %d" % number, dir_fd=root)
    os.mkfifo(directories[0] + b"/fifo", 0o640, dir_fd=root)
    if os.geteuid() == 0:
        os.mknod(directories[0] + b"/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3), dir_fd=root)
        os.chown(files[0], 1, 2, dir_fd=root)
    for number, path in enumerate(reversed(directories)):
        os.utime(path, ns=(10**9, (number - 5) * 10**15 + 123_456_789), dir_fd=root)


def _make_directories(root: int, chance: random.Random, names: Sequence[bytes]) -> list[bytes]:
    """Make nested directories, special mode bits among them."""
    paths: list[bytes] = []
    for number in range(60):
        parent = chance.choice(paths[-20:]) + b"/" if paths and number % 4 else b""
        path = parent + (names[number] if number < len(names) else b"directory %d" % number)
        os.mkdir(path, 0o700, dir_fd=root)
        os.chmod(path, chance.choice([0o755, 0o700, 0o1777, 0o2750]), dir_fd=root)
        paths.append(path)
    return paths


def _make_file(root: int, path: bytes, chance: random.Random) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, dir_fd=root)
    try:
        size_bytes = chance.choice([*EDGE_SIZES, chance.randrange(20_000)])
        os.write(descriptor, chance.randbytes(size_bytes))
        if chance.random() < 0.02:
            os.ftruncate(descriptor, size_bytes + 10 * CHUNK_BYTES)
            os.pwrite(descriptor, b"after the hole", size_bytes + 20 * CHUNK_BYTES + 7)
        if chance.random() < 0.1:
            os.setxattr(descriptor, "user.comment", chance.randbytes(chance.randrange(300)))
            os.setxattr(descriptor, "user.empty", b"")
        os.fchmod(descriptor, chance.choice([0o644, 0o600, 0o755, 0o400, 0o4755, 0o2755]))
        os.utime(descriptor, ns=(10**9, chance.randrange(-(10**18), 4 * 10**18)))
    finally:
        os.close(descriptor)


def _noise(chance: random.Random) -> bytes:
    """Return up to 240 arbitrary bytes that a name may hold."""
    return bytes(byte for byte in chance.randbytes(chance.randrange(240)) if byte not in b"\0/")
