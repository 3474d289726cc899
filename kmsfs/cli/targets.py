"""Owns the argument DIR:PATH, a plain path in a volume, and mount points in its place. Opens nothing."""

import os
from pathlib import Path
from typing import NamedTuple

import click

from kmsfs import mountinfo
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
        if is_volume(text[:end]):
            return Target(text[:end], os.fsencode(text[end + 1 :]))
        end = text.rfind(":", 0, end)
    directory, _, path = text.partition(":")
    return Target(directory, os.fsencode(path))


def ciphertext_of(directory: str) -> str:
    """Return the ciphertext directory of a mount point, and any other directory as it is."""
    mounted = mountinfo.mounted_at(mountinfo.resolve(directory))
    return mounted.source if mounted is not None and mounted.is_kmsfs else directory


def is_volume(directory: str) -> bool:
    """Say whether a directory is a ciphertext directory, by its looks."""
    return bool(directory) and Path(directory, os.fsdecode(DIRECTORY_NAME)).is_dir()
