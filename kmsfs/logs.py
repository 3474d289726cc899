"""Owns where a mount's log goes. Knows nothing of what is logged."""

import logging
import logging.handlers
import os
from pathlib import Path
from typing import Final

_SYSLOG_SOCKET: Final = Path("/dev/log")
_FILE_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PLAIN_FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


def to_terminal() -> None:
    """Log to standard error: in the foreground, or under a service manager, which has a journal."""
    _install(logging.StreamHandler(), _PLAIN_FORMAT)


def to_file(path: Path) -> None:
    """Append to a file that only its owner may read.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    _install(logging.StreamHandler(os.fdopen(fd, "a", encoding="utf-8")), _FILE_FORMAT)


def to_system() -> bool:
    """Log to the system's log (syslog or journal); return False, having done nothing, when there is none."""
    if not _SYSLOG_SOCKET.is_socket():
        return False
    handler = logging.handlers.SysLogHandler(str(_SYSLOG_SOCKET), logging.handlers.SysLogHandler.LOG_DAEMON)
    handler.ident = f"kmsfs[{os.getpid()}]: "
    _install(handler, _PLAIN_FORMAT)
    return True


def _install(handler: logging.Handler, text_format: str) -> None:
    handler.setFormatter(logging.Formatter(text_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
