"""Callers on a Unix socket: the kernel's word for who connected, as a principal.

Owns the mapping from uid to principal. Knows no key and no permission.
"""

from __future__ import annotations

import pwd
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.keys.principal import Principal

if TYPE_CHECKING:
    import trio

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """``struct ucred`` of unix(7): who connected, at the time of connect(2)."""

    pid: int
    uid: int
    gid: int


def peer_credentials(connection: socket.socket | trio.socket.SocketType) -> PeerCredentials:
    """Ask the kernel who is at the other end of a Unix socket.

    Raises:
        OSError: It is not a connected Unix socket.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return PeerCredentials(pid, uid, gid)


def principal_of(uid: int, account_id: str, owner_uid: int) -> Principal:
    """Say who a local user is in AWS's terms.

    uid 0 is the account root; anybody else a user of that login name, ``uid-N`` where the system knows
    no name. The user that the agent runs as administers it. The lookup may wait for a name service, so
    call it from a worker thread.
    """
    if uid == 0:
        arn = f"arn:aws:iam::{account_id}:root"
        return Principal(arn, account_id, account_id, uid, "Account", administrator=True)
    try:
        login = pwd.getpwuid(uid).pw_name
    except KeyError:
        login = f"uid-{uid}"
    arn = f"arn:aws:iam::{account_id}:user/{login}"
    return Principal(arn, account_id, f"uid-{uid}", uid, administrator=uid == owner_uid)
