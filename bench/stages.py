"""The table of stages: which rows each gives, what it does, and whether it needs a slow store."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import clients
import postgres
import workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from measuring import Measurement, MountedVolume
    from sizes import Sizes


@dataclass(frozen=True, slots=True)
class Stage:
    """One volume's worth of measurements.

    Attributes:
        rows: the names of the measurements, in the order in which they come.
        measure: yields them.
        slow_store: whether the volume's backing directory is to lie on a slow store.
    """

    rows: tuple[str, ...]
    measure: Callable[[MountedVolume, Sizes], Iterator[Measurement]]
    slow_store: bool = False


def _for_each(counts: Sequence[int], name: str) -> tuple[str, ...]:
    return tuple(f"{name}, {count} client{'s' * (count > 1)}" for count in counts)


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        "sequential": Stage(("sequential write", "sequential read, cold"), workloads.sequential),
        "random": Stage(
            ("random 4 KiB write", "random 4 KiB read, cold", "read 4 KiB, warm"), workloads.random_access
        ),
        "small": Stage(
            (
                "create 4 KiB file",
                "stat, cold",
                "stat, warm",
                "open + read, cold",
                "open + read, warm",
                "unlink",
            ),
            workloads.small_files,
        ),
        "tree": Stage(("untar", "du, cold", "grep -r, cold", "grep -r, warm", "rm -rf"), workloads.tree),
        "transfer": Stage(("cp -a in", "cp -a out, cold", "export, cold", "import"), workloads.transfer),
        "sqlite": Stage(("SQLite commit, rollback journal", "SQLite commit, WAL"), workloads.sqlite),
        "pgbench": Stage(_for_each(postgres.CLIENTS, "pgbench"), postgres.pgbench),
        "appends": Stage(("append 4 KiB",), workloads.appends),
        "parallel": Stage(
            _for_each(clients.CLIENTS, "create + write + read + unlink"), clients.parallel_mixes
        ),
        "parallel-reads": Stage(_for_each(clients.CLIENTS, "open + read, cold"), clients.parallel_reads),
        "slow": Stage(
            _for_each(clients.CLIENTS, "slow store: open + read, cold"), clients.slow_reads, slow_store=True
        ),
        "stalls": Stage(
            tuple(
                f"worst stat while one {kind} takes {clients.SLOW_READ_MS} ms"
                for kind in ("open + read", "read")
            ),
            clients.stalls,
            slow_store=True,
        ),
        "memory": Stage(("memory, idle", "memory, after files came and went"), workloads.memory),
    }
)


def chosen(words: Sequence[str]) -> tuple[dict[str, Stage], set[str]]:
    """Return the stages to run and the rows to show: of stages so named, and with a word in their name.

    Raises:
        ValueError: a word is found nowhere.
    """
    rows: set[str] = set()
    for word in words:
        whole = STAGES.get(word)
        every = [row for stage in STAGES.values() for row in stage.rows]
        found = whole.rows if whole else tuple(row for row in every if word in row)
        if not found:
            raise ValueError(f"no such row: {word}; stages are {', '.join(STAGES)}")
        rows.update(found)
    if not words:
        rows.update(row for stage in STAGES.values() for row in stage.rows)
    return {name: stage for name, stage in STAGES.items() if rows.intersection(stage.rows)}, rows
