"""kmsfs import and kmsfs export: the command lines of `moving`."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import click
from rich.filesize import decimal

from kmsfs import backing, logs, offline
from kmsfs.cli.arguments import agent_option, customer_key_options
from kmsfs.cli.codes import ExitCode
from kmsfs.cli.progressing import progressing
from kmsfs.cli.show import show_line, show_warning
from kmsfs.cli.targets import Target, TargetType
from kmsfs.core import Core
from kmsfs.customerkeys import CustomerKeys
from kmsfs.moving.batches import Problem
from kmsfs.moving.root import Plan, export_from, import_into, lies_within
from kmsfs.moving.tally import Count, Tallies
from kmsfs.moving.transfer import Totals, Transfer

_MOST_JOBS: Final = 8
# What one more file costs, in bytes of content: so the time left is good for small files too.
_FILE_WEIGHT: Final = 16 << 10

_checksum = click.option(
    "--checksum", is_flag=True, help="Read what is there already; do not go by its size and time."
)
_verify = click.option("--verify", is_flag=True, help="Read everything back and compare it.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_jobs = click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    help=f"How many processes work on files. Without it one for each processor, at most {_MOST_JOBS}.",
)


class _Done(NamedTuple):
    """A transfer that has come to its end.

    Attributes:
        counts: by name, of the copying.
        problems: what was not copied.
        differences: what is not as its original; None where that was not asked for.
        lost: what copies cannot have, and how many.
        seconds: that copying took.
    """

    counts: dict[str, int]
    problems: list[Problem]
    differences: list[Problem] | None
    lost: dict[str, int]
    seconds: float


@click.command(name="import")
@click.argument("source", metavar="SRC", type=click.Path(exists=True, file_okay=False))
@click.argument("target", metavar="DIR[:PATH]", type=TargetType())
@_checksum
@_verify
@_json
@_jobs
@agent_option
@customer_key_options
def import_tree(
    source: str,
    target: Target,
    *,
    checksum: bool,
    verify: bool,
    as_json: bool,
    jobs: int | None,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Copy all that is in SRC to the directory PATH of the volume in DIR, which is not mounted.

    PATH is made if need be; without it all goes to the volume's root. Files that are there already, with the
    size and time of the original, are left as they are: a transfer that was interrupted goes on when the
    command is given again.
    """
    logs.warnings_to_terminal_too()
    _require_apart(source, target.directory, "SRC")
    plan = Plan(jobs or _default_jobs(), checksum)
    with (
        offline.opened(target.directory, agent_url, read_only=False, customer_keys=customer_keys) as core,
        import_into(core, target.path, source, plan) as transfer,
    ):
        done = _run(transfer, core, as_json=as_json, sync_fd=core.volume.root_fd, verify=verify)
    # Only now is everything on disk.
    return _end(done, as_json=as_json)


@click.command(name="export")
@click.argument("target", metavar="DIR[:PATH]", type=TargetType())
@click.argument("destination", metavar="DST", type=click.Path(file_okay=False))
@_checksum
@_verify
@_json
@_jobs
@agent_option
@customer_key_options
def export_tree(
    target: Target,
    destination: str,
    *,
    checksum: bool,
    verify: bool,
    as_json: bool,
    jobs: int | None,
    agent_url: str | None,
    customer_keys: CustomerKeys,
) -> ExitCode:
    """Copy all that is in the directory PATH of the volume in DIR, not mounted or read-only, to DST.

    The copy is not encrypted. DST is made if need be; without PATH the whole volume is copied. Files that are
    there already, with the size and time of the original, are left as they are: a transfer that was
    interrupted goes on when the command is given again.
    """
    logs.warnings_to_terminal_too()
    _require_apart(destination, target.directory, "DST")
    plan = Plan(jobs or _default_jobs(), checksum)
    with (
        offline.opened(target.directory, agent_url, read_only=True, customer_keys=customer_keys) as core,
        export_from(core, target.path, destination, plan) as transfer,
        _directory(destination) as sync_fd,
    ):
        done = _run(transfer, core, as_json=as_json, sync_fd=sync_fd, verify=verify)
    return _end(done, as_json=as_json)


