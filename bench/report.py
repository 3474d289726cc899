"""The figures of a run as Markdown: medians, ratios, what failed and why, and what they were taken on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from measuring import Measurement


@dataclass(slots=True)
class Row:
    """One row: system name → round → its measurement; and why a system has none."""

    name: str
    taken: dict[str, dict[int, Measurement]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, system: str, round_number: int, measurement: Measurement) -> None:
        """Keep one round's figure."""
        self.taken.setdefault(system, {})[round_number] = measurement

    def median(self, system: str) -> float | None:
        """Return a system's median over the rounds, if it has any."""
        rounds = self.taken.get(system)
        return statistics.median(each.value for each in rounds.values()) if rounds else None

    def cpu_us(self, system: str) -> float | None:
        """Return the processor time of its process for each operation: the least, for others only add."""
        rounds = self.taken.get(system)
        return min(each.cpu_us for each in rounds.values()) if rounds else None

    @property
    def sample(self) -> Measurement | None:
        """Any of the measurements: they have unit and direction in common."""
        return next((each for rounds in self.taken.values() for each in rounds.values()), None)

    def best(self, systems: Iterable[str]) -> str | None:
        """Return which of the systems has the best median."""
        medians = {name: value for name in systems if (value := self.median(name)) is not None}
        if not medians or self.sample is None:
            return None
        choose = max if self.sample.more_is_better else min
        return choose(medians, key=lambda name: medians[name])

    def speed(self, ours: str, theirs: str) -> float | None:
        """Return the median over the rounds of how many times as fast `ours` is."""
        mine, other = self.taken.get(ours, {}), self.taken.get(theirs, {})
        if self.sample is None or not self.sample.is_speed:
            return None
        ratios = [
            mine[number].value / other[number].value
            if self.sample.more_is_better
            else other[number].value / mine[number].value
            for number in mine.keys() & other.keys()
            if mine[number].value and other[number].value
        ]
        return statistics.median(ratios) if ratios else None


def table(rows: Sequence[Row], subject: str, peers: Sequence[str], native: str | None) -> str:
    """Return medians, the best peer's in bold, and how many times as fast the subject is."""
    systems = [subject, *peers, *([native] if native else [])]
    ratios = ["best peer"] * bool(peers) + ["native"] * bool(native)
    titles = ["", "unit", *systems, *(f"{subject} / {ratio}" for ratio in ratios)]
    lines = [_line(titles), _line(["---", "---"] + ["---:"] * (len(titles) - 2))]
    for row in rows:
        best = row.best(peers)
        cells = [row.name, row.sample.unit if row.sample else ""]
        cells += [
            f"**{_figure(row.median(name))}**"
            if name == best and len(peers) > 1
            else _figure(row.median(name))
            for name in systems
        ]
        if peers:
            cells.append(_ratio(row.speed(subject, best)) if best else "")
        if native:
            cells.append(_ratio(row.speed(subject, native)))
        lines.append(_line(cells))
    return "\n".join(lines)


def processor_table(rows: Sequence[Row], systems: Sequence[str]) -> str:
    """Return the processor time that the filesystems' own processes took for each operation."""
    lines = [
        _line(["processor time of the process, least, µs each", *systems]),
        _line(["---"] + ["---:"] * len(systems)),
    ]
    lines += [
        _line([row.name, *(_figure(row.cpu_us(name)) for name in systems)])
        for row in rows
        if row.sample is not None and any(row.cpu_us(name) for name in systems)
    ]
    return "\n".join(lines)


def failures(rows: Sequence[Row]) -> str:
    """Return a list of what is missing in the table, with the reason; rows that share one stand together."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for system, reason in row.failures.items():
            reasons.setdefault((system, reason), []).append(row.name)
    return "\n".join(
        f"- {system}, {'; '.join(names)}: {reason}" for (system, reason), names in reasons.items()
    )


def machine(backing: Path, versions: Mapping[str, str], rounds: int) -> str:
    """Return lines that say where, on what, of which commit and how often the figures were taken."""
    here = Path(__file__).parent
    information = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in information if "model name" in line]
    model = models[0] if models else platform.machine()
    commit = _printed(["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]) or "unknown"
    store = _printed(["stat", "-f", "-c", "%T", str(backing)])
    load = os.getloadavg()[0]
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    lines = [
        f"Machine: {model}, {os.cpu_count()} processors, {system}, store {store}, load {load:.1f} at the end",
        f"Commit: {commit}, medians of {rounds} round{'s' * (rounds > 1)}",
        *(f"{name}: {version}" for name, version in versions.items()),
    ]
    return "\n\n".join(lines)


def _printed(command: list[str]) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figure(value: float | None) -> str:
    """Return three significant digits without an exponent; a dash where there is no figure."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
