"""Agent addresses: parsing them, and the one used when none is named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from agent.client.errors import InvalidAgentUrlError
from agent.places import standard_places

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an agent listens.

    ``path`` is set for ``unix``, ``host`` and ``port`` for the other two. ``authority`` is what goes
    into the HTTP Host header.
    """

    url: str
    scheme: Literal["unix", "http", "https"]
    path: str = ""
    host: str = ""
    port: int = 0
    authority: str = "localhost"


def parse_url(url: str) -> Endpoint:
    """Parse an agent address.

    Raises:
        InvalidAgentUrlError: It has another scheme, a relative socket path, or parts that mean nothing here.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidAgentUrlError(f"{url!r} is not an agent address: {error}") from None
    if parts.query or parts.fragment or parts.username is not None:
        raise InvalidAgentUrlError(
            f"{url!r} is not an agent address: only scheme, host, port or path belong there"
        )
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise InvalidAgentUrlError(
                f"{url!r} needs an absolute path, as in unix:///run/kms-agent/agent.sock"
            )
        return Endpoint(url, "unix", path=parts.path)
    if parts.scheme not in ("http", "https"):
        raise InvalidAgentUrlError(
            f"{url!r} is not an agent address: use unix:///path, http://host or https://host"
        )
    if not parts.hostname or parts.path not in ("", "/"):
        raise InvalidAgentUrlError(f"{url!r} needs a host and no path, as in {parts.scheme}://127.0.0.1:4599")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Endpoint(
        url,
        scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[scheme],
        authority=parts.netloc,
    )


def default_agent_url() -> str:
    """Return ``KMS_AGENT_URL`` when set, else the address of the standard socket of this user."""
    return os.environ.get("KMS_AGENT_URL") or standard_agent_url()


def standard_agent_url() -> str:
    """Return the address where this user's own agent listens, whatever ``KMS_AGENT_URL`` says."""
    return f"unix://{standard_places(os.environ, os.geteuid()).socket_path}"
