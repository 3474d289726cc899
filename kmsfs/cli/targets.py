"""Owns the arguments DIR:PATH, a plain path in a volume, and PATH, a path on a mount. Opens nothing."""

import os
from pathlib import Path
from typing import NamedTuple

import click

from kmsfs import mountinfo, reaching
from kmsfs.reaching import Place
from kmsfs.volumedir import DIRECTORY_NAME


class Target(NamedTuple):
    """A place in a volume.

    Attributes:
        directory: the ciphertext directory.
        path: from the volume's root, in plain.
    """

    directory: str
    path: bytes


class TargetType(click.ParamType[Target]):
    """Parses DIR or DIR:PATH; both may have colons, so DIR is the longest that is a volume."""

    name = "volume path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Target:  # noqa: ARG002 - click's signature
        """Return the place; where there is no volume at all, opening it will say so."""
        return split(str(value))


def split(text: str) -> Target:
    """Take DIR or DIR:PATH apart."""
    end = len(text)
    while end >= 0:
        if _is_volume(text[:end]):
            return Target(text[:end], os.fsencode(text[end + 1 :]))
        end = text.rfind(":", 0, end)
    directory, _, path = text.partition(":")
    return Target(directory, os.fsencode(path))


def place_of(text: str) -> Place:
    """Return the place in a volume that is meant: a path on a mount, or DIR[:PATH] of a ciphertext directory.

    Where there is no volume at all, opening it will say so.
    """
    target = split(text)
    on_mount = None if _is_volume(target.directory) else reaching.on_mount(text)
    return on_mount or reaching.in_volume(target.directory, target.path)


def ciphertext_of(directory: str) -> str:
    """Return the ciphertext directory of a mount point, and any other directory as it is."""
    mounted = mountinfo.mounted_at(mountinfo.resolve(directory))
    return mounted.source if mounted is not None and mounted.is_kmsfs else directory


def _is_volume(directory: str) -> bool:
    return bool(directory) and Path(directory, os.fsdecode(DIRECTORY_NAME)).is_dir()
