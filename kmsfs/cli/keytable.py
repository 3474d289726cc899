"""Owns how the counts of files under each key look. Knows nothing of how they are counted."""

from collections.abc import Iterator

from kmsfs import keycounts
from kmsfs.cli.progressing import progressing
from kmsfs.keycounts import Counts, Row
from kmsfs.status import IN_USE, Status


def counted(found: Status) -> Counts:
    """Count the files of a volume, showing how far that is.

    Raises:
        VolumeError, OSError: its ciphertext directory cannot be gone through.
    """
    counts = Counts()
    with progressing(lambda: f"counted {sum(counts.files.values())} files"):
        for _ in keycounts.counted(found.ciphertext, counts):
            pass
    return counts


def as_member(found: Status, counts: Counts | None) -> dict[str, object]:
    """Return what is added to a status as JSON."""
    if counts is None or found.volume is None:
        return {}
    return {
        "files": {
            "under": [row._asdict() for row in keycounts.rows(counts, found.volume.description)],
            "unwritten": counts.unwritten,
            "unreadable": counts.unreadable,
            "directories_left_out": len(counts.left_out),
            "is_certain": _is_certain(found, counts),
        }
    }


def as_pairs(found: Status, counts: Counts) -> Iterator[tuple[str, object]]:
    """Yield what is shown below a status."""
    if found.volume is None:
        return
    for row in keycounts.rows(counts, found.volume.description):
        yield str(row.files), _described(row)
    others = {
        counts.unwritten: "are being made, and get the newest key",
        counts.unreadable: "cannot be read, or have a damaged header: kmsfs verify says which",
    }
    yield from ((str(number), text) for number, text in others.items() if number)
    if counts.left_out:
        yield "left out", f"{len(counts.left_out)} directories that may not be looked into"
    if not _is_certain(found, counts):
        yield "certain", "no: files may be under other keys, or have been moved while they were counted"


def _is_certain(found: Status, counts: Counts) -> bool:
    """Say whether no file can have been missed: all were read, and none was moved meanwhile."""
    is_written = found.volume is not None and found.volume.condition == IN_USE
    return counts.is_complete and not is_written


def _described(row: Row) -> str:
    if row.policy is None:
        return f"{row.mode}, of a key that the volume does not have: {row.bucket_key_id}"
    text = f"policy {row.policy}, {row.mode}"
    if row.key_arn is not None:
        text += f", {row.key_arn}"
    if row.bucket_key_id is not None:
        text += f", key material {row.key_material_id or 'unknown'}, bucket key {row.bucket_key_id}"
    return text
