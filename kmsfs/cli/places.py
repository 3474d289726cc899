"""Owns the argument PATH that is on a mount or in a ciphertext directory, for what can be done at either."""

from kmsfs import reaching
from kmsfs.cli.targets import is_volume, split
from kmsfs.reaching import Place


def place_of(text: str) -> Place:
    """Return the place in a volume that is meant: a path on a mount, or DIR[:PATH] of a ciphertext directory.

    Where there is no volume at all, opening it will say so.
    """
    target = split(text)
    on_mount = None if is_volume(target.directory) else reaching.on_mount(text)
    return on_mount or reaching.in_volume(target.directory, target.path)
