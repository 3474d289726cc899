"""Compare kmsfs and gocryptfs in one run on the same backing directory; prints a Markdown table of medians.

    python bench/fs.py [--rounds N] [--backing DIR] [--stages sequential,tree] [--systems kmsfs,gocryptfs]

Each stage of each round gives each system a new volume, one right after the other and in an order that turns
with every round. The ratio is speed, the median over the rounds: above 1 the first system is the faster one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from systems import Gocryptfs, Kmsfs, Plain, System, Volume
from workloads import STAGES, Measurement

Figures = dict[str, dict[str, list[Measurement]]]
"""Measurement name → system name → one measurement per round."""


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backing", type=Path, default=Path("/dev/shm"))  # noqa: S108 - a private directory is made in it
    parser.add_argument("--stages", default=",".join(STAGES), help="comma-separated: %(default)s")
    parser.add_argument(
        "--systems", default="kmsfs,gocryptfs", help="of kmsfs, gocryptfs, plain; the first is compared"
    )
    parser.add_argument("--init-option", action="append", default=[], help="given to kmsfs init")
    return parser.parse_args()


def build_systems(names: str, init_options: list[str], scratch: Path, stack: ExitStack) -> list[System]:
    """Return the named systems, each with a scratch directory of its own; the same name may come twice."""
    systems: list[System] = []
    for position, name in enumerate(names.split(",")):
        home = scratch / f"system-{position}"
        home.mkdir()
        match name:
            case "kmsfs":
                systems.append(stack.enter_context(Kmsfs(home, tuple(init_options))))
            case "gocryptfs":
                systems.append(Gocryptfs(home))
            case "plain":
                systems.append(Plain())
            case _:
                sys.exit(f"no such system: {name}")
    for position, system in enumerate(systems):
        if system.name in {other.name for other in systems[:position]}:
            system.name += " again"
    return systems


def run(systems: list[System], stages: list[str], rounds: int, scratch: Path) -> Figures:
    """Measure `rounds` times; progress goes to the standard error."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for round_number in range(rounds):
        turn = round_number % len(systems)
        for stage in stages:
            for system in systems[turn:] + systems[:turn]:
                print(f"round {round_number + 1} of {rounds}: {stage}, {system.name}", file=sys.stderr)
                with Volume(system, scratch / "volume") as volume:
                    for measurement in STAGES[stage](volume, scratch):
                        figures[measurement.name][system.name].append(measurement)
    return figures


def figure(value: float) -> str:
    """Return three significant digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def speed_ratio(ours: list[Measurement], theirs: list[Measurement]) -> str:
    """Return the median over the rounds of how many times as fast `ours` is; empty if not a speed."""
    if ours[0].unit == "MB":
        return ""
    pairs = [(mine.value, other.value) for mine, other in zip(ours, theirs, strict=True)]
    ratios = [mine / other if ours[0].more_is_better else other / mine for mine, other in pairs]
    return f"{statistics.median(ratios):.2f}"


def table(figures: Figures, systems: list[System]) -> str:
    """Return the medians as a Markdown table, with the first system's speed in multiples of the others'."""
    first, *others = [system.name for system in systems]
    ratio_titles = [f"{first} / {other}" for other in others]
    lines = [
        "| " + " | ".join(["", "unit", first, *others, *ratio_titles]) + " |",
        "| --- | --- |" + " ---: |" * (len(systems) + len(others)),
    ]
    for name, by_system in figures.items():
        medians = {key: statistics.median(each.value for each in by_system[key]) for key in [first, *others]}
        cells = [name, by_system[first][0].unit, *(figure(value) for value in medians.values())]
        cells += [speed_ratio(by_system[first], by_system[other]) for other in others]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine(backing: Path, systems: list[System]) -> str:
    """Return lines that say where, on what and with which commit the figures were taken."""
    here = Path(__file__).parent
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    describe = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(describe, check=False, capture_output=True, text=True).stdout.strip() or "unknown"
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(backing)], check=True, capture_output=True, text=True
    ).stdout.strip()
    cores, kernel, python = os.cpu_count(), platform.release(), platform.python_version()
    lines = [
        f"Machine: {model}, {cores} cores, Linux {kernel}, Python {python}, backing on {kind}",
        f"Commit: {commit}",
        *(f"{system.name}: {system.version()}" for system in systems),
    ]
    return "\n\n".join(lines)


def main() -> None:
    """Run the comparison."""
    chosen = arguments()
    stages = chosen.stages.split(",")
    if unknown := set(stages) - set(STAGES):
        sys.exit(f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    with ExitStack() as stack:
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="kmsfs-bench-", dir=chosen.backing))
        )
        systems = build_systems(chosen.systems, chosen.init_option, scratch, stack)
        figures = run(systems, stages, chosen.rounds, scratch)
        print(table(figures, systems))
        print()
        print(machine(chosen.backing, systems))


if __name__ == "__main__":
    main()
