"""Owns the kernel's read-ahead of a mount, which decides how large a read reaches us."""

from pathlib import Path
from typing import Final

# The kernel's default of 128 KiB makes eight requests of what can be one: FUSE reads are at most 1 MiB.
_READ_AHEAD_KIB: Final = 1024


def raise_read_ahead(device: str) -> bool:
    """Let the kernel read 1 MiB ahead on the mount with this device number; False where we may not."""
    setting = Path("/sys/class/bdi") / device / "read_ahead_kb"
    try:
        if int(setting.read_text(encoding="ascii")) < _READ_AHEAD_KIB:
            setting.write_text(str(_READ_AHEAD_KIB), encoding="ascii")
    except OSError:
        return False
    return True
