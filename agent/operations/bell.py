"""Owns how operations tell the jobs that something is due at once. Knows nothing of what it is."""

import trio


class Bell:
    """Rung when something was left to be done, heard by the one task that does it. Rings do not add up."""

    __slots__ = ("_heard", "_rung", "_token")

    def __init__(self) -> None:
        self._rung = False
        self._heard = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    def ring(self) -> None:
        """Have the listener wake up, now or as soon as it listens; safe to call from any thread."""
        self._rung = True
        if self._token is not None:
            self._token.run_sync_soon(self._heard.set)

    async def listen(self) -> None:
        """Wait until it has been rung since the last time."""
        self._token = trio.lowlevel.current_trio_token()
        # In this order: a ring from another thread finds the new event, or is seen here.
        self._heard = trio.Event()
        if self._rung:
            await trio.lowlevel.checkpoint()
        else:
            await self._heard.wait()
        self._rung = False
