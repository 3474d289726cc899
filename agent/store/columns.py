"""Owns the column types that keep values other than SQL's own: words of an enumeration, and tuples."""

import json
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator


class Word(TypeDecorator[Any]):
    """A member of an enumeration, by its value; a value that is none raises ValueError when it is read."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what was written."""
        return None if value is None else self.words(value)


class Words(Word):
    """A tuple of members of an enumeration."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return " ".join(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what was written."""
        return tuple(self.words(word) for word in value.split())


class Pairs(TypeDecorator[Any]):
    """A tuple of pairs of strings, or None."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what is written."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 -- SQLAlchemy's signature
        """Return what was written."""
        return None if value is None else tuple((key, content) for key, content in json.loads(value))
