"""Owns telling a service manager how far we are (sd_notify(3)). Knows nothing of what is being started."""

import os
import socket
from contextlib import suppress


def notify_manager(state: str) -> None:
    """Send a state, such as "READY=1", to the service manager; without one (no NOTIFY_SOCKET) do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or address[0] not in "/@":
        return
    # A manager that has gone must not end the mount.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.connect("\0" + address[1:] if address[0] == "@" else address)
        manager.sendall(state.encode())
