"""Owns the column types that keep values other than SQL's own: words of an enumeration, and tuples.

`read` is what a column's text means. A store has many rows with few different words, which are read once.
"""

import json
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator

_PAIRS: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class Word(TypeDecorator[Any]):
    """A member of an enumeration, by its value; a value that is none raises ValueError when it is read."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self.read = lru_cache(maxsize=1024)(self._read)

    def _read(self, value: str | None) -> Any:  # noqa: ANN401 -- of whichever enumeration
        return None if value is None else self.words(value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what was written."""
        return self.read(value)


class Words(Word):
    """A tuple of members of an enumeration."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return " ".join(value)

    def _read(self, value: str | None) -> Any:  # noqa: ANN401 -- of whichever enumeration
        return tuple(self.words(word) for word in (value or "").split())


class Pairs(TypeDecorator[Any]):
    """A tuple of pairs of strings, or None."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what was written."""
        return self.read(value)

    def read(self, value: str | None) -> tuple[tuple[str, str], ...] | None:
        """Return what a text means."""
        return None if value is None else _PAIRS.decode(value)
