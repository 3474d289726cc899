"""Owns what the kernel knows: inode numbers it was given, how often, and where each stands on the store.

A node is found by its parent directory and stored name; only a node that lost its last known name is kept by
a descriptor. So a million looked-up files cost no descriptors, and the number of nodes is bounded by asking
the kernel to forget (`excess`). Knows nothing of encryption; makes no syscall but closing a descriptor.
"""

import errno
import os
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

ROOT_INODE: Final = 1
MAX_NODES: Final = 16_384


class Node:
    """One inode known to the kernel.

    Attributes:
        nodeid: the number that the kernel has for it: its inode number on the store when it was looked up.
        inode: its inode number now (a symlink gets another when it moves to another directory).
        parent, stored: where it stands: directory and name on the store.
        others: further places of an inode with several links, as they become known.
        lookups: how many references the kernel holds.
        fd: O_PATH descriptor of an inode that has no known name any more; -1 otherwise.
        former_fd: O_PATH descriptor that keeps `nodeid` from being given to another inode; -1 otherwise.
        chunk_shift: of a regular file, once that had to be found out; 0 before.
        was_opened: whether a program has opened it, so that the kernel may have content of its own for it.
        binding: the binding of the place where it stands; empty until somebody has asked for it.
    """

    __slots__ = (
        "binding",
        "chunk_shift",
        "fd",
        "former_fd",
        "inode",
        "lookups",
        "nodeid",
        "others",
        "parent",
        "stored",
        "was_opened",
    )

    def __init__(self, nodeid: int, parent: "Directory | None", stored: bytes) -> None:
        self.nodeid = nodeid
        self.inode = nodeid
        self.parent = parent
        self.stored = stored
        self.others: list[tuple[Directory, bytes]] = []
        self.lookups = 0
        self.fd = -1
        self.former_fd = -1
        self.chunk_shift = 0
        self.was_opened = False
        self.binding = b""

    def stands_at(self, parent: "Directory", stored: bytes) -> bool:
        """Say whether this is the place by which the node is found."""
        return self.parent is parent and self.stored == stored

    def place(self, parent: "Directory", stored: bytes) -> None:
        """Note a place that the store was just seen to have it at."""
        if self.stands_at(parent, stored):
            return
        if self.parent is not None:
            self.others = [(p, s) for p, s in self.others if (p, s) != (parent, stored)]
            self.others.append((self.parent, self.stored))
        self.parent, self.stored, self.binding = parent, stored, b""

    def move(self, parent: "Directory", stored: bytes, to_parent: "Directory", to_stored: bytes) -> None:
        """Note that one of its places has become another one."""
        self.leave(parent, stored)
        self.place(to_parent, to_stored)
        self.leave(parent, stored)

    def leave(self, parent: "Directory", stored: bytes) -> bool:
        """Forget a place that is gone; True if the node is still found by another one."""
        if not self.stands_at(parent, stored):
            self.others = [(p, s) for p, s in self.others if (p, s) != (parent, stored)]
            return True
        if not self.others:
            return False
        self.parent, self.stored = self.others.pop()
        self.binding = b""
        return True


class Directory(Node):
    """A directory known to the kernel.

    Attributes:
        dir_id: the id that names in it are sealed for; empty until its record has been read.
        policy: index of the policy of what is created in it; good once `dir_id` is.
        dirfd: descriptor of it while it is in use (O_PATH); -1 otherwise.
    """

    __slots__ = ("__weakref__", "dir_id", "dirfd", "policy")

    def __init__(self, nodeid: int, parent: "Directory | None", stored: bytes) -> None:
        super().__init__(nodeid, parent, stored)
        self.dir_id = b""
        self.policy = 0
        self.dirfd = -1

    def place(self, parent: "Directory", stored: bytes) -> None:
        """Note a place; whether the directory belongs there is to be looked at again."""
        if not self.stands_at(parent, stored):
            super().place(parent, stored)
            self.dir_id = b""


