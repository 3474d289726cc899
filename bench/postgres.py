"""PostgreSQL on a volume: pgbench's TPC-B, with every commit synced, run as the user that owns its files.

The cluster is made once for the whole run, beside the volumes, and copied into each of them.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Measurement, Meter, MountedVolume, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sizes import Sizes

USER = "postgres"
CLIENTS = (1, 4)
SCALE = max(CLIENTS)  # with less, pgbench measures clients waiting for each other's rows
SETTINGS = (
    "listen_addresses=",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum=off",  # or it comes into one filesystem's two seconds and not into another's
    "shared_buffers=32MB",
    "max_wal_size=1GB",
)
_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


def pgbench(volume: MountedVolume, sizes: Sizes) -> Iterator[Measurement]:
    """Measure transactions a second, with one client and with four."""
    programs = _programs()
    template = volume.scratch / "cluster"
    if not template.exists():
        _make(template, programs)
    data = volume.path / "cluster"
    run(["cp", "-a", str(template), str(data)])
    with tempfile.TemporaryDirectory(prefix="kmsfs-pg-") as sockets:
        shutil.chown(sockets, USER)
        with _running(data, Path(sockets), programs):
            for clients in CLIENTS:
                yield _measured(volume, Path(sockets), programs, clients, sizes.pgbench_seconds)


def _programs() -> Path:
    """Return the directory of PostgreSQL's programs.

    Raises:
        RuntimeError: it is not there, or not for this user.
    """
    if os.geteuid() != 0:
        raise RuntimeError("PostgreSQL's files are to be another user's, so this row needs root")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    try:
        pwd.getpwnam(USER)
    except KeyError:
        found = []
    if not found:
        raise RuntimeError("PostgreSQL is not installed: apt install postgresql")
    return found[-1].parent


def _make(template: Path, programs: Path) -> None:
    """Make the cluster with pgbench's tables in it."""
    making = template.with_name("cluster.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    shutil.chown(making, USER, USER)
    run(
        [f"{programs}/initdb", "-D", str(making), "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"],
        user=USER,
    )
    with tempfile.TemporaryDirectory(prefix="kmsfs-pg-") as sockets:
        shutil.chown(sockets, USER)
        with _running(making, Path(sockets), programs):
            run([f"{programs}/pgbench", "-h", sockets, "-i", "-q", "-s", str(SCALE), "postgres"], user=USER)
    making.rename(template)


@contextmanager
def _running(data: Path, sockets: Path, programs: Path) -> Iterator[None]:
    """Run the server until the body ends; then it is stopped, in whatever way it takes."""
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    control = [f"{programs}/pg_ctl", "-D", str(data), "-w"]
    log = sockets / "log"
    command = " ".join(f'"{part}"' for part in (*settings, "-k", str(sockets)))
    try:
        run([*control, "-t", "60", "-l", str(log), "-o", command, "start"], user=USER)
        yield
    except RuntimeError as error:
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        raise RuntimeError(f"{error}: {fatal[-1].partition('] ')[2]}" if fatal else str(error)) from None
    finally:
        # Fails where it never started.
        subprocess.run(
            [*control, "-m", "fast", "stop"], check=False, capture_output=True, user=USER, group=USER,
            extra_groups=[], cwd="/",
        )  # fmt: skip


def _measured(
    volume: MountedVolume, sockets: Path, programs: Path, clients: int, seconds: int
) -> Measurement:
    command = [f"{programs}/pgbench", "-h", str(sockets), "-n", "-T", str(seconds), "-c", str(clients)]
    printed: list[str] = []
    name = f"pgbench, {clients} client{'s' * (clients > 1)}"
    taken = Meter(volume).whole(
        name, 1, lambda: printed.append(run([*command, "-j", str(min(clients, 2)), "postgres"], user=USER))
    )
    transactions, rate = _TRANSACTIONS.search(printed[0]), _RATE.search(printed[0])
    if transactions is None or rate is None:
        raise RuntimeError("pgbench does not say how many transactions there were")
    cpu_us = taken.cpu_us / max(int(transactions[1]), 1)
    return Measurement(name, float(rate[1]), "1/s", more_is_better=True, cpu_us=cpu_us)
