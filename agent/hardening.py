"""Keeping keys in memory away from core dumps, debuggers and swap: prctl(2), setrlimit(2), mlockall(2)."""

from __future__ import annotations

import ctypes
import resource
from dataclasses import dataclass
from pathlib import Path

_PR_SET_DUMPABLE = 4
_CAP_IPC_LOCK = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Hardening:
    """What was achieved; ``memory_locked`` needs CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK."""

    memory_locked: bool


def harden_process() -> Hardening:
    """Forbid core dumps and tracing by the same user, and lock memory where the system lets us.

    Raises:
        OSError: The process could not be made undumpable.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    memory_locked = _lock_memory(libc)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return Hardening(memory_locked=memory_locked)


def _lock_memory(libc: ctypes.CDLL) -> bool:
    """Lock present and future pages as they are touched.

    Only without a limit: with one, MCL_FUTURE turns a later growth of the process into a failed
    allocation.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and not _has_capability(_CAP_IPC_LOCK):
        return False
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def _has_capability(number: int) -> bool:
    """Tell whether the process has a capability of capabilities(7) in effect."""
    try:
        status = Path("/proc/self/status").read_bytes()
    except OSError:
        return False
    for line in status.splitlines():
        name, _, value = line.partition(b":")
        if name == b"CapEff":
            return bool(int(value, 16) >> number & 1)
    return False
