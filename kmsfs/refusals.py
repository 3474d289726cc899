"""Owns how an error that a job on a mount ends with reaches whoever asked for it, in another process.

So a command ends alike whether a volume is mounted or not: the same message, next step and exit code.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from agent.client import AgentError
from kmsfs import errors

# The first that an error is an instance of stands for it, so a class stands above its base.
_KINDS: Final[tuple[type[Exception], ...]] = (
    errors.KeyUnavailableError,
    errors.CorruptVolumeError,
    errors.VolumeError,
    errors.NameTooLongError,
    errors.ReservedNameError,
    errors.KmsfsError,
    AgentError,
)
_BY_NAME: Final = {kind.__name__: kind for kind in _KINDS}
FORESEEN: Final = (OSError, errors.KmsfsError, AgentError)


def spell(error: Exception) -> dict[str, object]:
    """Return one of FORESEEN as what JSON can hold."""
    if isinstance(error, OSError):
        name = None if error.filename is None else os.fsdecode(error.filename)
        return {"error": error.strerror or str(error), "errno": error.errno, "filename": name}
    kind = next(kind for kind in _KINDS if isinstance(error, kind))
    return {"error": str(error), "kind": kind.__name__}


def read(told: Mapping[str, Any]) -> Exception:
    """Return the error that `spell` has written down; an unforeseen one has only its text."""
    text = str(told.get("error"))
    number, kind = told.get("errno"), told.get("kind")
    if isinstance(number, int):
        return OSError(number, text, told.get("filename"))
    if kind in _BY_NAME:
        # All of them but OSError say in one text what there is to say.
        error: Exception = Exception.__new__(_BY_NAME[kind], text)
        error.args = (text,)
        return error
    return RuntimeError(text)
