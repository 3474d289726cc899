"""Keeping keys in memory away from core dumps, debuggers and swap: prctl(2), setrlimit(2), mlockall(2)."""

from __future__ import annotations

import ctypes
import os
import resource
from dataclasses import dataclass

_PR_SET_DUMPABLE = 4
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
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return Hardening(memory_locked=_lock_memory(libc))


def _lock_memory(libc: ctypes.CDLL) -> bool:
    """Lock present and future pages as they are touched.

    Only without a limit: with one, MCL_FUTURE turns a later growth of the process into a failed
    allocation.
    """
    if os.geteuid() == 0:
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            return False
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)
