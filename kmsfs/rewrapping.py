"""Owns wrapping the data keys of files anew, in their headers, so that no file needs an older key.

What a header has to have is what a new file in its directory would get now. No data is written, and a header
is written in one piece: cut short, each file is done or is not, and done again only the rest is. Works on a
volume in use: an open file goes on under its new header.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from kmsfs import backing, header, kms
from kmsfs.core import Core
from kmsfs.errors import CorruptFileError, KeyUnavailableError, KmsfsError
from kmsfs.header import ClearHeader
from kmsfs.inodes import Node
from kmsfs.jobs import Call, called, patiently
from kmsfs.keycounts import Stands
from kmsfs.kms import Kms, Under
from kmsfs.visiting import Place, Refusal, Steps, files, refusal
from kmsfs.volume import CUSTOMER, DIRECT, BucketKeyEntry, VolumeDescription
from kmsfs.wrapping import BLOB_SIZE_MAX, Mode, SealingKey, policy_reference, referenced_policy

# A visit that may have missed what was moved meanwhile is made again, with little left to do.
_VISITS_MAX: Final = 3
_NOT_CACHED: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP})
_GONE: Final = frozenset({errno.ENOENT, errno.ESTALE})


@dataclass(slots=True)
class Tally:
    """What has been done so far; counted up in place, to be looked at at any time.

    Attributes:
        total: files there were to go through at first.
        seen: how many of them are behind.
        rewrapped: headers that were written.
        current: files that needed nothing.
        refused: files that were left as they are, and directories that could not be looked into.
        dropped_keys: bucket keys that no file needs any more, and that the description has no longer.
        is_complete: whether every file of the volume is known to have been seen.
    """

    total: int = 0
    seen: int = 0
    rewrapped: int = 0
    current: int = 0
    refused: int = 0
    dropped_keys: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A data key as the KMS has wrapped it, for the one file that it is of."""

    id: bytes
    blob: bytes = field(repr=False)
    mode: Mode = Mode.DIRECT

    @property
    def wrapped_size(self) -> int:
        return len(self.blob)

    def draw(self) -> tuple[bytes, bytes]:
        raise AssertionError("it is the key of a file that there is")

    def wrap(self, data_key: bytes, head: bytes) -> bytes:  # noqa: ARG002 - as a SealingKey has it
        return self.blob


def rewrap_files(core: Core, tally: Tally) -> Steps:
    """Go through all files of a volume, then drop the bucket keys that none needs any more.

    Args:
        core: of the volume, open for writing.
        tally: counted up.

    Yields:
        What to do, files that were left as they are with the reason, and None now and then.

    Raises:
        OSError: the store fails as a whole.
    """
    for found in files(core, core.inodes.root):
        tally.total += isinstance(found, Place)
        yield None
    work = _Rewrapping(core, tally)
    for _ in range(_VISITS_MAX):
        moves = core.inodes.moves
        yield from work.visit()
        if core.inodes.moves == moves:
            tally.is_complete = not work.is_blind
            break
    # What is dropped has to be dispensable on disk first.
    yield from called(partial(backing.sync_filesystem, core.volume.root_fd))
    if tally.is_complete:
        before = len(core.volume.description.bucket_keys)
        drop = partial(_without_unused, used=frozenset(work.used))
        after = yield from called(partial(core.volume.live.change, drop))
        tally.dropped_keys = max(before - len(after.bucket_keys), 0)


