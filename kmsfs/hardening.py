"""Owns what the mount process asks of the kernel and of malloc for itself. Knows nothing of volumes or keys.

Keys live in this process's memory for as long as a volume is mounted: its memory must not reach a core file,
a debugger or swap, as far as the system allows it.
"""

import ctypes
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_GET_DUMPABLE: Final = 3
_CAP_IPC_LOCK: Final = 14

# MCL_ONFAULT locks what is used, when it is used. Without it the whole address space becomes resident:
# 300 MB instead of 50 for an idle mount.
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4

# mallopt(3). A request of 1 MiB takes buffers of some MiB; glibc would give that memory back to the kernel
# and fault it in again on each one. What is kept in exchange stays below the trim threshold.
_MALLOC_PARAMETERS: Final = (
    (-1, 16 << 20),  # M_TRIM_THRESHOLD
    (-2, 1 << 20),  # M_TOP_PAD
    (-3, 16 << 20),  # M_MMAP_THRESHOLD
)


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the system granted.

    Attributes:
        dumpable: whether debuggers of this user may attach, and core files could be written; should be False.
        core_limit_bytes: RLIMIT_CORE; should be 0.
        memory_locked: whether memory is kept out of swap.
        memory_lock_reason: when it is not, why; else empty.
        open_files: RLIMIT_NOFILE, which bounds the cache of open inodes.
    """

    dumpable: bool
    core_limit_bytes: int
    memory_locked: bool
    memory_lock_reason: str
    open_files: int

    def as_dict(self) -> dict[str, object]:
        """Return the attributes by name."""
        return asdict(self)


def tune_malloc() -> None:
    """Keep glibc from returning and re-faulting memory on large requests; elsewhere (musl) do nothing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC_PARAMETERS:
            mallopt(parameter, value)


def harden() -> Hardening:
    """Forbid cores and debuggers, lock memory where allowed, raise the limit of open files to the most."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reason = _lock_memory(libc)
    return Hardening(
        dumpable=libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0,
        core_limit_bytes=resource.getrlimit(resource.RLIMIT_CORE)[0],
        memory_locked=not reason,
        memory_lock_reason=reason,
        open_files=_raise_to_hard_limit(resource.RLIMIT_NOFILE),
    )


def _lock_memory(libc: ctypes.CDLL) -> str:
    """Lock all memory, present and future; return why not, or nothing.

    Under a limit this is not tried: once it is reached, with MCL_FUTURE, any allocation fails.
    """
    limit = _raise_to_hard_limit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and not _has_capability(_CAP_IPC_LOCK):
        return f"locked memory is limited to {limit // 1024} KiB; lift RLIMIT_MEMLOCK, or encrypt the swap"
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"mlockall failed with errno {ctypes.get_errno()}"
    return ""


def _raise_to_hard_limit(which: int) -> int:
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (hard, hard))
    return hard


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> number & 1)
