"""Owns how a small file becomes durable: whole or not at all, in its final mode. Knows nothing of content."""

import os
from pathlib import Path
from typing import Final

_NEW: Final = ".new"
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` in the place of what is at `path`; after a crash one of the two is there, whole.

    Raises:
        OSError: the disk did not take it; what was there is untouched.
    """
    new = _write_new(path, content, mode)
    new.replace(path)
    sync_directory(path.parent)


def create_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Create a file that must not exist yet.

    Raises:
        FileExistsError: it does.
        OSError: the disk did not take it.
    """
    new = _write_new(path, content, mode)
    try:
        path.hardlink_to(new)
    finally:
        new.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_new(path: Path, content: bytes, mode: int) -> Path:
    """Write a sibling of `path`, durably; one left by a crash is overwritten."""
    new = path.with_name(path.name + _NEW)
    new.unlink(missing_ok=True)
    fd = os.open(new, _FLAGS, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        new.unlink()
        raise
    finally:
        os.close(fd)
    return new
