"""The program that becomes somebody and makes the system calls of many cases: JSON in, JSON out.

Reads {uid, gid, groups, directory, cases: [[number, steps], ...]}; answers with a list of what each step
gave: "ok", a value, or the name of an errno. Each case runs in the directory of its number.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW = -100, 0x400, 0x100
UTIME = {"now": (1 << 30) - 1, "omit": (1 << 30) - 2}
KEEP = -1


class Timespec(ctypes.Structure):
    """struct timespec."""

    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


Time = str | list[int]
"""now, omit, or seconds and nanoseconds."""


def check(result: int) -> int:
    """Raise what a call of the C library reports."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def timespecs(atime: Time, mtime: Time) -> ctypes.Array[Timespec]:
    """Return what utimensat(2) takes."""
    both = [(0, UTIME[time]) if isinstance(time, str) else tuple(time) for time in (atime, mtime)]
    return (Timespec * 2)(*both)


def utimensat(path: str, atime: Time, mtime: Time, flags: int = 0) -> None:
    """Set times, as os.utime does, but with UTIME_NOW and UTIME_OMIT too."""
    check(LIBC.utimensat(AT_FDCWD, os.fsencode(path), timespecs(atime, mtime), flags))


def describe(status: os.stat_result) -> str:
    """Return what must be the same on two filesystems."""
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return f"{status.st_mode:o} {status.st_uid}:{status.st_gid} links {status.st_nlink} size {size}"


class Session:
    """The calls of one case; open files go by names."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}

    def close_all(self) -> None:
        """Close what the case left open."""
        for fd in self.files.values():
            os.close(fd)

    def open(self, name: str, path: str, flags: int, mode: int = 0o666) -> None:
        self.files[name] = os.open(path, flags, mode)

    def close(self, name: str) -> None:
        os.close(self.files.pop(name))

    def read(self, name: str, length: int) -> str:
        return os.read(self.files[name], length).decode("latin-1")

    def write(self, name: str, text: str) -> int:
        return os.write(self.files[name], text.encode("latin-1"))

    def pwrite(self, name: str, text: str, offset: int) -> int:
        return os.pwrite(self.files[name], text.encode("latin-1"), offset)

    def seek(self, name: str, offset: int, whence: int) -> int:
        return os.lseek(self.files[name], offset, whence)

    def fstat(self, name: str) -> str:
        return describe(os.fstat(self.files[name]))

    def flags(self, name: str) -> int:
        return fcntl.fcntl(self.files[name], fcntl.F_GETFL)

    def fsync(self, name: str) -> None:
        os.fsync(self.files[name])

    def ftruncate(self, name: str, size: int) -> None:
        os.ftruncate(self.files[name], size)

    def fallocate(self, name: str, offset: int, length: int) -> None:
        os.posix_fallocate(self.files[name], offset, length)

    def fchmod(self, name: str, mode: int) -> None:
        os.fchmod(self.files[name], mode)

    def fchown(self, name: str, uid: int, gid: int) -> None:
        os.fchown(self.files[name], uid, gid)

    def futimens(self, name: str, atime: Time, mtime: Time) -> None:
        check(LIBC.futimens(self.files[name], timespecs(atime, mtime)))

    def relink(self, name: str, path: str) -> None:
        os.link(f"/proc/self/fd/{self.files[name]}", path, follow_symlinks=True)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(path, uid, gid)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(path, uid, gid)

    def link(self, old: str, new: str) -> None:
        check(LIBC.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), 0))

    def link_followed(self, old: str, new: str) -> None:
        check(LIBC.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), AT_SYMLINK_FOLLOW))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    def mkfifo(self, path: str, mode: int) -> None:
        os.mkfifo(path, mode)

    def mknod(self, path: str, mode: int, major: int = 0, minor: int = 0) -> None:
        os.mknod(path, mode, os.makedev(major, minor))

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        check(LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, path)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(path, size)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def utimensat(self, path: str, atime: Time, mtime: Time) -> None:
        utimensat(path, atime, mtime)

    def lutimens(self, path: str, atime: Time, mtime: Time) -> None:
        utimensat(path, atime, mtime, AT_SYMLINK_NOFOLLOW)

    def readlink(self, path: str) -> str:
        return os.readlink(path)

    def stat(self, path: str) -> str:
        return describe(os.stat(path))

    def lstat(self, path: str) -> str:
        return describe(os.lstat(path))

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def access(self, path: str, wanted: int) -> None:
        check(LIBC.access(os.fsencode(path), wanted))

    def chdir(self, path: str) -> None:
        os.chdir(path)

    def umask(self, mask: int) -> None:
        os.umask(mask)

    def execute(self, path: str) -> int:
        pid = os.posix_spawn(path, [path], {})
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def bad_address(self, call: str, *arguments: int) -> None:
        check(getattr(LIBC, call)(ctypes.c_void_p(1), *arguments))


def perform(session: Session, step: list[object]) -> object:
    """Return what one step gives."""
    call: Callable[..., object] = getattr(session, str(step[0]))
    try:
        value = call(*step[1:])
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except KeyError:
        return "not open"
    return "ok" if value is None else value


def run(request: Mapping[str, object]) -> list[list[object]]:
    """Return what each step of each case gives."""
    answers = []
    base = os.open(str(request["directory"]), os.O_RDONLY | os.O_DIRECTORY)
    for number, steps in request["cases"]:  # type: ignore[attr-defined] # as in the module's docstring
        os.fchdir(base)
        os.chdir(str(number))
        os.umask(0)
        session = Session()
        answers.append([perform(session, step) for step in steps])
        session.close_all()
    return answers


def become(request: Mapping[str, object]) -> None:
    """Give up being root, for good."""
    uid, gid = request["uid"], request["gid"]
    os.setgroups(request["groups"])  # type: ignore[arg-type] # as in the module's docstring
    os.setresgid(gid, gid, gid)  # type: ignore[arg-type]
    os.setresuid(uid, uid, uid)  # type: ignore[arg-type]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    become(asked)
    json.dump(run(asked), sys.stdout)
