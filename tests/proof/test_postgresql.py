"""PostgreSQL keeps its cluster on the mount: fsync, renames, recovery, and its own checks of every page.

Its server refuses to run as root, so root runs it as the user that its package made, over allow_other.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mounts import Volume
from programs import run


class Cluster:
    """One PostgreSQL cluster, on a socket of its own and no network."""

    def __init__(self, data: Path, sockets: Path) -> None:
        self.data = data
        self.sockets = sockets
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.sockets.mkdir(mode=0o777)
        self.data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres", "postgres")
            shutil.chown(self.sockets, "postgres", "postgres")

    def run(self, name: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's programs as its user."""
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        environment = {"PGHOST": str(self.sockets), "PGDATABASE": "postgres", "LC_ALL": "C.UTF-8"}
        return run(*become, self.programs / name, *arguments, directory=self.sockets, environment=environment)

    def create(self) -> None:
        """Make the cluster, with a checksum in every page."""
        self.run("initdb", "--data-checksums", "--auth=trust", "--pgdata", self.data)
        settings = f"listen_addresses = ''\nunix_socket_directories = '{self.sockets}'\nwal_keep_size = 0\n"
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(settings)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.run("pg_ctl", "start", "--wait", "--pgdata", self.data, "--log", self.sockets / "log")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; "immediate" leaves it to recover from its log at the next start."""
        self.run("pg_ctl", "stop", "--wait", "--mode", mode, "--pgdata", self.data)

    def is_running(self) -> bool:
        """Whether a server runs on this cluster."""
        return (self.data / "postmaster.pid").exists()

    def query(self, text: str) -> str:
        """Run SQL and return the values."""
        return self.run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", text).strip()

    def check(self) -> None:
        """Have amcheck compare every table and index with each other."""
        self.run("pg_amcheck", "--install-missing", "--heapallindexed", "--parent-check", "--all")


@pytest.fixture
def cluster(volume: Volume, place: Path) -> Iterator[Cluster]:
    """Yield a new cluster on the mount, its server stopped; whatever runs at the end is stopped."""
    made = Cluster(volume.path / "cluster", place / "run")
    made.create()
    yield made
    if volume.path.is_mount() and made.is_running():
        made.stop("immediate")


def test_load_restart_recover_and_check(volume: Volume, cluster: Cluster) -> None:
    """A loaded cluster is whole after a restart, after recovery from a crash, and after a remount."""
    cluster.start()
    cluster.run("pgbench", "--initialize", "--quiet", "--scale=2", "--foreign-keys")
    load = ["--client=4", "--jobs=2", "--time=5", "--no-vacuum"]
    output = cluster.run("pgbench", *load)
    assert re.search(r"number of failed transactions: 0 ", output)
    cluster.query("VACUUM FULL pgbench_accounts")
    cluster.check()
    cluster.stop()
    cluster.start()
    cluster.run("pgbench", *load)
    history = cluster.query("SELECT count(*), sum(delta) FROM pgbench_history")
    cluster.stop("immediate")
    volume.remount()
    cluster.start()
    assert cluster.query("SELECT count(*), sum(delta) FROM pgbench_history") == history
    assert cluster.query("SELECT sum(abalance) FROM pgbench_accounts") == history.split("|")[1]
    cluster.check()
    cluster.stop()
    cluster.run("pg_checksums", "--check", "--pgdata", cluster.data)
