"""The agent's configuration: a YAML file into one frozen, checked value.

Owns the names, units and defaults of every setting. Reads one file and opens nothing else; an
unknown key or a wrong type is an error that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml

from agent.settings.listen import Listen, check_listen
from agent.settings.principals import PrincipalRule, check_rule
from agent.settings.quotas import Quotas, check_quotas

if TYPE_CHECKING:
    from agent.places import Places

MAX_CONFIG_BYTES = 64 * 1024
# sun_path of sockaddr_un(7) has 108 bytes, one of them for the final NUL.
MAX_SOCKET_PATH_BYTES = 107

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and the way out."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one client, and all of them together, may take.

    ``idle_seconds`` is how long a connection may wait between requests, ``request_seconds`` how long
    a request may take to arrive and its answer to be taken, ``stop_seconds`` how long running requests
    may go on once the agent is told to stop.
    """

    connections: int = 512
    header_bytes: int = 16 * 1024
    body_bytes: int = 1024 * 1024
    idle_seconds: float = 300
    request_seconds: float = 20
    stop_seconds: float = 10


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written; absent keys take their default from the layout."""

    state_directory: str | None = None
    socket: str | None = None
    socket_mode: str | None = None
    audit_log: str | None = None
    region: str = "local"
    regions: tuple[str, ...] = ()
    account_id: str = "0" * 12
    key_file: str | None = None
    attestation_root: str | None = None
    guard: str | None = None
    passphrase_file: str | None = None
    listen: tuple[Listen, ...] = ()
    principals: tuple[PrincipalRule, ...] = ()
    limits: Limits = Limits()
    quotas: Quotas = Quotas()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon is told.

    ``region`` is the one meant where a request names none; ``regions`` are those served beside it.
    ``key_file`` is where the root key lies when that is not in the state directory;
    ``attestation_root`` is the certificate whose attestation documents are believed; ``guard`` is a policy
    that limits everybody;
    ``passphrase_file`` where the passphrase is read from when it is not asked for. ``listen`` are the TCP
    ports served beside the socket; ``principals`` say who callers are.
    """

    state_directory: Path
    socket_path: Path
    socket_mode: int
    audit_path: Path
    region: str
    regions: tuple[str, ...]
    account_id: str
    key_file: Path | None
    attestation_root: Path | None
    guard: Path | None
    passphrase_file: Path | None
    listen: tuple[Listen, ...]
    principals: tuple[PrincipalRule, ...]
    limits: Limits
    quotas: Quotas


def load(path: Path | None, places: Places) -> Config:
    """Read the configuration.

    Args:
        path: The file somebody named, which must exist; or None for the standard one, if there is any.
        places: The layout that absent settings come from.

    Raises:
        ConfigError: The file is missing, unreadable or wrong.
    """
    source = path or places.config_path
    try:
        with source.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        if path is not None:
            raise ConfigError(f"{path}: there is no such configuration file") from None
        return parse(b"", source, places)
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{source}: is larger than {MAX_CONFIG_BYTES} bytes, which no configuration is")
    return parse(text, source, places)


def parse(text: bytes, source: Path, places: Places) -> Config:
    """Turn the text of a configuration file into a value.

    Raises:
        ConfigError: The text is not YAML, or a setting is unknown or impossible.
    """
    try:
        content = yaml.safe_load(text)
        file = msgspec.convert({} if content is None else content, _File)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: is not YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}{_hint(str(error))}") from None
    except (RecursionError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{source}: is not a configuration: {error}") from None
    try:
        return _resolve(file, places)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def _resolve(file: _File, places: Places) -> Config:
    state_directory = _path("state_directory", file.state_directory) or places.state_directory
    socket_path = _path("socket", file.socket)
    if not _ACCOUNT_ID.fullmatch(file.account_id):
        raise ValueError("account_id must be 12 digits, in quotes")
    for region in (file.region, *file.regions):
        if not _REGION.fullmatch(region):
            raise ValueError(f"region must be lower-case letters, digits and hyphens, not {region!r}")
    for name in Limits.__struct_fields__:
        if not 0 < getattr(file.limits, name) < float("inf"):
            raise ValueError(f"limits.{name} must be a positive number")
    for position, listen in enumerate(file.listen):
        check_listen(f"listen[{position}]", listen)
    for position, rule in enumerate(file.principals):
        check_rule(f"principals[{position}]", rule)
    check_quotas(file.quotas)
    socket_path = socket_path or places.socket_path
    if len(str(socket_path).encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(
            f"socket: {socket_path} is longer than the {MAX_SOCKET_PATH_BYTES} bytes a Unix socket may have"
        )
    return Config(
        state_directory=state_directory,
        socket_path=socket_path,
        socket_mode=_mode(file.socket_mode, places.socket_mode),
        audit_path=_path("audit_log", file.audit_log) or state_directory / "log" / "audit.jsonl",
        region=file.region,
        regions=file.regions,
        account_id=file.account_id,
        key_file=_path("key_file", file.key_file),
        attestation_root=_path("attestation_root", file.attestation_root),
        guard=_path("guard", file.guard),
        passphrase_file=_path("passphrase_file", file.passphrase_file),
        listen=file.listen,
        principals=file.principals,
        limits=file.limits,
        quotas=file.quotas,
    )


def _path(name: str, value: str | None) -> Path | None:
    if value is None:
        return None
    path = Path(value)
    if not path.is_absolute() or "\0" in value:
        raise ValueError(f"{name} must be an absolute path, which {value!r} is not")
    return path


def _mode(value: str | None, default: int) -> int:
    if value is None:
        return default
    if not re.fullmatch("0?[0-7]{3}", value):
        raise ValueError(f"socket_mode must be three octal digits in quotes, as in '0660', not {value!r}")
    return int(value, 8)


def _hint(message: str) -> str:
    """YAML reads ``000000000000`` and ``0660`` as numbers; say so where that is the trouble."""
    return "; put the value in quotes" if "Expected `str" in message and "got `int`" in message else ""
