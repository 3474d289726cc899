"""Single calls of a program, as Hypothesis draws them: what cannot be done at the moment is left out."""

from __future__ import annotations

from hypothesis import strategies as st

from program import Place, Program
from workloads import CHUNK, LONG, text

Step = tuple[str, Place, Place, int, int]

_NAMES = (b"a", b"b", LONG)
_PLACES: list[Place] = [(name,) for name in _NAMES] + [(b"d", name) for name in _NAMES]
_SIZES = (0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 7, 3 * CHUNK, 5 * CHUNK + 50)
_CALLS = (
    *("write",) * 6,
    *("append",) * 4,
    *("truncate",) * 3,
    *("fsync",) * 3,
    *("fdatasync", "fsync_directory", "mkdir", "rmdir", "unlink", "link", "symlink", "attribute"),
    *("rename",) * 3,
)

STEPS: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(_CALLS),
    st.sampled_from(_PLACES),
    st.sampled_from(_PLACES),
    st.sampled_from(_SIZES),
    st.sampled_from(_SIZES[1:]),
)


def take(program: Program, step: Step) -> None:
    """Make one call on the places that it is about, creating what it writes to."""
    call, place, other, _, length = step
    names = program.current()
    if (b"d",) not in names:
        program.mkdir(b"d")
    if isinstance(names.get(place), int) or (call in {"write", "append"} and place not in names):
        _change_file(program, step)
    match call:
        case "fsync_directory":
            program.fsync_directory(*place[:-1])
        case "mkdir" if place not in names:
            program.mkdir(*place)
        case "symlink" if place not in names:
            program.symlink(place, text(length, 9))
        case "rmdir" if names.get(place) == b"":
            program.rmdir(*place)
        case "unlink" if names.get(place, b"") != b"":
            program.unlink(*place)
        case "rename" if may_rename(program, place, other):
            program.rename(place, other)
        case _:
            pass


def _change_file(program: Program, step: Step) -> None:
    call, place, other, offset, length = step
    names = program.current()
    if place not in names:
        program.create(*place)
    match call:
        case "write":
            program.write(place, offset, text(len(program.journal), length))
        case "append":
            program.append(place, text(len(program.journal), length))
        case "truncate":
            program.truncate(place, offset)
        case "fsync" | "fdatasync":
            program.fsync(place, data_only=call == "fdatasync")
        case "link" if other not in names:
            program.link(place, other)
        case "attribute":
            program.set_attribute(place, text(length, 9))
        case _:
            pass


def may_rename(program: Program, place: Place, other: Place) -> bool:
    """Say whether a rename can be done, and does something."""
    names = program.current()
    if place not in names or place == other or (names.get(other) == names[place] != b""):
        return False
    is_directory, over_directory = names[place] == b"", names.get(other) == b""
    return other not in names or is_directory == over_directory
