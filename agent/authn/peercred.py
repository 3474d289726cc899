"""Callers on a Unix socket: the kernel's word for who connected.

Owns the questions to the kernel and to the user database. Knows no principal and no rule.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.authn.systemd import UndeterminedUnitError, unit_of

if TYPE_CHECKING:
    import trio

    Socket = socket.socket | trio.socket.SocketType

_UCRED: Final = struct.Struct("3i")
_GID: Final = struct.Struct("I")
_FD: Final = struct.Struct("i")
# asm-generic/socket.h; Python 3.11 has no names for them.
_SO_PEERGROUPS: Final = 59
_SO_PEERPIDFD: Final = 77
_MAX_GROUPS_BYTES: Final = 1024  # what Python lets getsockopt(2) return
_MAX_CGROUP_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """``struct ucred`` of unix(7): who connected, at the time of connect(2).

    ``groups`` are the supplementary groups; None when there are more than can be asked for.
    """

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Peer:
    """A local caller with the names of what they are.

    Attributes:
        user: the login name; None where the system knows none.
        group_names: the names of all groups, the primary one included; None when not all are known.
        unit: the systemd unit; None when there is none.
        unit_known: whether ``unit`` could be found out.
    """

    pid: int
    uid: int
    gid: int
    user: str | None
    group_names: frozenset[str] | None
    unit: str | None
    unit_known: bool


def peer_credentials(connection: Socket) -> PeerCredentials:
    """Ask the kernel who is at the other end of a Unix socket.

    Raises:
        OSError: It is not a connected Unix socket.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_GROUPS_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        return PeerCredentials(pid, uid, gid, None)
    return PeerCredentials(pid, uid, gid, tuple(group for (group,) in _GID.iter_unpack(packed)))


def peer_pidfd(connection: Socket) -> int | None:
    """Return a descriptor of the process that connected, for the caller to close; None when it is gone.

    The kernel pins it since 6.5. Before, it is opened by number, which is that of the same process as long
    as that has not ended before this call.
    """
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, _FD.size)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            return None
    else:
        (descriptor,) = _FD.unpack(packed)
        return int(descriptor)
    try:
        return os.pidfd_open(peer_credentials(connection).pid)
    except OSError:
        return None


def identify(credentials: PeerCredentials, pidfd: int | None) -> Peer:
    """Find out the names of a caller; may wait for a name service, so call it from a worker thread.

    Args:
        credentials: What the kernel said.
        pidfd: The process that connected, pinned; None if that could not be had.
    """
    try:
        unit, unit_known = _unit_of_process(credentials.pid, pidfd), True
    except (UndeterminedUnitError, OSError, ValueError):
        unit, unit_known = None, False
    try:
        user = pwd.getpwuid(credentials.uid).pw_name
    except KeyError:
        user = None
    return Peer(
        credentials.pid,
        credentials.uid,
        credentials.gid,
        user,
        None if credentials.groups is None else _names({credentials.gid, *credentials.groups}),
        unit,
        unit_known,
    )


def _unit_of_process(pid: int, pidfd: int | None) -> str | None:
    """Read the unit of a process that is known to be still there afterwards, so its number was its own."""
    if pidfd is None or pid <= 0:
        raise UndeterminedUnitError
    with Path("/proc", str(pid), "cgroup").open("rb") as file:
        text = file.read(_MAX_CGROUP_BYTES)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if poller.poll(0):
        raise UndeterminedUnitError
    return unit_of(text.decode())


def _names(gids: set[int]) -> frozenset[str]:
    names = set()
    for gid in gids:
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue  # a group without a name can be matched by number only
    return frozenset(names)
