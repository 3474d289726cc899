"""Composition root of a mount: joins volume, agent, operations and the FUSE loop, and ends them cleanly.

Knows the order of things; each thing itself is someone else's.
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kmsfs import (
    backing,
    control,
    hardening,
    mountinfo,
    mountpoint,
    policies,
    readahead,
    statusdoor,
    umount,
    volumedir,
)
from kmsfs.connect import connected
from kmsfs.core import Core
from kmsfs.courier import Courier
from kmsfs.customerkeys import NO_CUSTOMER_KEYS, CustomerKeys
from kmsfs.daemonize import Start
from kmsfs.fuse.loop import Session, mounted
from kmsfs.mountpoint import MountRefusedError
from kmsfs.notify import notify_manager
from kmsfs.opening import open_volume
from kmsfs.openvolume import OpenVolume
from kmsfs.options import MountOptions, libfuse_options

_log: Final = logging.getLogger(__name__)

_APPEAR_SECONDS: Final = 0.005
# How long programs that still use a mount have to finish after it was told to stop.
_GRACE_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class MountPlan:
    """What to mount, where and how.

    Attributes:
        ciphertext: the ciphertext directory, absolute.
        mountpoint: where, absolute.
        options: what the mount allows.
        agent_url: which agent; None for the default one.
        customer_keys: that the user gave.
        log: where the log goes, to be told to people.
    """

    ciphertext: str
    mountpoint: str
    options: MountOptions
    agent_url: str | None
    customer_keys: CustomerKeys = NO_CUSTOMER_KEYS
    log: str = ""


def mount(plan: MountPlan, start: Start) -> None:
    """Mount a volume and serve it until it is unmounted; tell `start` once the mount answers.

    Raises:
        KmsfsError: the volume, the mount point or the system does not allow it.
        AgentError: no agent can be asked for the keys.
    """
    hardening.tune_malloc()
    hardened = hardening.harden()
    ciphertext = os.path.realpath(plan.ciphertext)
    volumedir.require_volume(ciphertext)
    mountpoint.require_fuse(plan.options)
    where = mountpoint.prepare(plan.mountpoint, ciphertext, plan.options)
    with ExitStack() as stack:
        agent = stack.enter_context(connected(plan.agent_url))
        volume = stack.enter_context(
            open_volume(
                ciphertext,
                agent,
                customer_keys=plan.customer_keys,
                mountpoint=where,
                read_only=plan.options.read_only,
            )
        )
        # A mount of bucket keys alone never needs it again.
        agent.rest()
        # Others are to be answered meanwhile.
        volume.keyring.let_wait()
        # The kernel has applied each caller's umask; ours must not take anything off on top.
        os.umask(0)
        refusal = _run(
            _Session(volume, ciphertext, where, plan.options, plan.log, hardened, time.time()), start
        )
    # Raised only here: a mount that never was leaves no mark on the volume.
    if refusal is not None:
        raise refusal


@dataclass(frozen=True, slots=True)
class _Session:
    """What the tasks of a running mount share."""

    volume: OpenVolume
    ciphertext: str
    mountpoint: str
    options: MountOptions
    log: str
    hardened: hardening.Hardening
    began: float

    def report(self, core: Core, courier: Courier) -> Mapping[str, object]:
        """Return what `kmsfs status` shows of a running mount."""
        return {
            "pid": os.getpid(),
            "began": self.began,
            "log": self.log,
            "was_clean": self.volume.was_clean,
            "resident_kib": _resident_kib(),
            "open_descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - only their number matters
            "policies": policies.report(self.volume),
            "counters": asdict(self.volume.counters),
            "damage": {**core.reports.summary(), "audit": courier.summary()},
            "hardening": asdict(self.hardened),
        }


def _run(session: _Session, start: Start) -> MountRefusedError | None:
    """Serve until unmounted; return why the mount was refused, if it was."""
    try:
        trio.run(_serve, session, start)
    except BaseExceptionGroup as group:
        error = _only(group)
        if isinstance(error, MountRefusedError):
            return error
        _log.exception("the mount ended by an error")
        raise error from group
    return None


async def _serve(session: _Session, start: Start) -> None:
    words = libfuse_options(session.options, session.ciphertext)
    try:
        with mounted(session.mountpoint, words) as channel:
            core = Core(session.volume, keeps_all=session.options.keeps_all)
            options = session.options
            fuse = Session(core, channel, acls=options.acls, polls=options.polls)
            await _serve_until_told(session, fuse, start)
    except RuntimeError as error:
        # pyfuse3.init has no other way to say that libfuse, which has printed why, could not mount.
        raise MountRefusedError(f"cannot mount at {session.mountpoint}: {error}") from None


async def _serve_until_told(session: _Session, fuse: Session, start: Start) -> None:
    courier = Courier(session.volume.agent, session.volume.live, fuse.core.reports)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_announce, session, start, fuse.core, courier)
            nursery.start_soon(courier.run)
            nursery.start_soon(_stop_when_told, signals, session.mountpoint, fuse)
            await fuse.serve()
            nursery.cancel_scope.cancel()
        await courier.finish()


async def _announce(session: _Session, start: Start, core: Core, courier: Courier) -> None:
    """Wait until the mount answers and say so; then answer those who come to its door."""
    mounted = await _appeared(session.mountpoint)
    try:
        # In a thread, or it would wait for an answer that nobody but this one can give.
        await trio.to_thread.run_sync(os.statvfs, session.mountpoint, abandon_on_cancel=True)
    except OSError as error:
        raise MountRefusedError(f"{session.mountpoint} is mounted but answers: {error.strerror}") from None
    readahead.raise_read_ahead(mounted.device)
    path = statusdoor.socket_path(mounted.owner_uid, mounted.device, os.environ)
    with ExitStack() as stack:
        door = None
        try:
            door = stack.enter_context(statusdoor.listening(path))
        except OSError as error:
            _log.warning("kmsfs status will not see counters: cannot make %s: %s", path, error.strerror)
        _log.info("mounted %s at %s", session.ciphertext, session.mountpoint)
        notify_manager(f"READY=1\nSTATUS=mounted at {session.mountpoint}")
        start.ready()
        if door is not None:
            report = partial(session.report, core, courier)
            await statusdoor.answer(door, lambda line: control.converse(line, core, report))


async def _appeared(mountpoint: str) -> mountinfo.Mount:
    while True:
        mounted = mountinfo.mounted_at(mountpoint)
        if mounted is not None and mounted.is_kmsfs:
            return mounted
        await trio.sleep(_APPEAR_SECONDS)


async def _stop_when_told(signals: AsyncIterator[int], mountpoint: str, fuse: Session) -> None:
    """At the first signal unmount, at a second one end at once."""
    async with trio.open_nursery() as nursery:
        async for number in signals:
            _log.info("told to stop by %s", signal.Signals(number).name)
            notify_manager("STOPPING=1")
            nursery.start_soon(_stop, mountpoint, fuse)
            break
        async for _ in signals:
            _log.warning("told to stop again: ending at once")
            fuse.stop()


async def _stop(mountpoint: str, fuse: Session) -> None:
    """Unmount while still answering, so that the kernel can write back; that ends the FUSE loop."""
    try:
        await _unmount(mountpoint, lazy=False)
    except umount.MountBusyError as error:
        _log.warning("%s; they have %d s to finish", error, _GRACE_SECONDS)
        await _detach_in_use(mountpoint)
    except umount.UnmountRefusedError as error:
        _log.error("cannot unmount: %s; ending without", error)
    else:
        return
    fuse.stop()


async def _detach_in_use(mountpoint: str) -> None:
    """Write back what the kernel holds, take the mount out of sight, and wait for those who still use it.

    The wait is cut short when the last of them has finished, since the FUSE loop then ends.
    """
    try:
        await trio.to_thread.run_sync(_write_back, mountpoint, abandon_on_cancel=True)
        await _unmount(mountpoint, lazy=True)
    except (OSError, umount.UnmountRefusedError) as error:
        _log.error("cannot unmount: %s; ending without", error)
    else:
        await trio.sleep(_GRACE_SECONDS)


async def _unmount(mountpoint: str, *, lazy: bool) -> None:
    await trio.to_thread.run_sync(partial(umount.detach, mountpoint, lazy=lazy), abandon_on_cancel=True)


def _write_back(mountpoint: str) -> None:
    root_fd = os.open(mountpoint, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        backing.sync_filesystem(root_fd)
    finally:
        os.close(root_fd)


def _resident_kib() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _only(error: BaseException) -> BaseException:
    """Unwrap an exception from the groups that trio's nurseries put it in."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
