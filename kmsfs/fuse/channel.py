"""Owns a mount's descriptor of /dev/fuse: whole requests in, whole answers and notices out.

Knows the kernel's reasons for refusing a read or a write, and nothing of what is in either.
"""

import errno
import os
import select
from typing import Final

from kmsfs.fuse import wire

# So much is copied sooner than two pieces are described to the kernel.
_COPIED_BYTES: Final = 1 << 10
# The request was taken back before it was read.
_TAKEN_BACK: Final = frozenset({errno.ENOENT, errno.EINTR})
# Unmounted, or aborted with requests on their way.
_OVER: Final = frozenset({errno.ENODEV, errno.ECONNABORTED})
# Nobody waits for this answer any more: the program was killed, or the mount has ended.
_UNWANTED: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ECONNABORTED, errno.EBADF})


class MountEnded(Exception):  # noqa: N818 - not an error: how every mount ends
    """The kernel has no more requests for this mount, ever."""


class Channel:
    """One mount's way to the kernel.

    Args:
        fd: of /dev/fuse, mounted; whoever mounted closes it.
    """

    __slots__ = ("_buffer", "_buffers", "_poll", "fd")

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._buffer = memoryview(bytearray(wire.REQUEST_BYTES))
        self._buffers = (self._buffer,)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def receive(self) -> memoryview | None:
        """Return the next request, good until the next call; None if there is none now.

        Raises:
            MountEnded: unmounted.
        """
        try:
            return self._buffer[: os.readv(self.fd, self._buffers)]
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _TAKEN_BACK:
                return None
            if error.errno in _OVER:
                raise MountEnded from None
            raise

    def has_request(self, milliseconds: int) -> bool:
        """Say whether a request comes within that time."""
        return bool(self._poll.poll(milliseconds))

    def answer(self, unique: int, payload: bytes | memoryview) -> None:
        """Answer a request."""
        size = len(payload)
        head = wire.REPLY.pack(wire.REPLY.size + size, 0, unique)
        try:
            if size > _COPIED_BYTES:
                os.writev(self.fd, (head, payload))
            else:
                os.write(self.fd, head + payload)
        except OSError as error:
            if error.errno not in _UNWANTED:
                raise

    def refuse(self, unique: int, number: int) -> None:
        """Answer a request with an errno."""
        try:
            os.write(self.fd, wire.REPLY.pack(wire.REPLY.size, -number, unique))
        except OSError as error:
            if error.errno not in _UNWANTED:
                raise

    def notify(self, *parts: bytes | memoryview) -> None:
        """Tell the kernel something that it has not asked for.

        Raises:
            OSError: it has no use for it, or no room.
        """
        os.writev(self.fd, parts)
