"""Owns counting which key each file of a volume stands under, so that a key can be retired that none needs.

Reads the clear part of headers where they lie: it asks no agent, takes no lock, changes nothing, and believes
what it reads. What authenticates is for `rewrapping` and `verifying` to say.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kmsfs import backing, header, names, volumedir
from kmsfs.errors import CorruptHeaderError, VolumeError
from kmsfs.volume import VolumeDescription
from kmsfs.walking import Found, walk
from kmsfs.wrapping import Mode, policy_reference


class Stands(NamedTuple):
    """What a header says of where its data key comes from.

    Attributes:
        mode: of the file.
        reference: bucket key id, or 14 zero bytes and the index of a policy.
    """

    mode: Mode
    reference: bytes


@dataclass(slots=True)
class Counts:
    """What has been counted so far; counted up in place, to be looked at at any time.

    Attributes:
        files: how many there are under each key, hard links once.
        unwritten: files that a running mount has made and not given a header yet; they get its newest key.
        unreadable: files that this process may not read, or whose header is damaged.
        left_out: inode numbers of directories that this process may not look into.
    """

    files: Counter[Stands] = field(default_factory=Counter)
    unwritten: int = 0
    unreadable: int = 0
    left_out: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Begin again."""
        self.files.clear()
        self.left_out.clear()
        self.unwritten = self.unreadable = 0

    @property
    def is_complete(self) -> bool:
        """Whether every file was counted under some key."""
        return not (self.unreadable or self.left_out)


class Row(NamedTuple):
    """Files that stand under one key.

    Attributes:
        policy: its index; None for a bucket key that the description does not hold.
        mode: "bucket", "direct" or "customer".
        key_arn: of the KMS key; None where there is none, or it cannot be told.
        key_material_id: of that key, under which the bucket key is kept; None where it cannot be told.
        bucket_key_id: in hexadecimal; None in other modes.
        files: how many.
    """

    policy: int | None
    mode: str
    key_arn: str | None
    key_material_id: str | None
    bucket_key_id: str | None
    files: int


def count(root_fd: int, counts: Counts) -> Iterator[None]:
    """Count the files of a volume; yields now and then, so that the caller can say how far it is.

    Raises:
        VolumeError: directories are moved about meanwhile.
        OSError: what the store says.
    """
    linked: set[int] = set()
    for found in walk(root_fd, counts.left_out):
        if not stat.S_ISREG(found.status.st_mode) or names.is_reserved(found.name):
            continue
        if found.status.st_nlink > 1:
            if found.status.st_ino in linked:
                continue
            linked.add(found.status.st_ino)
        _count(found, counts)
        yield


def counted(path: str, counts: Counts) -> Iterator[None]:
    """Count the files of the volume in a ciphertext directory, again where they were moved meanwhile.

    Args:
        path: of the ciphertext directory.
        counts: empty; counted up.

    Raises:
        VolumeError: directories are moved all the time.
        OSError: the directory cannot be read.
    """
    with volumedir.root_directory(path) as root_fd:
        for is_last in (False, False, True):
            try:
                yield from count(root_fd, counts)
            except (VolumeError, FileNotFoundError):
                if is_last:
                    raise
                counts.clear()
            else:
                return


def rows(counts: Counts, description: VolumeDescription) -> list[Row]:
    """Return what was counted, with a row for every key that the description holds, needed or not."""
    left = Counter(counts.files)
    table: list[Row] = []
    for policy in description.policies:
        for entry in description.bucket_keys:
            if entry.policy == policy.index:
                number = left.pop(Stands(Mode.BUCKET, entry.id), 0)
                key = (policy.key_arn, entry.key_material_id, entry.id.hex())
                table.append(Row(policy.index, "bucket", *key, number))
        for mode in (Mode.DIRECT, Mode.CUSTOMER):
            number = left.pop(Stands(mode, policy_reference(policy.index)), 0)
            if number or policy.mode == mode.name.lower():
                row = Row(policy.index, mode.name.lower(), policy.key_arn or None, None, None, number)
                table.append(row)
    for stands, number in sorted(left.items()):
        identity = stands.reference.hex() if stands.mode is Mode.BUCKET else None
        table.append(Row(None, stands.mode.name.lower(), None, None, identity, number))
    return table


def standing_of(raw: bytes) -> Stands:
    """Return what a header says of its key; nothing of it is authenticated.

    Raises:
        CorruptHeaderError: not a header.
    """
    clear = header.parse(raw)
    return Stands(clear.mode, clear.reference)


def _count(found: Found, counts: Counts) -> None:
    try:
        fd = backing.open_regular(found.dirfd, found.name, writable=False)
    except FileNotFoundError:
        return
    except OSError:
        counts.unreadable += 1
        return
    try:
        raw = os.pread(fd, header.HEADER_PEEK_SIZE, 0)
        if raw:
            counts.files[standing_of(raw)] += 1
        else:
            counts.unwritten += 1
    except (CorruptHeaderError, OSError):
        counts.unreadable += 1
    finally:
        os.close(fd)
