"""Runs cases on two filesystems and says where they differ: in results, and in what is left of the things.

The times of everything are long ago when a case begins, and the clock has ticked since it was set up. So
"now" and "kept" are told apart without looking at the clock again.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cases import Actor, Case, Thing
from expected import Expected

LONG_AGO_NS = 1_000_000_000_123_456_789
PATIENCE_SECONDS = 120
MAX_SHOWN = 60
MAX_NAME = 40
MAX_READ = 1 << 20

View = dict[str, object]
"""What differs or not, by the name of the aspect."""


def differences(native: Path, mounted: Path, cases: Sequence[Case]) -> list[tuple[Case, View, View]]:
    """Run all cases on both; return those that differ, with what differs as it is on each."""
    seen = [outcomes(directory, cases) for directory in (native, mounted)]
    found = []
    for one, expected, got in zip(cases, *seen, strict=True):
        names = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
        if names:
            found.append((one, _only(expected, names), _only(got, names)))
    return found


def check(native: Path, mounted: Path, cases: Sequence[Case], expected: Sequence[Expected] = ()) -> None:
    """Run all cases on both; they must differ where that is expected, and nowhere else.

    Raises:
        AssertionError: with the cases and both results.
    """
    found = differences(native, mounted, cases)
    wrong = [
        f"{one}\n    tmpfs:  {want}\n    kmsfs:  {got}"
        for one, want, got in found
        if not all(any(_is_of(entry, one, name) for entry in expected) for name in want)
    ]
    differing = {str(one) for one, _, _ in found}
    listed = {str(one) for one in cases if any(fnmatchcase(str(one), entry.case) for entry in expected)}
    gone = [f"listed as different, and is not: {name}" for name in sorted(listed - differing)]
    report = wrong + gone
    if report:
        message = f"{len(report)} of {len(cases)} cases:\n" + "\n".join(report[:MAX_SHOWN])
        raise AssertionError(message)


def outcomes(directory: Path, cases: Sequence[Case]) -> list[View]:
    """Set up all cases in directories of their own, run them, and return what each gave and left."""
    places = [directory / str(number) for number in range(len(cases))]
    for place, one in zip(places, cases, strict=True):
        _set_up(place, one.things)
    before = [_changed(place, one.things) for place, one in zip(places, cases, strict=True)]
    _let_the_clock_tick()
    began_ns = time.time_ns() - 1_000_000_000
    results: dict[int, list[object]] = {}
    for actor in dict.fromkeys(one.actor for one in cases):
        chosen = [(number, one.steps) for number, one in enumerate(cases) if one.actor == actor]
        answers = _act(actor, directory, chosen)
        results.update((number, answer) for (number, _), answer in zip(chosen, answers, strict=True))
    views = []
    for number, place in enumerate(places):
        answers = {
            f"{index}. {' '.join(map(str, step))[:60]}": answer
            for index, (step, answer) in enumerate(zip(cases[number].steps, results[number], strict=True), 1)
        }
        views.append(answers | _left(place, before[number], began_ns))
    return views


def _act(actor: Actor, directory: Path, chosen: Sequence[tuple[int, Sequence[object]]]) -> list[list[object]]:
    request = {
        "uid": actor.uid,
        "gid": actor.gid,
        "groups": actor.groups,
        "directory": str(directory),
        "cases": chosen,
    }
    result = subprocess.run(
        [sys.executable, "-P", Path(__file__).with_name("actor.py")],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answers: list[list[object]] = json.loads(result.stdout)
    return answers


def _set_up(place: Path, things: Sequence[Thing]) -> None:
    place.mkdir()
    place.chmod(0o777)
    for one in things:
        path = place / one.path
        _make(path, one)
        if one.kind == "link":
            continue
        os.lchown(path, one.uid, one.gid)
        if one.kind != "symlink":
            os.chmod(path, one.mode)
    for path in [place, *(place / one.path for one in things)]:
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS), follow_symlinks=False)


def _make(path: Path, one: Thing) -> None:
    match one.kind:
        case "file":
            path.write_bytes(one.content.encode())
        case "dir":
            path.mkdir(exist_ok=True)
        case "symlink":
            path.symlink_to(one.content)
        case "link":
            os.link(path.parent / one.content, path, follow_symlinks=False)
        case _:
            types = {
                "fifo": stat.S_IFIFO,
                "socket": stat.S_IFSOCK,
                "char": stat.S_IFCHR,
                "block": stat.S_IFBLK,
            }
            rdev = os.makedev(*one.rdev) if one.kind in {"char", "block"} else 0
            os.mknod(path, types[one.kind] | 0o600, rdev)


def _changed(place: Path, things: Sequence[Thing]) -> dict[int, int]:
    """Return the change time of each inode."""
    statuses = [os.lstat(path) for path in (place, *(place / one.path for one in things))]
    return {status.st_ino: status.st_ctime_ns for status in statuses}


def _left(place: Path, ctimes: Mapping[int, int], began_ns: int) -> View:
    """Describe everything below a case's directory."""
    view: View = {}
    first: dict[int, str] = {}
    for name in (".", *_below(place, "")):
        path = place / name
        shown = name if len(name) < MAX_NAME else f"{name[:20]}…({len(name)})"
        status = os.lstat(path)
        view[f"{shown} mode"] = f"{status.st_mode:o}"
        view[f"{shown} owner"] = f"{status.st_uid}:{status.st_gid}"
        view[f"{shown} links"] = status.st_nlink
        view[f"{shown} device"] = status.st_rdev
        view[f"{shown} is"] = first.setdefault(status.st_ino, shown)
        atime = _moment(status.st_atime_ns, began_ns)
        # Following a symlink may note the time; the store does, if it likes, and cannot be told otherwise.
        view[f"{shown} atime"] = "kept" if stat.S_ISLNK(status.st_mode) and atime == "now" else atime
        view[f"{shown} mtime"] = _moment(status.st_mtime_ns, began_ns)
        view[f"{shown} ctime"] = "kept" if ctimes.get(status.st_ino) == status.st_ctime_ns else "now"
        if stat.S_ISREG(status.st_mode):
            view[f"{shown} size"] = status.st_size
            view[f"{shown} content"] = path.read_bytes()[:100].hex() if status.st_size < MAX_READ else ""
        elif stat.S_ISLNK(status.st_mode):
            view[f"{shown} target"] = os.readlink(path)
    return view


def _below(place: Path, within: str) -> list[str]:
    found = []
    with os.scandir(place / within) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            found.append(f"{within}{entry.name}")
            if entry.is_dir(follow_symlinks=False):
                found += _below(place, f"{within}{entry.name}/")
    return found


def _moment(time_ns: int, began_ns: int) -> str:
    if time_ns == LONG_AGO_NS:
        return "kept"
    return "now" if began_ns <= time_ns <= began_ns + PATIENCE_SECONDS * 10**9 else str(time_ns)


def _let_the_clock_tick() -> None:
    """Wait until a file changed from now on gets another time than one changed before."""
    clock = 5  # CLOCK_REALTIME_COARSE, which the kernel stamps inodes from
    was = time.clock_gettime_ns(clock)
    while time.clock_gettime_ns(clock) == was:
        pass


def _only(view: View, names: Sequence[str]) -> View:
    return {name: view.get(name, "not there") for name in names}


def _is_of(entry: Expected, one: Case, aspect: str) -> bool:
    return fnmatchcase(str(one), entry.case) and fnmatchcase(aspect, entry.aspects)
