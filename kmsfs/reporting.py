"""Owns what a mount knows of damage: each damaged thing once in the log, the last ones, those yet to be told.

Hears of an error from whoever turns it into an errno, and finds out where on the store the thing lies. What
it keeps is bounded, whatever happens to the store. Knows nothing of FUSE or of who reads what it keeps.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from kmsfs.counters import Counters
from kmsfs.errors import (
    CorruptAttributeError,
    CorruptFileError,
    CorruptHeaderError,
    CorruptNameError,
    CorruptRecordError,
    CorruptTargetError,
    KeyUnavailableError,
    KmsfsError,
    MovedDirectoryError,
    NameTooLongError,
    ReservedNameError,
)
from kmsfs.inodes import Directory, Inodes, Node

_LOG: Final = logging.getLogger(__name__)

MAX_LISTED: Final = 10_000
"""So many damaged things are logged and told one by one; those beyond are only counted."""
MAX_UNTOLD: Final = 1000
MAX_RECENT: Final = 16
_MAX_REASONS: Final = 1000
_MAX_PATH: Final = 1024
_MAX_DETAIL: Final = 256
_CUT: Final = "..."

_USERS_OWN: Final = (NameTooLongError, ReservedNameError)
_KINDS: Final[tuple[tuple[type[KmsfsError], str], ...]] = (
    (CorruptNameError, "name"),
    (CorruptTargetError, "target"),
    (CorruptAttributeError, "xattr"),
    (MovedDirectoryError, "moved"),
    (CorruptRecordError, "record"),
    (CorruptHeaderError, "header"),
)
_DAMAGE: Final[tuple[type[KmsfsError], ...]] = (CorruptFileError, *(classes for classes, _ in _KINDS))
_FILE_KINDS: Final = (
    ("header", "header"),
    ("truncated", "length"),
    ("extended", "length"),
    ("moved", "moved"),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that does not authenticate.

    Attributes:
        path: where it lies in the ciphertext directory, in printable ASCII.
        kind: what of it: name, record, target, xattr, header, length, content, moved, and those of `verify`.
        detail: what was seen, in printable ASCII.
        seen_at: when, in seconds since the epoch.
    """

    path: str
    kind: str
    detail: str
    seen_at: float


def failure(path: bytes, kind: str, detail: str, seen_at: float) -> Failure:
    """Return a failure as it can be shown and sent: of bounded length, with nothing in it but what prints."""
    shown = printable(path)
    if len(shown) > _MAX_PATH:
        # The end tells most: it is the thing itself.
        shown = _CUT + shown[len(_CUT) - _MAX_PATH :]
    return Failure(shown, kind, printable(detail.encode(errors="replace"))[:_MAX_DETAIL], seen_at)


def printable(text: bytes) -> str:
    r"""Return bytes as printable ASCII, the others (and the backslash) as `\xNN`; injective."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in text)  # noqa: PLR2004 - ASCII's


class Flag(Protocol):
    """What somebody waits for; `trio.Event` is one, which commands that never wait need not load."""

    def set(self) -> None:
        """Let whoever waits go on."""
        ...


class Reports:
    """The damage that one mount has met.

    Args:
        inodes: what the kernel knows, to find where something lies.
        counters: raised.
        now: the clock, seconds since the epoch.

    Attributes:
        recent: the last failures, oldest first.
        untold: those that the agent is still to be told of, oldest first.
        untold_dropped: how many there was no room for.
    """

    def __init__(self, inodes: Inodes, counters: Counters, now: Callable[[], float] = time.time) -> None:
        self.recent: deque[Failure] = deque(maxlen=MAX_RECENT)
        self.untold: deque[Failure] = deque()
        self.untold_dropped = 0
        self._inodes = inodes
        self._counters = counters
        self._now = now
        self._listed: set[tuple[int, bytes]] = set()
        self._reasons: set[str] = set()
        self._flag: Flag | None = None

    def report(self, error: KmsfsError, nodeid: int | None = None) -> None:
        """Count an error that a request ended with; the first time that it is about a thing, list it.

        Args:
            error: any; users' own mistakes are passed over.
            nodeid: the kernel's number for what the request was about, used where the error does not say.
        """
        if isinstance(error, _USERS_OWN):
            return
        if isinstance(error, KeyUnavailableError):
            self._counters.key_errors += 1
            self._log_once(f"a key cannot be had: {error}")
            return
        if not isinstance(error, _DAMAGE):
            self._log_once(str(error))
            return
        inode = error.inode
        node = self._node(inode, nodeid)
        if node is None:
            self._list(inode or 0, b"", error)
        else:
            self._list(node.inode, stored_path(node), error)

    def report_entry(self, directory: Directory, stored: bytes, error: KmsfsError) -> None:
        """Do as `report` for an entry of a directory that has no node of its own."""
        above = stored_path(directory)
        self._list(0, stored if above == b"." else above + b"/" + stored, error)

    def tell(self, found: Failure) -> None:
        """Keep a failure for the agent, if there is room for it."""
        if len(self.untold) < MAX_UNTOLD:
            self.untold.append(found)
            if self._flag is not None:
                self._flag.set()
        else:
            self.untold_dropped += 1

    def raise_when_untold(self, flag: Flag) -> None:
        """Have the last flag given set once there is something that the agent is still to be told of."""
        self._flag = flag
        if self.untold:
            flag.set()

    def summary(self) -> dict[str, object]:
        """Return what `kmsfs status` shows of it."""
        return {
            "recent": [asdict(each) for each in self.recent],
            "untold": len(self.untold),
            "dropped": self.untold_dropped,
        }

    def _log_once(self, reason: str) -> None:
        if reason not in self._reasons and len(self._reasons) < _MAX_REASONS:
            self._reasons.add(reason)
            _LOG.error("%s", reason)

    def _list(self, inode: int, path: bytes, error: KmsfsError) -> None:
        self._counters.integrity_errors += 1
        thing = (inode, path)
        if thing in self._listed or len(self._listed) >= MAX_LISTED:
            return
        self._listed.add(thing)
        self._counters.damaged_entries += 1
        found = failure(path or b"inode %d" % inode, _kind(error), _detail(error), self._now())
        _LOG.error("damaged: %s: %s: %s", found.path, found.kind, found.detail)
        if len(self._listed) == MAX_LISTED:
            _LOG.error("more is damaged than is listed here one by one: kmsfs verify finds all of it")
        self.recent.append(found)
        self.tell(found)

    def _node(self, inode: int | None, nodeid: int | None) -> Node | None:
        if inode is not None:
            return self._inodes.known(inode)
        try:
            return None if nodeid is None else self._inodes[nodeid]
        except OSError:
            return None


def stored_path(node: Node) -> bytes:
    """Return where a node lies in the ciphertext directory; empty if it has no name any more."""
    if node.fd >= 0:
        return b""
    names: list[bytes] = []
    step: Node | None = node
    while step is not None and step.parent is not None:
        names.append(step.stored)
        step = step.parent
    return b"/".join(reversed(names)) or b"."


def _kind(error: KmsfsError) -> str:
    if isinstance(error, CorruptFileError):
        return next((kind for word, kind in _FILE_KINDS if error.reason.startswith(word)), "content")
    return next(kind for classes, kind in _KINDS if isinstance(error, classes))


def _detail(error: KmsfsError) -> str:
    if not isinstance(error, CorruptFileError):
        return str(error)
    return error.reason if error.chunk_index is None else f"chunk {error.chunk_index}: {error.reason}"
