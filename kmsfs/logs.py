"""Owns where a mount's log goes. Knows nothing of what is logged."""

import logging
import logging.handlers
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SYSLOG_SOCKET: Final = Path("/dev/log")
_FILE_FORMAT: Final = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"
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


def to_system(environ: Mapping[str, str]) -> str:
    """Log to the system's log (syslog or journal); without one, to a file of this user's. Return where.

    Raises:
        OSError: the file cannot be opened.
    """
    if not _SYSLOG_SOCKET.is_socket():
        path = _own_file(environ)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        to_file(path)
        return str(path)
    handler = logging.handlers.SysLogHandler(str(_SYSLOG_SOCKET), logging.handlers.SysLogHandler.LOG_DAEMON)
    handler.ident = f"kmsfs[{os.getpid()}]: "
    _install(handler, _PLAIN_FORMAT)
    return "system log"


def warnings_to_terminal_too() -> None:
    """Show warnings on standard error besides, which is the user's terminal until the mount answers."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("kmsfs: %(message)s"))
    logging.getLogger().addHandler(handler)


def _own_file(environ: Mapping[str, str]) -> Path:
    """Return the place by the XDG Base Directory Specification, for root by hier(7) unless that is set."""
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "kmsfs" / "kmsfs.log"
    if os.geteuid() == 0:
        return Path("/var/log/kmsfs.log")
    return Path.home() / ".local/state/kmsfs/kmsfs.log"


def _install(handler: logging.Handler, text_format: str) -> None:
    handler.setFormatter(logging.Formatter(text_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
