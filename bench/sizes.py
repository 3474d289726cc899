"""How much of everything the filesystem benchmark does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Amounts; the defaults are those of a whole run.

    Attributes:
        sequential_mib: of the large file.
        random_mib: of the file that single pages are written and read in.
        random_requests: how many pages.
        small_files: of 4 KiB, in one directory.
        warm_repeats: how often what takes no request at all is done over.
        tree_directories: in the source tree.
        tree_files: in the source tree.
        commits: of SQLite, with each journal.
        appends: of 4 KiB.
        client_files: that the clients of one volume make, and read, all together.
        slow_files: that they read from the slow store.
        pgbench_seconds: for each number of clients.
    """

    sequential_mib: int = 256
    random_mib: int = 32
    random_requests: int = 4000
    small_files: int = 1500
    warm_repeats: int = 10
    tree_directories: int = 170
    tree_files: int = 1700
    commits: int = 200
    appends: int = 4096
    client_files: int = 960
    slow_files: int = 48
    pgbench_seconds: int = 2


QUICK = Sizes(
    sequential_mib=4,
    random_mib=2,
    random_requests=100,
    small_files=40,
    warm_repeats=2,
    tree_directories=20,
    tree_files=60,
    commits=10,
    appends=64,
    client_files=48,
    slow_files=16,
    pgbench_seconds=1,
)
"""Enough to see that everything works; the figures say nothing."""
