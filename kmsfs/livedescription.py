"""Owns the description of a volume that is open: what is on disk now, and changing it while it is in use.

Everyone who changes it does so here, one after the other, and from what it is at that moment: so no change
undoes another, the last one at unmount included. Knows nothing of what is changed or why.
"""

from collections.abc import Callable
from threading import Lock

from kmsfs import volume, volumedir
from kmsfs.errors import VolumeError
from kmsfs.volume import VolumeDescription


class LiveDescription:
    """The description of one open volume.

    Args:
        description: verified; it need not be on disk yet, and a volume that is read-only never puts it there.
        volume_fd: the directory of the volume's own files.
        mac_key: authenticates the description, 32 bytes.

    Attributes:
        turn: held by a job that changes policies or keys, from its beginning to its end.
    """

    __slots__ = ("_current", "_lock", "_mac_key", "_volume_fd", "turn")

    def __init__(self, description: VolumeDescription, volume_fd: int, mac_key: bytes) -> None:
        self._current = description
        self._volume_fd = volume_fd
        self._mac_key = mac_key
        self._lock = Lock()
        self.turn = Lock()

    @property
    def current(self) -> VolumeDescription:
        """The description as it is now."""
        return self._current

    def change(self, edit: Callable[[VolumeDescription], VolumeDescription]) -> VolumeDescription:
        """Change the description; it is durable on disk when this returns. Waits, also for other changes.

        Args:
            edit: returns the new one for the one that there is; where it returns that itself, nothing is
                written. It may wait, for the agent for example: others wait for it.

        Raises:
            VolumeError: it has outgrown its size, or the volume is closed by now.
            OSError: the store fails, or has no room. The description is what it was.
        """
        with self._lock:
            return self._change(edit(self._current))

    def close(self, edit: Callable[[VolumeDescription], VolumeDescription]) -> None:
        """Change the description for the last time."""
        with self._lock:
            self._change(edit(self._current))
            self._volume_fd = -1

    def _change(self, description: VolumeDescription) -> VolumeDescription:
        if description is not self._current:
            if self._volume_fd < 0:
                raise VolumeError("the volume is being unmounted")
            volumedir.write_description(self._volume_fd, volume.dump(description, self._mac_key))
            self._current = description
        return description
