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
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import trio

from agent import jobs
from agent.audit.log import DIGEST_LABEL, AuditLog
from agent.authn.signingkeys import SigningKeys
from agent.config import ConfigError
from agent.crypto import selftest
from agent.crypto.attestation import MAX_ROOT_BYTES, Root, RootError, load_root
from agent.doors.local import LocalDoor
from agent.doors.network import NetworkDoor
from agent.doors.refusals import RefusalDesk
from agent.doors.tcp import listening_on, url_of
from agent.doors.tls import TlsPort
from agent.endpoint import Endpoint
from agent.hardening import harden_process
from agent.http import Server
from agent.listener import ListenError, listening
from agent.notify import READY, STOPPING, notify
from agent.operations.kms import Kms
from agent.policy.document import PolicyKind
from agent.policy.errors import PolicyError
from agent.policy.parse import MAX_BYTES, parse
from agent.seal.barrier import Barrier
from agent.status import Status
from agent.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from agent.config import Config
    from agent.http import OpenSession

STORE_NAME = "keys.sqlite"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Port:
    """An open TCP port, and its TLS where it has any."""

    listener: socket.socket
    tls: TlsPort | None


@dataclass(frozen=True, slots=True)
class _Running:
    """Everything that is open while the agent runs."""

    config: Config
    kms: Kms
    audit: AuditLog
    listener: socket.socket
    ports: tuple[_Port, ...]
    status: Status


def serve(config: Config, unseal: Callable[[], bytes]) -> None:
    """Run the agent until SIGTERM or SIGINT, then end it gracefully.

    Args:
        config: What to run.
        unseal: Returns the root key, 32 bytes; called once, after the self-tests.

    Raises:
        ConfigError: The attestation root is no certificate, or the guard no policy.
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
    attestation_root = _attestation_root(config.attestation_root)
    guard = _guard(config.guard)
    barrier = Barrier(unseal())
    try:
        with (
            ExitStack() as opened,
            SqliteStore.open(config.state_directory / STORE_NAME) as store,
            listening(config.socket_path, config.socket_mode) as listener,
        ):
            ports = tuple(
                _Port(
                    opened.enter_context(listening_on(listen)),
                    None if listen.tls is None else TlsPort(listen.tls),
                )
                for listen in config.listen
            )
            audit = AuditLog.open(
                config.audit_path,
                digest_seed=barrier.derive(DIGEST_LABEL),
                region=config.region,
                account_id=config.account_id,
            )
            kms = Kms(
                store=store,
                barrier=barrier,
                region=config.region,
                regions=frozenset({config.region, *config.regions}),
                account_id=config.account_id,
                now=time.time,
                usage=audit.usage,
                quotas=config.quotas,
                attestation_root=attestation_root,
                guard=guard,
            )
            status = Status(
                state="serving",
                version=version("kmsfs"),
                pid=os.getpid(),
                started=time.time(),
                doors=(
                    f"unix://{config.socket_path}",
                    *(
                        url_of(listen, port.listener)
                        for listen, port in zip(config.listen, ports, strict=True)
                    ),
                ),
                region=config.region,
                account_id=config.account_id,
                state_directory=str(config.state_directory),
                audit_log=str(config.audit_path),
                audit=audit.condition,
                memory_locked=hardening.memory_locked,
            )
            # What is here by now stays: with many keys and grants, looking at it would hold requests up.
            gc.freeze()
            trio.run(_run, _Running(config, kms, audit, listener, ports, status))
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        barrier.forget()


def _attestation_root(path: Path | None) -> Root | None:
    """Read whose attestation documents are believed."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return load_root(file.read(MAX_ROOT_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"attestation_root: {path} cannot be read: {error.strerror}") from None
    except RootError as error:
        raise ConfigError(f"attestation_root: {path} {error}") from None


def _guard(path: Path | None) -> str | None:
    """Read the policy that limits everybody, and refuse one that could not be enforced."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES[PolicyKind.GUARD] + 1).decode()
        parse(text, PolicyKind.GUARD)
    except OSError as error:
        raise ConfigError(f"guard: {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, PolicyError) as error:
        raise ConfigError(f"guard: {path} is no policy: {error}") from None
    return text


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that began it: trio wraps it once for each nursery it went through."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _run(running: _Running) -> None:
    """Serve; end the doors first, then the jobs, and the audit log last: it records them."""
    stop = trio.Event()
    endpoint = Endpoint(running.kms, running.audit, msgspec.to_builtins(running.status))
    rules, refusals = running.config.principals, RefusalDesk(running.audit)
    local = LocalDoor(endpoint, rules, refusals, os.geteuid())
    network = NetworkDoor(endpoint, rules, refusals, SigningKeys(running.kms.barrier.unwrap_secret))
    async with trio.open_nursery() as recording:
        await recording.start(running.audit.run)
        async with trio.open_nursery() as serving:
            serving.start_soon(jobs.run, running.kms, running.audit)
            await serving.start(_stop_on_signal, stop)
            await serving.start(_reload_on_signal, running.ports)
            # What lives until the end need not be looked through for cycles again and again.
            gc.collect()
            gc.freeze()
            notify(os.environ, READY)
            _log.info(
                "serving pid=%d version=%s on %s",
                running.status.pid,
                running.status.version,
                " ".join(running.status.doors),
            )
            async with trio.open_nursery() as doors:
                doors.start_soon(_serve, running, _Port(running.listener, None), local.open_session, stop)
                for port in running.ports:
                    doors.start_soon(_serve, running, port, network.open_session, stop)
            serving.cancel_scope.cancel()
        recording.cancel_scope.cancel()
    _log.info("stopped")


async def _serve(running: _Running, port: _Port, open_session: OpenSession, stop: trio.Event) -> None:
    """Serve one socket; each has its own room for connections, so that none can take that of another."""
    secure = None if port.tls is None else port.tls.secure
    server = Server(open_session, running.config.limits, secure)
    await server.serve(trio.SocketListener(trio.socket.from_stdlib_socket(port.listener)), stop)


async def _reload_on_signal(
    ports: tuple[_Port, ...], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Read certificates again at each SIGHUP; where that fails, those from before stay."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            for port in ports:
                try:
                    if port.tls is not None:
                        port.tls.reload()
                except ListenError as error:
                    _log.error("%s; the certificate from before is still used", error)
                else:
                    _log.info("read the certificate again")


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
