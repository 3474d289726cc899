"""kmsfs verify: the command line of `verifying`."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final, NamedTuple

import click
import trio

from kmsfs import logs, offline, recovery
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.progressing import progressing
from kmsfs.cli.show import show_line
from kmsfs.cli.targets import ciphertext_of
from kmsfs.core import Core
from kmsfs.courier import Courier
from kmsfs.customerkeys import CustomerKeys
from kmsfs.reporting import failure
from kmsfs.salvaging import Loss, Salvaged, salvage
from kmsfs.verifying import MEANINGS, Problem, Tally
from kmsfs.verifying import verify as run_verify

_MAX_REPORTED: Final = 100
"""As many as an agent takes at once."""


@click.command()
@click.argument("directory", metavar="DIR|MOUNTPOINT")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--deep", is_flag=True, help="Read and check every chunk of every file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--repair", is_flag=True, help="Remove what a crash has left behind, before checking.")
@click.option(
    "--salvage",
    "destination",
    metavar="DIR",
    help="After checking, copy all that authenticates to this new or empty directory, and list what is lost.",
)
@click.option("--no-report", is_flag=True, help="Do not have the agent's audit log record what is found.")
@agent_option
@customer_key_options
def verify(
    directory: str,
    path: str,
    *,
    deep: bool,
    as_json: bool,
    repair: bool,
    destination: str | None,
    no_report: bool,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Check that all of a volume, or all below PATH in it, is as it was written.

    The volume is not mounted, or read-only. Names, records, symbolic links, extended attributes, headers and
    lengths are checked; with --deep the content too. What does not authenticate is recorded in the audit log
    of the agent, by its path in the ciphertext directory.
    """
    logs.warnings_to_terminal_too()
    ciphertext = ciphertext_of(directory)
    if destination is not None and _is_within(destination, ciphertext):
        raise click.BadParameter("the copy would lie in the ciphertext directory", param_hint="--salvage")
    tally, problems, removed = Tally(), list[Problem](), 0
    salvaged, losses = Salvaged(), list[Loss]()
    with offline.opened(ciphertext, agent_url, read_only=not repair, customer_keys=customer_keys) as core:
        if repair:
            removed = recovery.remove_leftovers(core.volume.root_fd)
        with progressing(lambda: _summary(tally)):
            for problem in run_verify(core, os.fsencode(path), tally, deep=deep):
                problems.append(problem)
                if not as_json:
                    _show(problem)
        if destination is not None:
            with progressing(lambda: _copied(salvaged)):
                losses.extend(salvage(core, os.fsencode(path), destination, salvaged))
        repaired = core.volume.counters.repaired_files
        recorded = None if no_report else _recorded(core, problems)
    copied = None if destination is None else salvaged
    if as_json:
        told = {"recorded": None if recorded is None else recorded.done}
        click.echo(json.dumps(_as_dict(tally, problems, removed, repaired, copied, losses) | told, indent=2))
    else:
        for line in _ending(tally, problems, removed, repaired, copied, losses):
            show_line(line)
        if recorded is not None and recorded.failures:
            show_line(str(recorded))
    is_damaged = bool(losses) or any(problem.is_damage for problem in problems)
    return ExitCode.PROBLEMS if is_damaged else ExitCode.DONE


class _Recorded(NamedTuple):
    """How many failures the agent's audit log has, of how many, and why not all of them."""

    done: int
    failures: int
    reason: str

    def __str__(self) -> str:
        return f"recorded in the agent's audit log: {self.done} of {self.failures}{self.reason}"


def _recorded(core: Core, problems: list[Problem]) -> _Recorded:
    """Have the agent's audit log record what does not authenticate, as far as that goes at once."""
    failures = [problem for problem in problems if problem.is_failure]
    # What copying has met, checking has found.
    core.reports.untold.clear()
    for problem in failures[:_MAX_REPORTED]:
        core.reports.tell(failure(problem.stored, problem.kind, problem.detail, time.time()))
    courier = Courier(core.volume.agent, core.volume.live, core.reports)
    trio.run(courier.finish)
    if courier.recorded == len(failures):
        reason = ""
    elif courier.recorded == _MAX_REPORTED:
        reason = "; no more are recorded at once"
    else:
        reason = f"; {courier.state}"
    return _Recorded(courier.recorded, len(failures), reason)


def _is_within(path: str, directory: str) -> bool:
    root = os.path.realpath(directory)
    return f"{os.path.realpath(path)}/".startswith(f"{root}/")


def _show(problem: Problem) -> None:
    show_line(f"{problem.kind}: {os.fsdecode(problem.stored)}: {problem.detail}")
    if problem.plain is not None:
        show_line(f"  is {os.fsdecode(problem.plain)}")
    show_line(f"  {MEANINGS[problem.kind]}")


def _summary(tally: Tally) -> str:
    content = f", {tally.content_bytes} bytes of content" if tally.content_bytes else ""
    return (
        f"checked {tally.directories} directories, {tally.files} files, {tally.symlinks} symbolic links, "
        f"{tally.others} others{content}"
    )


def _copied(salvaged: Salvaged) -> str:
    return (
        f"copied {salvaged.directories} directories, {salvaged.files} files, {salvaged.others} others, "
        f"{salvaged.content_bytes} bytes of content; {salvaged.lost_bytes} bytes in them are lost"
    )


def _ending(
    tally: Tally,
    problems: list[Problem],
    removed: int,
    repaired: int,
    salvaged: Salvaged | None,
    losses: list[Loss],
) -> Iterator[str]:
    yield _summary(tally)
    if removed or repaired:
        yield f"repaired: {repaired} files cut to what authenticates, {removed} leftovers removed"
    kinds = Counter(problem.kind for problem in problems)
    yield "found " + (", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items())) or "no problem")
    for loss in losses:
        yield f"lost: {os.fsdecode(loss.path)}: {loss.what}"
    if salvaged is not None:
        yield _copied(salvaged)


def _as_dict(
    tally: Tally,
    problems: list[Problem],
    removed: int,
    repaired: int,
    salvaged: Salvaged | None,
    losses: list[Loss],
) -> dict[str, object]:
    lost = [{"path": os.fsdecode(loss.path), "what": loss.what} for loss in losses]
    return {
        "salvaged": None if salvaged is None else {**asdict(salvaged), "lost": lost},
        "checked": asdict(tally),
        "repaired_files": repaired,
        "removed_leftovers": removed,
        "problems": [
            {
                "kind": problem.kind,
                "is_damage": problem.is_damage,
                "stored_path": os.fsdecode(problem.stored),
                "path": None if problem.plain is None else os.fsdecode(problem.plain),
                "detail": problem.detail,
                "meaning": MEANINGS[problem.kind],
            }
            for problem in problems
        ],
    }
