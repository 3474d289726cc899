"""Where an agent's state, socket and configuration lie when nobody says otherwise.

Owns the per-user and the system-wide layout, so that the daemon and its clients agree
without talking to each other. It creates nothing and reads no configuration file.

Layouts, after the XDG Base Directory Specification and hier(7):

* system-wide: ``/var/lib/kms-agent``, ``/run/kms-agent/agent.sock``,
  ``/etc/kms-agent/config.yaml``. Root gets this one, unless ``XDG_STATE_HOME`` is set:
  login sessions set ``XDG_RUNTIME_DIR`` for root too, so that one alone says nothing.
* per-user: ``$XDG_STATE_HOME/kms-agent``, ``$XDG_RUNTIME_DIR/kms-agent/agent.sock``,
  ``$XDG_CONFIG_HOME/kms-agent/config.yaml``.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "kms-agent"


@dataclass(frozen=True, slots=True)
class Places:
    """Default locations for one user, or for the whole machine."""

    state_directory: Path
    socket_path: Path
    socket_mode: int
    config_path: Path
    system_wide: bool


def standard_places(environ: Mapping[str, str], uid: int) -> Places:
    """Choose the layout for a process.

    Args:
        environ: The process environment.
        uid: The effective uid of the process.
    """
    if uid == 0 and _absolute(environ, "XDG_STATE_HOME") is None:
        return system_places()
    return user_places(environ, uid)


def system_places() -> Places:
    """Return the layout of a machine's one agent: any local user may connect, the kernel says who it is."""
    return Places(
        state_directory=Path("/var/lib") / NAME,
        socket_path=Path("/run") / NAME / "agent.sock",
        socket_mode=0o666,
        config_path=Path("/etc") / NAME / "config.yaml",
        system_wide=True,
    )


def user_places(environ: Mapping[str, str], uid: int) -> Places:
    """Return the layout of one user's own agent."""
    home = Path(environ.get("HOME") or pwd.getpwuid(uid).pw_dir)
    state = _absolute(environ, "XDG_STATE_HOME") or home / ".local" / "state"
    config = _absolute(environ, "XDG_CONFIG_HOME") or home / ".config"
    runtime = _runtime_directory(environ, uid)
    return Places(
        state_directory=state / NAME,
        socket_path=(runtime / NAME if runtime else state / NAME / "run") / "agent.sock",
        socket_mode=0o600,
        config_path=config / NAME / "config.yaml",
        system_wide=False,
    )


def _runtime_directory(environ: Mapping[str, str], uid: int) -> Path | None:
    """Return the user's runtime directory, skipping one that is somebody else's (after su or sudo)."""
    for candidate in (_absolute(environ, "XDG_RUNTIME_DIR"), Path("/run/user") / str(uid)):
        try:
            if candidate is not None and candidate.stat().st_uid == uid:
                return candidate
        except OSError:
            continue
    return None


def _absolute(environ: Mapping[str, str], name: str) -> Path | None:
    """Read a directory variable; the XDG specification says to ignore relative ones."""
    path = Path(environ.get(name) or ".")
    return path if path.is_absolute() else None
