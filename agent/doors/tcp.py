"""Listening on a TCP port."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from agent.listener import ListenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.settings.listen import Listen

_BACKLOG: Final = 1024


@contextmanager
def listening_on(listen: Listen) -> Iterator[socket.socket]:
    """Listen on a TCP port until the end.

    Raises:
        ListenError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((listen.address, listen.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ListenError(
                f"cannot listen on {listen.address} port {listen.port}: {reason}; choose another in listen"
            ) from error
        yield listener


def url_of(listen: Listen, listener: socket.socket) -> str:
    """Return the address that clients use."""
    return listen.url(listener.getsockname()[1])