class Inodes:
    """The table of nodes.

    Args:
        root: the root directory; it is never forgotten.
        bound: how many nodes are kept without asking the kernel to forget some.
        keeps_all: keep what the kernel has forgotten as well, for as long as it has a name.

    Attributes:
        moves: how many times an inode has got another place; whoever gives it one counts it up. A visit of
            all files during which it stays the same has missed none.
    """

    def __init__(self, root: Directory, bound: int = MAX_NODES, *, keeps_all: bool = False) -> None:
        self.root = root
        self._keeps_all = keeps_all
        self.moves = 0
        self._bound = self._limit = bound
        self._nodes: dict[int, Node] = {root.nodeid: root}
        self._renumbered: dict[int, int] = {}
        # Directories that the kernel has forgotten, while they are still the place of other nodes.
        self._places: WeakValueDictionary[int, Directory] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, nodeid: int) -> Node:
        """Return a node.

        Raises:
            OSError: ESTALE, if the kernel was never given that number.
        """
        node = self._nodes.get(nodeid)
        if node is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return node

    def directory(self, nodeid: int) -> Directory:
        """Return a node that must be a directory.

        Raises:
            OSError: ENOTDIR or ESTALE.
        """
        node = self[nodeid]
        if not isinstance(node, Directory):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return node

    def known(self, inode: int) -> Node | None:
        """Return the node that stands for an inode number on the store, if the kernel has it."""
        return self._nodes.get(self._renumbered.get(inode, inode))

    def remember(self, inode: int, parent: Directory, stored: bytes, *, is_directory: bool) -> Node:
        """Count one more reference to the inode that the store has at a place, now seen there."""
        node = self.known(inode)
        if node is None:
            node = self._directory(inode, parent, stored) if is_directory else Node(inode, parent, stored)
            self._nodes[inode] = node
        elif node is not self.root:
            node.place(parent, stored)
        node.lookups += 1
        return node

    def renumber(self, node: Node, inode: int, former_fd: int) -> None:
        """Let the kernel's number for a node stand for another inode on the store.

        Args:
            node: the node.
            inode: what it is now.
            former_fd: O_PATH descriptor of what it was; taken over.
        """
        self._renumbered.pop(node.inode, None)
        node.inode = inode
        node.chunk_shift = 0
        self._renumbered[inode] = node.nodeid
        if node.former_fd < 0:
            node.former_fd = former_fd
        else:
            os.close(former_fd)

    def forget(self, nodeid: int, count: int) -> None:
        """Take back `count` references; the last one closes what the node holds."""
        node = self._nodes.get(nodeid)
        if node is None or node is self.root:
            return
        node.lookups -= count
        if node.lookups > 0 or (self._keeps_all and node.fd < 0):
            return
        del self._nodes[nodeid]
        if len(self._nodes) <= self._bound:
            self._limit = self._bound
        if node.former_fd >= 0:
            del self._renumbered[node.inode]
            os.close(node.former_fd)
        if node.fd >= 0:
            os.close(node.fd)
        if isinstance(node, Directory):
            if node.fd < 0:
                self._places[nodeid] = node
            if node.dirfd >= 0:
                os.close(node.dirfd)
                node.dirfd = -1

    def excess(self) -> list[Node]:
        """Return the oldest nodes that the kernel should forget, once there are too many.

        They go to the young end, so that one which cannot be forgotten yet (it is in use) is not asked for
        again and again; and nothing more is asked for until the table has grown by another quarter.
        """
        if len(self._nodes) <= self._limit or self._keeps_all:
            return []
        count = len(self._nodes) - self._bound + self._bound // 4
        oldest = [
            node for node in islice(self._nodes.values(), count) if node is not self.root and node.fd < 0
        ]
        for node in oldest:
            self._nodes[node.nodeid] = self._nodes.pop(node.nodeid)
        self._limit = len(self._nodes) + self._bound // 4
        return oldest

    def _directory(self, inode: int, parent: Directory, stored: bytes) -> Directory:
        """Return a directory that the kernel hears of: the one object for it, if others stand in it."""
        directory = self._places.pop(inode, None)
        if directory is None:
            return Directory(inode, parent, stored)
        directory.parent, directory.stored, directory.lookups, directory.dir_id = parent, stored, 0, b""
        return directory

    def close(self) -> None:
        """Close every descriptor, at unmount."""
        self._keeps_all = False
        for nodeid, node in list(self._nodes.items()):
            if node is not self.root:
                self.forget(nodeid, node.lookups)
        if self.root.dirfd >= 0:
            os.close(self.root.dirfd)
            self.root.dirfd = -1
