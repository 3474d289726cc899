"""Telling whoever started the agent how it goes: the datagrams of sd_notify(3).

systemd listens for them, and so does ``kms-agent serve --detach``.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
VARIABLE = "NOTIFY_SOCKET"


def notify(environ: Mapping[str, str], *lines: str) -> None:
    """Send state lines to the socket named in ``NOTIFY_SOCKET``; without one, or a listener, do nothing."""
    address = environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return  # a supervisor that is gone must not stop the service