class _Rewrapping:
    """One run.

    Attributes:
        used: what some file stands under, after its turn.
        is_blind: whether there is a file of which that cannot be told.
    """

    def __init__(self, core: Core, tally: Tally) -> None:
        self.used: set[Stands] = set()
        self.is_blind = False
        self._core = core
        self._tally = tally
        self._refused: set[bytes] = set()
        self._is_again = False

    def visit(self) -> Steps:
        """Go through all files once."""
        for seen in files(self._core, self._core.inodes.root):
            if isinstance(seen, Place):
                yield from self._file(seen)
                self._tally.seen += not self._is_again
                yield None
                continue
            if isinstance(seen, Refusal):
                yield from self._refuse(seen)
            # What is being made aside may be under any key until it is there.
            self.is_blind |= seen is not None
            yield None
        self._is_again = True

    def _refuse(self, told: Refusal) -> Iterator[Refusal]:
        if told.stored not in self._refused:
            self._refused.add(told.stored)
            self._tally.refused += 1
            yield told

    def _file(self, place: Place) -> Steps:
        core = self._core
        node = core.inodes.remember(place.status.st_ino, place.parent, place.stored, is_directory=False)
        stands: Stands | None = None
        try:
            clear = yield from self._clear(node, place)
            stands = Stands(clear.mode, clear.reference)
            key = yield from self._key(place, clear)
            if key is None:
                self._tally.current += not self._is_again
            else:
                yield from self._rewrap(node, clear, key)
                stands = Stands(key.mode, key.id)
                self._tally.rewrapped += 1
        except (KmsfsError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _GONE:
                return
            self.is_blind |= stands is None
            yield from self._refuse(refusal(core, place.parent, place.stored, error))
        finally:
            if stands is not None:
                self.used.add(stands)
            core.inodes.forget(node.nodeid, 1)

    def _clear(self, node: Node, place: Place) -> Generator[Call, None, ClearHeader]:
        """Return the clear part of a file's header: of an open one as it is in memory."""
        file = self._core.files.get(node.inode)
        if file is not None:
            return _parsed(file.chunks.clear)
        fd = _opened(self._core.directories.dirfd(place.parent), place.stored)
        try:
            return header.parse((yield from _beginning(fd)))
        finally:
            os.close(fd)

    def _key(self, place: Place, clear: ClearHeader) -> Generator[Call, None, SealingKey | None]:
        """Return what the file's data key is to be wrapped with; None where it is."""
        volume, stands = self._core.volume, (clear.mode, clear.reference)
        policy = volume.description.policies[self._core.directories.policy(place.parent)]
        if policy.mode == DIRECT:
            return (yield from self._direct_key(clear, policy.index))
        if policy.mode == CUSTOMER and stands == (Mode.CUSTOMER, policy_reference(policy.index)):
            # Whether or not somebody has brought that key along.
            return None
        key = yield from patiently(partial(volume.keyring.new_key, policy.index))
        return None if (key.mode, key.id) == stands else key

    def _direct_key(self, clear: ClearHeader, policy: int) -> Generator[Call, None, SealingKey | None]:
        """Have the KMS wrap a data key anew; None where that is under current material."""
        volume = self._core.volume.description
        key_arn = volume.policies[policy].key_arn
        service = self._service()
        wanted = Under(key_arn, kms.file_context(volume.volume_id, policy, clear.file_id))
        if clear.mode is not Mode.DIRECT:
            old = self._core.volume.keyring.get(clear.reference, clear.mode)
            data_key = yield from patiently(partial(header.unwrap, clear, volume.volume_id, old))
            blob = yield from called(partial(kms.encrypt, service, key_arn, data_key, wanted.context))
            return _wrapped(policy, blob)
        before = referenced_policy(clear.reference)
        context = kms.file_context(volume.volume_id, before, clear.file_id)
        source = Under(volume.policies[before].key_arn, context)
        result = yield from called(partial(kms.re_encrypt, service, clear.wrapped_key, source, wanted))
        is_current = (
            result.key_material_id is not None and result.key_material_id == result.source_material_id
        )
        return None if is_current and before == policy else _wrapped(policy, result.blob)

    def _service(self) -> Kms:
        service = self._core.volume.agent
        if service is None:
            raise KeyUnavailableError("no key management service can be asked")
        return service

    def _rewrap(self, node: Node, clear: ClearHeader, key: SealingKey) -> Iterator[Call]:
        """Write the header of a file anew, after all that opening it checks."""
        core = self._core
        volume = core.volume
        volume_id = volume.description.volume_id
        old = volume.keyring.get(clear.reference, clear.mode)
        keys = yield from patiently(partial(header.rewrap, clear, volume_id, old, key))
        # Once before it takes the place of what is known to be good.
        opening = volume.keyring.get(key.id, key.mode)
        again = yield from patiently(partial(header.unlock, _parsed(keys.clear), volume_id, opening))
        if again != keys:
            raise KeyUnavailableError("what was wrapped anew opens as another key")
        file = yield from patiently(partial(core.attributes.open_file, node, writable=True))
        try:
            chunks = file.chunks
            if chunks.clear != clear.clear:
                raise CorruptFileError(chunks.inode, None, "changed meanwhile; do it again")
            if chunks.has_header and os.fstat(chunks.fd).st_size != chunks.backing_size:
                raise CorruptFileError(chunks.inode, None, "is not as long as its sealed size says")
            file.rewrap(keys)
        finally:
            core.files.release(chunks.inode)


def _wrapped(policy: int, blob: bytes) -> _Wrapped:
    if len(blob) > BLOB_SIZE_MAX:
        raise KeyUnavailableError(
            f"the service's ciphertext of a data key has {len(blob)} bytes, and a header has room for "
            f"{BLOB_SIZE_MAX}"
        )
    return _Wrapped(policy_reference(policy), blob)


def _opened(dirfd: int, stored: bytes) -> int:
    """Open a file for reading; its owner may, whatever its mode."""
    try:
        return backing.open_regular(dirfd, stored, writable=False)
    except PermissionError:
        path_fd = backing.open_path(dirfd, stored)
    try:
        with backing.widened(path_fd, stat.S_IRUSR):
            return backing.reopen_regular(path_fd, writable=False)
    finally:
        os.close(path_fd)


def _beginning(fd: int) -> Generator[Call, None, bytes]:
    """Read a header, without having others wait for the store."""
    raw = bytearray(header.HEADER_UNIT)
    try:
        if backing.pread_cached(fd, memoryview(raw), 0) == len(raw):
            return bytes(raw)
    except OSError as error:
        if error.errno not in _NOT_CACHED:
            raise
    return (yield from called(partial(os.pread, fd, len(raw), 0)))


def _parsed(clear: bytes) -> ClearHeader:
    return header.parse(clear.ljust(header.HEADER_UNIT, b"\0"))


def _without_unused(description: VolumeDescription, used: frozenset[Stands]) -> VolumeDescription:
    """Leave out the bucket keys that no file needs, but for the newest one of each policy."""
    newest = {entry.policy: entry.id for entry in description.bucket_keys}

    def is_needed(entry: BucketKeyEntry) -> bool:
        return newest[entry.policy] == entry.id or Stands(Mode.BUCKET, entry.id) in used

    kept = tuple(entry for entry in description.bucket_keys if is_needed(entry))
    return description if kept == description.bucket_keys else replace(description, bucket_keys=kept)
