"""HTTP/1.1 between h11 and trio streams: bytes to ``Request``, ``Reply`` to bytes.

Owns limits on sizes, numbers and time, keep-alive, pipelining (answered in order) and the graceful
stop. Knows no KMS word, no user and no file: who is at the other end is the business of
``open_session``, what is asked that of the ``Handle`` it returns.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING

import h11
import trio

from agent.heads import Heads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from agent.config import Limits

_log = logging.getLogger(__name__)

_SERVER = b"kms-agent"
_CONTINUE = h11.InformationalResponse(status_code=100, headers=[])
_VERSIONS = frozenset({b"1.0", b"1.1"})
# How long, and how much, an unwanted request is still read so that its sender sees the refusal
# instead of a reset.
_LINGER_SECONDS = 2
_LINGER_BYTES = 4 * 1024 * 1024
# accept(2) fails with these when descriptors or memory run out; waiting is what helps.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. ``headers`` have lower-case names; the body may hold a plaintext."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the first header of that lower-case name."""
        for candidate, value in self.headers:
            if candidate == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; ``Content-Length``, ``Date`` and ``Connection`` are added on the way out."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = field(repr=False)


if TYPE_CHECKING:
    Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
    Handle = Callable[[Request], Awaitable[Reply]]
    OpenSession = Callable[[Stream], Awaitable[Handle]]
    Secure = Callable[[trio.SocketStream], Awaitable[trio.SSLStream[trio.SocketStream] | None]]