def _run(transfer: Transfer, core: Core, *, as_json: bool, sync_fd: int, verify: bool) -> _Done:
    began = time.monotonic()
    problems = _show(transfer, transfer.copy(), "copied", as_json=as_json)
    if core.volume.counters.integrity_errors:
        # Said already, by the log.
        problems.append(Problem(b"", "names that do not authenticate: kmsfs verify", is_damage=True))
    backing.sync_filesystem(sync_fd)
    seconds = time.monotonic() - began
    counts = {count.name.lower(): transfer.tallies.total(count) for count in Count if count < Count.ENTRIES}
    differences = None
    if verify:
        transfer.tallies.clear()
        differences = _show(transfer, transfer.check(), "compared", as_json=as_json)
    return _Done(counts, problems, differences, dict(transfer.lost), seconds)


def _show(transfer: Transfer, found: Iterator[Problem], verb: str, *, as_json: bool) -> list[Problem]:
    """Let a transfer go on to its end, and show how far it is."""
    totals: Totals | None = None
    began = time.monotonic()

    def describe() -> str:
        return progress(transfer.tallies, totals, time.monotonic() - began, verb)

    problems = []
    with progressing(describe) as is_shown:
        if is_shown:
            totals = transfer.survey()
            began = time.monotonic()
        for problem in found:
            problems.append(problem)
            if not as_json:
                show_warning(f"{os.fsdecode(problem.path) or '.'}: {problem.what}")
    return problems


def progress(tallies: Tallies, totals: Totals | None, seconds: float, verb: str) -> str:
    """Say how far a transfer is: files, bytes, rate, time left."""
    if totals is None:
        return "counting"
    entries, passed = tallies.total(Count.ENTRIES), tallies.total(Count.PASSED)
    rate = passed / seconds if seconds else 0
    line = (
        f"{verb} {entries:,} of {totals.entries:,} files, {decimal(passed)} of "
        f"{decimal(totals.content_bytes)}, {decimal(int(rate))}/s"
    )
    work = passed + entries * _FILE_WEIGHT
    rest = max(totals.content_bytes + totals.entries * _FILE_WEIGHT - work, 0)
    if not work:
        return line
    minutes, left = divmod(round(seconds * rest / work), 60)
    return f"{line}, {minutes // 60}:{minutes % 60:02}:{left:02} left"


def _end(done: _Done, *, as_json: bool) -> ExitCode:
    if as_json:
        click.echo(json.dumps(_as_dict(done), indent=2))
    else:
        for line in _ending(done):
            show_line(line)
        for what, number in sorted(done.lost.items()):
            show_warning(f"{number:,} copies without what cannot be kept here: {what}")
    if any(problem.is_damage for problem in [*done.problems, *(done.differences or [])]):
        return ExitCode.DAMAGED
    if done.differences:
        return ExitCode.PROBLEMS
    return ExitCode.INCOMPLETE if done.problems else ExitCode.DONE


def _ending(done: _Done) -> Iterator[str]:
    counts = done.counts
    yield (
        f"copied {counts['files']:,} files, {decimal(counts['content'])}, in {done.seconds:.1f} s; "
        f"{counts['directories']:,} directories, {counts['symlinks']:,} symbolic links, "
        f"{counts['links']:,} hard links, {counts['others']:,} others; "
        f"{counts['unchanged']:,} were there already"
    )
    if done.problems:
        yield f"not copied: {len(done.problems):,}; the same command again copies what is missing"
    if done.differences is not None:
        found = f"{len(done.differences):,} differences" if done.differences else "all is the same"
        yield f"compared: {found}"


def _as_dict(done: _Done) -> dict[str, object]:
    return {
        "copied": done.counts,
        "seconds": round(done.seconds, 3),
        "problems": [_problem(problem) for problem in done.problems],
        "cannot_keep": done.lost,
        "differences": None if done.differences is None else [_problem(each) for each in done.differences],
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {"path": os.fsdecode(problem.path), "what": problem.what, "is_damage": problem.is_damage}


def _require_apart(plain: str, ciphertext: str, hint: str) -> None:
    if os.path.isdir(ciphertext) and lies_within(plain, ciphertext):  # noqa: PTH112 - any bytes
        raise click.BadParameter("lies in the ciphertext directory", param_hint=hint)


def _default_jobs() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_JOBS)


@contextmanager
def _directory(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
