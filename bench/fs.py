"""Compare kmsfs with other encrypting filesystems and with none, in one run; prints Markdown tables.

    python bench/fs.py [--rounds N] [--rows WORD ...] [--peers NAME ...] [--quick] [--backing DIR]

Each stage of each round gives each system a new volume, one right after the other and in an order that turns
with every round. The ratios are speeds, medians over the rounds: above 1 the first system is the faster one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import peers
import report
from sizes import QUICK, Sizes
from stages import Stage, chosen
from systems import Kmsfs, Native, System
from volumes import Place, Volume

if TYPE_CHECKING:
    from types import FrameType

STAGE_SECONDS = 90


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=[], metavar="WORD", help="stages, or parts of row names")
    parser.add_argument(
        "--peers", nargs="*", choices=[*peers.PEERS, "kmsfs"], help="default: those that are installed"
    )
    parser.add_argument("--subject", choices=["kmsfs", "native"], default="kmsfs", help="what is compared")
    parser.add_argument("--no-native", action="store_true", help="leave the bare backing directory out")
    parser.add_argument("--quick", action="store_true", help="tiny amounts, to see that everything works")
    parser.add_argument("--backing", type=Path, default=Path("/dev/shm"))  # noqa: S108 - a private directory is made in it
    parser.add_argument("--init-option", action="append", default=[], help="given to kmsfs init")
    return parser.parse_args()


def build(name: str, init_options: list[str], home: Path, stack: ExitStack) -> System:
    """Return the named system, with the directory `home` for what it keeps."""
    home.mkdir()
    match name:
        case "kmsfs":
            return stack.enter_context(Kmsfs(home, tuple(init_options)))
        case "native":
            return Native()
        case _:
            return peers.PEERS[name](home)


def build_all(options: argparse.Namespace, scratch: Path, stack: ExitStack) -> tuple[list[System], list[str]]:
    """Return the systems, the compared one first, and the names of those that are its peers."""
    found = peers.installed() if options.peers is None else options.peers
    names = [options.subject, *found, *([] if options.no_native else ["native"])]
    systems = [
        build(name, options.init_option, scratch / f"system-{position}", stack)
        for position, name in enumerate(names)
    ]
    for position, system in enumerate(systems):
        if system.name in {other.name for other in systems[:position]}:
            system.name += " again"
    return systems, [system.name for system in systems[1 : 1 + len(found)]]


def run(
    systems: list[System], stages: dict[str, Stage], sizes: Sizes, rounds: int, scratch: Path
) -> dict[str, report.Row]:
    """Measure everything; progress goes to the standard error."""
    rows = {name: report.Row(name) for stage in stages.values() for name in stage.rows}
    place = Place(scratch / "volume", scratch, STAGE_SECONDS)
    for round_number in range(rounds):
        turn = round_number % len(systems)
        for name, stage in stages.items():
            for system in systems[turn:] + systems[:turn]:
                print(f"round {round_number + 1} of {rounds}: {name}, {system.name}", file=sys.stderr)
                measure(system, stage, sizes, place, round_number, rows)
    return rows


def measure(
    system: System,
    stage: Stage,
    sizes: Sizes,
    place: Place,
    round_number: int,
    rows: dict[str, report.Row],
) -> None:
    """Run one stage on a new volume; where it fails, the rows that are still missing have the reason."""
    missing = list(stage.rows)
    volume = Volume(system, place, slow=stage.slow_store)
    try:
        with volume:
            for measurement in stage.measure(volume, sizes):
                rows[measurement.name].add(system.name, round_number, measurement)
                missing.remove(measurement.name)
    except (OSError, RuntimeError) as error:
        reason = f"took longer than {STAGE_SECONDS} s" if volume.ran_out_of_time else str(error)
        print(f"  failed: {reason}", file=sys.stderr)
        for name in missing:
            rows[name].failures[system.name] = reason


def end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End in order, as on Ctrl-C."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the comparison."""
    options = arguments()
    try:
        stages, wanted = chosen(options.rows)
    except ValueError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, end)
    with ExitStack() as stack:
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="kmsfs-bench-", dir=options.backing))
        )
        scratch.chmod(0o711)  # PostgreSQL's user has to get through
        systems, peer_names = build_all(options, scratch, stack)
        sizes = QUICK if options.quick else Sizes()
        rows = [
            row for row in run(systems, stages, sizes, options.rounds, scratch).values() if row.name in wanted
        ]
        native = None if options.no_native else systems[-1].name
        mounted = [system.name for system in systems if not isinstance(system, Native)]
        versions = {system.name: system.version() for system in systems}
        print(report.table(rows, systems[0].name, peer_names, native), end="\n\n")
        if failed := report.failures(rows):
            print(failed, end="\n\n")
        if mounted:
            print(report.processor_table(rows, mounted), end="\n\n")
        print(report.machine(options.backing, versions, options.rounds))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
