"""The systemd unit of a process, from its ``/proc/PID/cgroup``.

Source: cgroups(7) for the file; systemd's rule that the unit is the first part of the path below slices.
"""

from __future__ import annotations

import re
from typing import Final

_FIELDS: Final = 3
_UNIFIED: Final = "0"
_NAMED: Final = "name=systemd"
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.(?:service|scope|socket|mount|swap)")


class UndeterminedUnitError(Exception):
    """What there is to read does not tell which unit a process belongs to, nor that it belongs to none."""


def unit_of(cgroup: str) -> str | None:
    """Return the system unit that a process belongs to, or None when it belongs to none.

    What a unit, or a user's own manager, has made below its own cgroup is not looked at: whoever may write
    there can name it as they like.

    Args:
        cgroup: The text of ``/proc/PID/cgroup``.

    Raises:
        UndeterminedUnitError: The text has no hierarchy of systemd's, or the process is outside of what the
            agent can see.
    """
    paths = {}
    for line in cgroup.splitlines():
        parts = line.split(":", _FIELDS - 1)
        if len(parts) == _FIELDS:
            number, controllers, path = parts
            paths[_UNIFIED if number == _UNIFIED else controllers] = path
    # Where both are there, systemd manages by its own hierarchy of version 1.
    path = paths.get(_NAMED, paths.get(_UNIFIED, ""))
    if not path.startswith("/") or path.startswith("/.."):
        raise UndeterminedUnitError
    for part in path.split("/")[1:]:
        if part.endswith(".slice"):
            continue
        # systemd puts an underscore before names that the kernel keeps for itself.
        name = part.removeprefix("_")
        return name if _UNIT.fullmatch(name) else None
    return None
