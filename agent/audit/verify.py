"""Owns the check that an audit log is what the agent wrote. Shares no code with what writes it.

Offline: it needs the log, its digests and the public key, no agent and no secret. With the key from
elsewhere, nobody who can write to the log can deceive it about what a digest covers.

Found: records edited, dropped, inserted, repeated, reordered or cut off; a log rewritten up to a digest or
past it; files missing, exchanged or cut; digests edited, missing, exchanged or renamed.

Not found: records after the newest digest that were rewritten with fitting hashes, or cut off back to what
`audit.head` names, by someone who can write to these files; and the newest digests removed together with all
that they cover and with what `audit.head` says. A digest kept elsewhere (`known`) uncovers the last.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.audit.checking import digests as digest_files
from agent.audit.checking.digests import SealedFile, SignedDigest
from agent.audit.checking.files import Head, Snapshot, load_key, number_in, read_head, take_snapshot
from agent.audit.checking.report import Problem, Report, trusted_ranges
from agent.audit.checking.walk import Walk

_FIRST_PREVIOUS: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked of a log beside that it be whole.

    Attributes:
        public_key: in PEM, from elsewhere; without it the one beside the digests is taken.
        known: the content of a digest that was kept elsewhere, and must be among those here.
        complete: whether nothing may have been moved away.
    """

    public_key: bytes | None = None
    known: bytes | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check has got, in bytes."""

    done: int
    total: int


NO_DEMANDS: Final = Demands()


def verify(path: Path, demands: Demands = NO_DEMANDS) -> Report:
    """Check a log; the agent may be writing to it.

    Args:
        path: the file that is written now, or was last; the others are looked for beside it.
        demands: what is asked of it beside that it be whole.

    Raises:
        AuditVerificationError: there is no log or no public key, so nothing can be said.
        OSError: a file cannot be read.
    """
    steps = checked(path, demands)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: Report = end.value
            return report


def checked(path: Path, demands: Demands) -> Generator[Progress, None, Report]:
    """Check a log step by step, as `verify` does; the generator's value is the report.

    Raises:
        AuditVerificationError: there is no log or no public key, so nothing can be said.
        OSError: a file cannot be read.
    """
    # The head first: it may only be behind what is read after it.
    head, problems = read_head(path.with_suffix(".head"))
    with closing(take_snapshot(path)) as snapshot:
        key, key_problems = load_key(path.parent / "digests" / "public-key.pem", demands.public_key)
        digests, digest_problems = digest_files.read_all(snapshot.digests, key)
        problems += [*key_problems, *digest_problems, *_missing(snapshot, digests, head, demands)]
        signed = {place.sequence: place.hash for digest in digests for place in (digest.start, digest.end)}
        signed.setdefault(0, _FIRST_PREVIOUS)
        walk = Walk(signed, (head.record, head.hash))
        yield from _walk_files(path, snapshot, digests, walk, complete=demands.complete)
    reached = walk.last.sequence if walk.last else 0
    if reached < head.record and not walk.problems:
        reason = f"ends with record {reached}, but the head file vouches for {head.record}"
        walk.report(path.name, None, reason)
    return Report(
        records=walk.records,
        first_record=walk.runs[0].first if walk.runs else None,
        last_record=walk.runs[-1].last if walk.runs else None,
        first_time=walk.first_time,
        last_time=walk.last.event_time if walk.last else None,
        hash=walk.last.hash if walk.last else _FIRST_PREVIOUS,
        digests=len(digests),
        signed_until=digests[-1].end_time if digests else None,
        signed_record=max(signed),
        fingerprint=key.fingerprint,
        trusted=trusted_ranges(walk.runs, signed),
        problems=(*walk.problems, *problems),
    )


def _walk_files(
    path: Path, snapshot: Snapshot, digests: Sequence[SignedDigest], walk: Walk, *, complete: bool
) -> Generator[Progress, None, None]:
    """Go through all files in order, those that are missing included."""
    expected = {file.name: (file, digest) for digest in digests for file in digest.files}
    present = {file.name: file for file in snapshot.sealed}
    oldest = digests[0].number if digests else 0
    if all(number_in(name) >= oldest for name in present):
        start = digests[0].start if digests else digest_files.Place(0, _FIRST_PREVIOUS)
        walk.skip_to(start.sequence, start.hash)
    unrenamed = _unrenamed(snapshot, digests)
    total = sum(file.stat().st_size for file in snapshot.sealed)
    done, begun = 0, False
    for name in sorted(expected.keys() | present.keys(), key=number_in):
        sealed, digest = expected.get(name, (None, None))
        if name in present:
            begun = True
            if digest is None and not _has_digest(snapshot, name) and number_in(name) >= oldest:
                walk.report(name, None, "is named by no digest: its digest is missing")
            part = 0
            with present[name].open("rb") as file:
                for part in walk.file(name, file, sealed):
                    yield Progress(done + part, max(total, done + part))
            done += part
        elif sealed is not None and digest is not None and sealed is not unrenamed:
            if begun or complete:
                walk.report(name, None, f"is missing, with records {sealed.first} to {sealed.last}")
            walk.skip_to(digest.end.sequence, digest.end.hash)
    if snapshot.active is None:
        walk.report(path.name, None, "is missing")
        return
    for part in walk.file(path.name, snapshot.active, unrenamed):
        yield Progress(done + part, max(total, done + part))


def _unrenamed(snapshot: Snapshot, digests: Sequence[SignedDigest]) -> SealedFile | None:
    """Return the file that the newest digest seals if it still has the name of the active one.

    So it is for a moment, and longer if the agent was killed in that moment.
    """
    file = digests[-1].files[-1] if digests and digests[-1].files else None
    if file is None or snapshot.active is None or file.name in {path.name for path in snapshot.sealed}:
        return None
    begins = b'"chain":{"sequence":%d,"previous"' % file.first in snapshot.active.readline()
    snapshot.active.seek(0)
    return file if begins else None


def _has_digest(snapshot: Snapshot, name: str) -> bool:
    """Tell whether there is a digest, good or bad, of a sealed file's name."""
    return Path(name).stem in {Path(digest).stem for digest, _content in snapshot.digests}


def _missing(
    snapshot: Snapshot, digests: Sequence[SignedDigest], head: Head, demands: Demands
) -> list[Problem]:
    """Return what is missing at either end of the digests, and one kept elsewhere that is not here."""
    problems = []
    newest = number_in(snapshot.digests[-1][0]) if snapshot.digests else 0
    if newest < head.digests:
        reason = f"ends with digest {newest}, but the head file vouches for {head.digests}"
        problems.append(Problem("digests", None, reason))
    if demands.complete and digests and digests[0].number != 1:
        reason = f"begins with digest {digests[0].number}: those before are missing"
        problems.append(Problem("digests", None, reason))
    if demands.known is not None and demands.known not in [content for _name, content in snapshot.digests]:
        reason = "the digest that was kept elsewhere is not among them: the log was cut back or replaced"
        problems.append(Problem("digests", None, reason))
    return problems
