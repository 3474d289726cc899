"""The recorder knows every function that changes the store, and nothing else changes it."""

from __future__ import annotations

import ast
from pathlib import Path

import kmsfs
from recorder import CHANGE_NOTHING, FUNCTIONS, THROUGH_OTHERS, Recorder

CHANGING_CALLS = frozenset(
    {
        *(
            "chmod",
            "chown",
            "copy_file_range",
            "fchmod",
            "fchown",
            "fdatasync",
            "fsync",
            "ftruncate",
            "lchown",
        ),
        *(
            "link",
            "makedirs",
            "mkdir",
            "mkfifo",
            "mknod",
            "posix_fallocate",
            "pwrite",
            "pwritev",
            "removedirs",
        ),
        *(
            "removexattr",
            "rename",
            "replace",
            "rmdir",
            "sendfile",
            "setxattr",
            "splice",
            "symlink",
            "truncate",
        ),
        *("unlink", "utime", "write", "writev"),
    }
)
OFF_THE_STORE = frozenset(
    {
        "backing.py",  # it is what the recorder is put under
        "channel.py",  # the kernel's FUSE device
        "daemonize.py",  # a pipe and the terminal
        "locking.py",  # what is written in the lock file is for people; what it holds is decided by nothing
        "logs.py",  # the log
        "lookout.py",  # the kernel's device for wishes about idle processors
        "root.py",  # what is copied out of a volume
        "plainside.py",  # the same
        "salvaging.py",  # what it writes lies outside of the volume
        "statusdoor.py",  # a socket
    }
)


def test_every_function_is_known() -> None:
    """Each function of the module of system calls is noted, or known to change nothing; none is both."""
    noted = Recorder.noted()
    assert noted | CHANGE_NOTHING | THROUGH_OTHERS == FUNCTIONS.keys()
    assert not noted & CHANGE_NOTHING


def test_no_other_module_changes_the_store() -> None:
    """What changes a file in a store is called in the one module of system calls only."""
    root = Path(kmsfs.__file__).parent
    strays = {
        f"{path.relative_to(root)}: os.{node.attr}"
        for path in root.rglob("*.py")
        if path.name not in OFF_THE_STORE and "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("os", name) for name in CHANGING_CALLS}
    }
    assert not strays
