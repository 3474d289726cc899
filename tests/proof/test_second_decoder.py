"""What programs wrote through a real mount, the second decoder reads from the backing store."""

import os
import socket
import stat
from pathlib import Path

import pytest

from decoder import decode
from decoding import volume_keys
from mounts import volume

LONG_NAME = b"\xf0\x9f\x94\x91" * 63 + b"end"
ODD_NAME = bytes(sorted({*range(1, 128)} - {ord("/")}))


def write_tree(root: bytes, names: tuple[bytes, ...]) -> None:
    """Write one of everything that a filesystem holds, and small files of the names given."""
    for name in (b"small", *names):
        with open(os.path.join(root, name), "wb") as file:
            file.write(name * 300)
    with open(os.path.join(root, b"sparse"), "wb") as file:
        file.seek(10 * 4096 + 17)
        file.write(b"end")
    with open(os.path.join(root, b"shrunk"), "wb") as file:
        file.write(os.urandom(3 * 4096))
        file.truncate(4097)
    open(os.path.join(root, b"empty"), "wb").close()
    os.makedirs(os.path.join(root, b"a", LONG_NAME, b"b"))
    os.link(os.path.join(root, b"small"), os.path.join(root, b"a", b"second name"))
    os.symlink(b"../small", os.path.join(root, b"a", b"link"))
    os.rename(os.path.join(root, b"a", b"link"), os.path.join(root, b"a", LONG_NAME, b"moved link"))
    os.symlink(b"/" * 3055, os.path.join(root, b"a", b"long link"))
    os.setxattr(os.path.join(root, b"small"), "user.origin", b"a test")
    os.setxattr(os.path.join(root, b"a"), "user.empty", b"")
    os.mkfifo(os.path.join(root, b"fifo"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(root, b"socket"))


def read_tree(root: bytes) -> dict[bytes, tuple[object, ...]]:
    """Return type, content, target and attributes of everything below a directory, by path."""
    found: dict[bytes, tuple[object, ...]] = {b"": ("directory", None, None, {})}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = describe(path)
    return found


def describe(path: bytes) -> tuple[object, ...]:
    """Return type, content, target and attributes of one inode."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return ("symlink", None, os.readlink(path), {})
    names = [name for name in os.listxattr(path) if name.startswith("user.")]
    xattrs = {os.fsencode(name): os.getxattr(path, name) for name in names}
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return ("file", file.read(), None, xattrs)
    kinds = {stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
    return (kinds[stat.S_IFMT(mode)], None, None, xattrs)


CASES = {
    "sealed names": ((), (LONG_NAME, ODD_NAME, b"\xff\xfe", b".kmsfs", b"kmsfs.long.x")),
    "plain names": (("--plain-names",), (LONG_NAME, ODD_NAME, b"\xff\xfe")),
    "mode direct": (("--mode", "direct"), (LONG_NAME,)),
    "mode customer": (("--mode", "customer"), (LONG_NAME,)),
}
CUSTOMER_KEY = bytes(range(32))


@pytest.mark.parametrize("case", CASES)
def test_the_second_decoder_reads_what_programs_wrote(tmp_path: Path, agent_url: str, case: str) -> None:
    """After an unmount, decoder and mount agree on every path, type, content, target and attribute."""
    options, names = CASES[case]
    keys: tuple[str, ...] = ()
    if case == "mode customer":
        key_file = tmp_path / "key"
        key_file.write_bytes(CUSTOMER_KEY)
        key_file.chmod(0o600)
        keys = ("--customer-key-file", str(key_file))
    with volume(tmp_path, agent_url, init_options=options, key_options=keys) as mounted:
        write_tree(os.fsencode(mounted.path), names)
        expected = read_tree(os.fsencode(mounted.path))
        mounted.unmount()
        entries = decode(mounted.backing, volume_keys(mounted.backing, agent_url, (CUSTOMER_KEY,)))
        decoded = {entry.path: (entry.type, entry.content, entry.target, entry.xattrs) for entry in entries}
        assert decoded == expected
        assert len(expected) > 12
