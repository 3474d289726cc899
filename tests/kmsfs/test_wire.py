"""The kernel's FUSE protocol: layouts as in linux/fuse.h, agreements, and messages that are not right."""

import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import examples
from kmsfs.fuse import handshake, wire

# sizeof of each structure in linux/fuse.h.
SIZES = {
    "HEADER": 40, "REPLY": 16, "GETXATTR_IN": 8, "SETXATTR_IN": 16, "SHORT_SETXATTR_IN": 8, "SETATTR_IN": 88,
    "MKNOD_IN": 16, "MKDIR_IN": 8, "RENAME_IN": 8, "RENAME2_IN": 16, "LINK_IN": 8, "OPEN_IN": 8,
    "CREATE_IN": 16, "WRITE_IN": 40, "FSYNC_IN": 16, "FALLOCATE_IN": 32, "FORGET_IN": 8, "FORGET_ONE": 16,
    "COUNT_IN": 8, "SIZE_OUT": 8,
}  # fmt: skip
ENTRY_SIZE, ATTR_SIZE, OPEN_SIZE, STATFS_SIZE, DIRENT_SIZE = 128, 104, 16, 80, 24
INIT_SIZE = 64
ALL_FLAGS = 0xFFFFFFFF


def message(opcode: int, body: bytes, length: int | None = None) -> memoryview:
    """Return a request as the kernel sends it."""
    size = wire.HEADER_SIZE + len(body) if length is None else length
    return memoryview(wire.HEADER.pack(size, opcode, 7, 1, 1000, 1001, 42, 0, 0) + body)


def test_every_structure_has_the_size_of_the_kernels() -> None:
    """A structure that is too long or too short would shift all that follows it."""
    assert {name: getattr(wire, name).size for name in SIZES} == SIZES
    status = os.stat_result((0o100644, 5, 6, 1, 2, 3, 4, 7, 8, 9))
    assert len(wire.entry(5, os.stat(__file__), 4)) == ENTRY_SIZE == len(wire.ABSENT) == len(wire.NO_ENTRY)
    assert len(wire.attributes(5, os.stat(__file__), 4)) == ATTR_SIZE
    assert len(wire.opened(1, 2)) == OPEN_SIZE
    assert len(wire.statfs(os.statvfs(__file__))) == STATFS_SIZE
    assert status.st_size == 4


def test_an_entry_says_what_stat_says() -> None:
    """Every attribute stands where the kernel reads it, times before 1970 and large device numbers too."""
    found = os.stat("/dev/null")
    values = struct.unpack("=QQQQIIQQQqqqIIIIIIIIII", wire.entry(77, found, 12))
    assert values[:3] == (77, 0, wire.CACHE_SECONDS)
    ino, size, blocks, atime, mtime, ctime, an, mn, cn, mode, nlink, uid, gid, rdev, blksize, _ = values[6:]
    assert (ino, size, blocks, blksize) == (77, 12, found.st_blocks, found.st_blksize)
    times = [seconds * 10**9 + nanos for seconds, nanos in ((atime, an), (mtime, mn), (ctime, cn))]
    assert times == [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
    assert (mode, nlink, uid, gid) == (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    assert rdev == os.makedev(1, 3)


@pytest.mark.parametrize("name", [b"a", b"12345678", b"x" * 255])
def test_directory_entries_are_aligned(name: bytes) -> None:
    """Each record of a listing begins at a multiple of eight bytes and carries its name's length."""
    record = wire.directory_entry(9, 3, name, 0o040755)
    assert len(record) % 8 == 0
    assert struct.unpack_from("=QQII", record) == (9, 3, len(name), 4)
    assert record[DIRENT_SIZE : DIRENT_SIZE + len(name)] == name
    assert not any(record[DIRENT_SIZE + len(name) :])


def test_requests_come_apart() -> None:
    """Header and body, and the one or two strings in it."""
    request, body = wire.parse(message(1, b"name\0"))
    assert (request.opcode, request.unique, request.nodeid, request.uid, request.gid) == (1, 7, 1, 1000, 1001)
    assert wire.text(body) == b"name"
    assert wire.texts(memoryview(b"a\0b\0")) == (b"a", b"b")


@examples(300)
@given(st.binary(max_size=120))
def test_any_bytes_are_a_request_or_an_error(raw: bytes) -> None:
    """Fuzz target: any bytes are a request as long as it says, or a ValueError or struct.error."""
    try:
        request, body = wire.parse(memoryview(raw))
    except (ValueError, struct.error):
        return
    assert request.length == len(raw) == len(body) + wire.HEADER_SIZE


@examples(300)
@given(st.binary(max_size=40))
def test_any_bytes_are_strings_or_an_error(raw: bytes) -> None:
    """Fuzz target: any body holds strings without NUL that it begins with, or a ValueError."""
    try:
        name = wire.text(memoryview(raw))
    except ValueError:
        assert b"\0" not in raw
    else:
        assert raw.startswith(name + b"\0")
    try:
        first, second = wire.texts(memoryview(raw))
    except ValueError:
        assert raw.count(b"\0") < 2
    else:
        assert raw.startswith(first + b"\0" + second + b"\0")


def test_the_agreement_takes_only_what_is_offered() -> None:
    """Flags that the kernel does not offer are not asked for; ACLs only where they are wanted."""
    offer = struct.pack("=IIII", 7, 45, 1 << 20, ALL_FLAGS)
    plain = handshake.agree(memoryview(offer), acls=False)
    with_acls = handshake.agree(memoryview(offer), acls=True)
    assert len(plain.answer) == INIT_SIZE
    assert not plain.acls
    assert with_acls.acls
    assert plain.long_setxattr
    assert struct.unpack_from("=II", plain.answer) == (7, 38)
    poor = handshake.agree(memoryview(struct.pack("=IIII", 7, 31, 1 << 17, 1)), acls=True)
    assert struct.unpack_from("=IIII", poor.answer) == (7, 31, 1 << 17, 1)
    assert (poor.acls, poor.long_setxattr) == (False, False)


@pytest.mark.parametrize(("major", "minor"), [(6, 40), (8, 0), (7, 30)])
def test_a_kernel_that_is_too_old_or_too_new_is_refused(major: int, minor: int) -> None:
    """With the version that is needed in the message."""
    with pytest.raises(OSError, match=r"needs 7\.31") as raised:
        handshake.agree(memoryview(struct.pack("=IIII", major, minor, 0, 0)), acls=False)
    assert raised.value.errno == errno.EPROTO
