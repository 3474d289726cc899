"""The composition root of ``kms-agent serve``: configuration to store, seal, audit log, jobs and socket.

Owns the order in which these begin and end, and the signals that end them. Decides nothing about keys.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import trio

from agent import jobs
from agent.audit.log import AuditLog
from agent.crypto import selftest
from agent.endpoint import Endpoint
from agent.hardening import harden_process
from agent.http import Server
from agent.listener import listening
from agent.notify import READY, STOPPING, notify
from agent.operations.kms import Kms
from agent.seal.barrier import Barrier
from agent.status import Status
from agent.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from agent.config import Config, Limits

STORE_NAME = "keys.sqlite"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    """Everything that is open while the agent runs."""

    kms: Kms
    audit: AuditLog
    listener: socket.socket
    limits: Limits
    status: Status


def serve(config: Config, unseal: Callable[[], bytes]) -> None:
    """Run the agent until SIGTERM or SIGINT, then end it gracefully.

    Args:
        config: What to run.
        unseal: Returns the root key, 32 bytes; called once, after the self-tests.

    Raises:
        SelfTestError: A cryptographic primitive does not give its known answers.
        SealError: The root key cannot be had.
        StoreError: The keys cannot be opened.
        AuditUnavailableError: The audit log cannot be opened, or was damaged.
        ListenError: The socket cannot be had.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o077)
    hardening = harden_process()
    selftest.run()
    barrier = Barrier(unseal())
    try:
        with (
            SqliteStore.open(config.state_directory / STORE_NAME) as store,
            listening(config.socket_path, config.socket_mode) as listener,
        ):
            kms = Kms(
                store=store,
                barrier=barrier,
                region=config.region,
                regions=frozenset({config.region, *config.regions}),
                account_id=config.account_id,
                now=time.time,
            )
            audit = AuditLog.open(config.audit_path, region=config.region, account_id=config.account_id)
            status = Status(
                state="serving",
                version=version("kmsfs"),
                pid=os.getpid(),
                started=time.time(),
                region=config.region,
                account_id=config.account_id,
                state_directory=str(config.state_directory),
                audit_log=str(config.audit_path),
                memory_locked=hardening.memory_locked,
            )
            trio.run(_run, _Running(kms, audit, listener, config.limits, status))
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        barrier.forget()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that began it: trio wraps it once for each nursery it went through."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _run(running: _Running) -> None:
    """Serve; end the doors first, then the jobs, and the audit log last: it records them."""
    stop = trio.Event()
    endpoint = Endpoint(running.kms, running.audit, msgspec.to_builtins(running.status))
    server = Server(endpoint.open_local_session, running.limits)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(running.listener))
    async with trio.open_nursery() as recording:
        await recording.start(running.audit.run)
        async with trio.open_nursery() as serving:
            serving.start_soon(jobs.run, running.kms, running.audit)
            await serving.start(_stop_on_signal, stop)
            # What lives until the end need not be looked through for cycles again and again.
            gc.collect()
            gc.freeze()
            notify(os.environ, READY)
            _log.info("serving pid=%d version=%s", running.status.pid, running.status.version)
            await server.serve(listener, stop)
            serving.cancel_scope.cancel()
        recording.cancel_scope.cancel()
    _log.info("stopped")


async def _stop_on_signal(
    stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Begin the graceful stop at the first signal; the second one, after the handlers are gone, is final."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            _log.info("stopping on %s", signal.Signals(number).name)
            notify(os.environ, STOPPING)
            stop.set()
            return
