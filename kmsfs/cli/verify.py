"""kmsfs verify: the command line of `verifying`."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import click

from kmsfs import logs, offline, recovery
from kmsfs.cli.arguments import agent_option
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.show import progressing, show_line
from kmsfs.cli.targets import ciphertext_of
from kmsfs.verifying import MEANINGS, Problem, Tally
from kmsfs.verifying import verify as run_verify


@click.command()
@click.argument("directory", metavar="DIR|MOUNTPOINT")
@click.argument("path", metavar="[PATH]", default="")
@click.option("--deep", is_flag=True, help="Read and check every chunk of every file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--repair", is_flag=True, help="Remove what a crash has left behind, before checking.")
@agent_option
def verify(
    directory: str, path: str, *, deep: bool, as_json: bool, repair: bool, agent_url: str | None
) -> ExitCode:
    """Check that all of a volume, or all below PATH in it, is as it was written.

    The volume is not mounted, or read-only. Names, records, symbolic links, extended attributes, headers and
    lengths are checked; with --deep the content too.
    """
    logs.warnings_to_terminal_too()
    tally, problems, removed = Tally(), list[Problem](), 0
    with offline.opened(ciphertext_of(directory), agent_url, read_only=not repair) as core:
        if repair:
            removed = recovery.remove_leftovers(core.volume.root_fd)
        with progressing(lambda: _summary(tally)):
            for problem in run_verify(core, os.fsencode(path), tally, deep=deep):
                problems.append(problem)
                if not as_json:
                    _show(problem)
        repaired = core.volume.counters.repaired_files
    if as_json:
        click.echo(json.dumps(_as_dict(tally, problems, removed, repaired), indent=2))
    else:
        for line in _ending(tally, problems, removed, repaired):
            show_line(line)
    return ExitCode.PROBLEMS if any(problem.is_damage for problem in problems) else ExitCode.DONE


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


def _ending(tally: Tally, problems: list[Problem], removed: int, repaired: int) -> Iterator[str]:
    yield _summary(tally)
    if removed or repaired:
        yield f"repaired: {repaired} files cut to what authenticates, {removed} leftovers removed"
    kinds = Counter(problem.kind for problem in problems)
    yield "found " + (", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items())) or "no problem")


def _as_dict(tally: Tally, problems: list[Problem], removed: int, repaired: int) -> dict[str, object]:
    return {
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