class _RefusedError(Exception):
    """A request that is answered here; the connection ends with it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Idle:
    """The connections between two requests, or before the first: they may be ended at any time.

    Each is known by a scope around the whole of it, cancelled only while it is idle. One task looks for
    those that are idle too long: a timer for each request would cost more than reading it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[trio.CancelScope, float] = {}  # longest idle first
        self.stopping = False

    async def wait(self, connection: trio.CancelScope, stream: Stream, max_bytes: int) -> bytes:
        """Return the first bytes of a next request, or nothing when the connection is to end."""
        if self.stopping:
            return b""
        self._since[connection] = trio.current_time()
        try:
            data = await stream.receive_some(max_bytes)
        finally:
            del self._since[connection]
        # Bytes may come in the very moment in which the connection is ended: nobody has looked at them.
        return b"" if connection.cancel_called else bytes(data)

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Do something that is given up after so many seconds, or when the connection is to end."""
        with trio.move_on_after(seconds) as scope:
            if self.stopping:
                scope.cancel()
            self._since[scope] = trio.current_time()
            try:
                yield
            finally:
                del self._since[scope]

    async def end_idle(self) -> None:
        """End connections that have been idle too long, until cancelled."""
        while True:
            now = trio.current_time()
            due = now + self._seconds
            for scope, since in self._since.items():
                if since + self._seconds > now:
                    due = since + self._seconds
                    break
                scope.cancel()
            await trio.sleep_until(due)

    def end_longest(self) -> None:
        if self._since:
            next(iter(self._since)).cancel()

    def stop(self) -> None:
        self.stopping = True
        for scope in self._since:
            scope.cancel()


class Server:
    """Serves one listener until told to stop.

    When ``limits.connections`` are open, the longest idle one makes room for a newcomer; when none is
    idle, newcomers wait.

    Args:
        open_session: Called once per connection, before anything is read from it.
        limits: What clients may take.
        secure: Turns a new connection into one with TLS; returns None after it has told the client why not.
    """

    def __init__(self, open_session: OpenSession, limits: Limits, secure: Secure | None = None) -> None:
        self._open_session = open_session
        self._limits = limits
        self._secure = secure
        self._room = trio.Semaphore(limits.connections)
        self._idle = _Idle(limits.idle_seconds)
        self._heads = Heads()

    async def serve(self, listener: trio.SocketListener, stop: trio.Event) -> None:
        """Accept and answer until ``stop`` is set, then let what runs finish.

        Idle connections are closed at once; requests under way get ``limits.stop_seconds``.
        """
        async with trio.open_nursery() as conversations:
            # Outside, so that nothing accepts on it any more when it is closed.
            async with listener, trio.open_nursery() as accepting:
                accepting.start_soon(self._accept, listener, conversations)
                accepting.start_soon(self._idle.end_idle)
                await stop.wait()
                accepting.cancel_scope.cancel()
            self._idle.stop()
            conversations.cancel_scope.deadline = trio.current_time() + self._limits.stop_seconds

    async def _accept(self, listener: trio.SocketListener, conversations: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _log.warning("cannot accept connections: %s", error.strerror)
                await trio.sleep(_EXHAUSTED_WAIT_SECONDS)
                continue
            try:
                if self._room.value == 0:
                    self._idle.end_longest()
                await self._room.acquire()
            except BaseException:
                stream.socket.close()
                raise
            conversations.start_soon(self._converse, stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        try:
            async with stream:
                if self._secure is None:
                    await self._serve_on(stream)
                else:
                    await self._serve_securely(stream, self._secure)
        except (trio.BrokenResourceError, OSError):
            pass  # the client went away; there is nobody to tell
        except Exception:  # noqa: BLE001 - one broken connection must not end the others
            _log.exception("a connection ended by an error of our own")
        finally:
            self._room.release()

    async def _serve_securely(self, stream: trio.SocketStream, secure: Secure) -> None:
        secured = None
        with self._idle.waiting(self._limits.request_seconds):
            secured = await secure(stream)
        if secured is not None:
            await self._serve_on(secured)
            with trio.move_on_after(_LINGER_SECONDS):
                await secured.aclose()

    async def _serve_on(self, stream: Stream) -> None:
        handle = await self._open_session(stream)
        await _Conversation(stream, handle, self._limits, self._idle, self._heads).run()


class _Conversation:
    """One connection: requests in, replies out, one at a time."""

    def __init__(self, stream: Stream, handle: Handle, limits: Limits, idle: _Idle, heads: Heads) -> None:
        self._stream = stream
        self._handle = handle
        self._limits = limits
        self._idle = idle
        self._heads = heads
        self._is_known = False  # whether the request's head was known, and h11 has seen nothing of it
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._deadline = 0.0  # of the request being read, once its first byte is here

    async def run(self) -> None:
        with trio.CancelScope() as connection:
            while await self._serve_next(connection):
                pass

    async def _serve_next(self, connection: trio.CancelScope) -> bool:
        """Serve one request, and return whether there can be another."""
        try:
            request = await self._receive(connection)
        except _RefusedError as refusal:
            await self._refuse(refusal.status, refusal.reason)
            return False
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, str(error))
            return False
        if request is None:
            return False
        await self._send(await self._handle(request), head_only=request.method == b"HEAD")
        if self._is_known:
            return not self._idle.stopping
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _receive(self, connection: trio.CancelScope) -> Request | None:
        """Read one whole request, or None when the peer has no more or has been idle too long."""
        self._is_known = False
        start = b""
        if not self._http.trailing_data[0]:  # else the pipelined start of a request is here already
            start = await self._idle.wait(connection, self._stream, self._limits.header_bytes)
            if not start:
                return None
            known = self._heads.match(start)
            if known is not None:
                self._is_known = True
                head, body = known
                return Request(head.method, head.target, head.headers, body)
            self._http.receive_data(start)
        self._deadline = trio.current_time() + self._limits.request_seconds
        return await self._read(start)

    async def _read(self, start: bytes) -> Request | None:
        """Have h11 read a request; ``start`` are its first bytes, as far as they came by themselves."""
        http = self._http
        head: h11.Request | None = None
        body: list[bytes] = []
        size_bytes = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._receive_more())
            elif isinstance(event, h11.Request):
                head = event
                self._check_head(head)
                if http.they_are_waiting_for_100_continue:
                    await self._write(
                        http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                    )
            elif isinstance(event, h11.Data):
                size_bytes += len(event.data)
                self._check_body(size_bytes)
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None, "h11 ends only what it began"
                self._heads.remember(start, head)
                return Request(head.method, head.target, tuple(head.headers), b"".join(body))
            else:
                return None

    async def _receive_more(self) -> bytes:
        """Return more bytes of a request, empty ones at the peer's end of file."""
        with trio.move_on_at(self._deadline):
            return bytes(await self._stream.receive_some(self._limits.header_bytes))
        raise _RefusedError(408, f"the request was not complete within {self._limits.request_seconds:g} s")

    def _check_head(self, head: h11.Request) -> None:
        if head.http_version not in _VERSIONS:
            raise _RefusedError(505, "speak HTTP/1.1")
        size_bytes = len(head.target)
        for name, value in head.headers:
            size_bytes += len(name) + len(value)
            if name == b"content-length":
                self._check_body(int(value))  # h11 has made sure that this is a number, and a short one
        if size_bytes > self._limits.header_bytes:
            raise _RefusedError(431, f"the header is larger than {self._limits.header_bytes} bytes")

    def _check_body(self, size_bytes: int) -> None:
        if size_bytes > self._limits.body_bytes:
            raise _RefusedError(413, f"the body is larger than {self._limits.body_bytes} bytes")

    async def _send(self, reply: Reply, *, head_only: bool = False) -> None:
        headers = [
            (b"server", _SERVER),
            (b"date", _http_date(int(time.time()))),
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
        ]
        if self._idle.stopping:
            headers.append((b"connection", b"close"))
        body = b"" if head_only else reply.body
        if self._is_known:
            lines = [b"%b: %b\r\n" % header for header in headers]
            await self._write(b"".join((b"HTTP/1.1 %d \r\n" % reply.status, *lines, b"\r\n", body)))
            return
        parts = [self._http.send(h11.Response(status_code=reply.status, headers=headers))]
        if body:
            parts.append(self._http.send(h11.Data(data=body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        await self._write(b"".join(part for part in parts if part))

    async def _write(self, data: bytes) -> None:
        # Nearly every answer fits into the socket's buffer: no timer and no event loop for those.
        sent_bytes = _send_now(self._stream, data)
        if sent_bytes == len(data):
            return
        with trio.move_on_after(self._limits.request_seconds):
            await self._stream.send_all(memoryview(data)[sent_bytes:])
            return
        raise trio.BrokenResourceError("the client does not take its answer")

    async def _refuse(self, status: int, reason: str) -> None:
        """Answer a request that no handle sees, and let its sender read the answer before the end."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = reason.encode()
        headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"))
        await self._send(Reply(status, headers, body))
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()
        drained_bytes = 0
        with trio.move_on_after(_LINGER_SECONDS):
            while drained_bytes < _LINGER_BYTES:
                data = await self._stream.receive_some()
                if not data:
                    return
                drained_bytes += len(data)


def _send_now(stream: Stream, data: bytes) -> int:
    """Send what the socket takes at once, and return how many bytes that is; trio's sockets never block."""
    if not isinstance(stream, trio.SocketStream):
        return 0
    try:
        return os.write(stream.socket.fileno(), data)
    except BlockingIOError:
        return 0


@functools.lru_cache(maxsize=1)
def _http_date(epoch_seconds: int) -> bytes:
    """Return a second in the form of RFC 9110, 5.6.7."""
    return formatdate(epoch_seconds, usegmt=True).encode()
