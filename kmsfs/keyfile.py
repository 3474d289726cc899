"""Owns reading customers' keys from files and descriptors. Knows nothing of what they are good for."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from kmsfs.customerkeys import SPELLING_SIZE, CustomerKeyError, CustomerKeys, parse

# A key's longest spelling, its newline, and one byte more to see that there is more.
_READ_BYTES: Final = SPELLING_SIZE + 2
_STANDARD_STREAMS: Final = 3


def read_all(files: Iterable[str], descriptors: Iterable[int]) -> CustomerKeys:
    """Return the keys that files and open descriptors hold, one in each.

    Raises:
        CustomerKeyError: one cannot be read, holds no key, or is not kept from others.
    """
    return CustomerKeys((*map(_read_file, files), *map(_read_descriptor, descriptors)))


def _read_file(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise CustomerKeyError(f"cannot read the customer's key in {path}: {error.strerror}") from None
    try:
        # A group may be meant to read it, as where a service manager hands it over.
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
            raise CustomerKeyError(
                f"others may read or change the customer's key in {path}: chmod 600 {path}"
            )
        return _read(descriptor, path)
    finally:
        os.close(descriptor)


def _read_descriptor(descriptor: int) -> bytes:
    try:
        return _read(descriptor, f"descriptor {descriptor}")
    finally:
        if descriptor >= _STANDARD_STREAMS:
            with suppress(OSError):
                os.close(descriptor)


def _read(descriptor: int, where: str) -> bytes:
    raw = b""
    try:
        while len(raw) < _READ_BYTES and (piece := os.read(descriptor, _READ_BYTES - len(raw))):
            raw += piece
    except OSError as error:
        raise CustomerKeyError(f"cannot read the customer's key in {where}: {error.strerror}") from None
    try:
        return parse(raw)
    except CustomerKeyError as error:
        raise CustomerKeyError(f"{where}: {error}") from None
