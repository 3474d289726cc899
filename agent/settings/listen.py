"""The setting ``listen``: on which TCP ports to serve beside the Unix socket, and how they are protected."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec

_MAX_PORT = 65535


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS on a port: PEM files, by absolute paths.

    ``client_ca`` holds the authorities whose client certificates are taken; with
    ``require_client_certificate`` nobody gets as far as a request without one.
    """

    certificate: str
    key: str
    client_ca: str | None = None
    require_client_certificate: bool = False


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One TCP port. Without ``tls`` it has to be on loopback, unless ``plain_http`` says otherwise."""

    address: str
    port: int
    tls: Tls | None = None
    plain_http: Literal["allow-non-loopback"] | None = None

    def url(self, port: int) -> str:
        """Return the address for clients; ``port`` is the one it got where the system was to choose."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{port}"


def check_listen(place: str, listen: Listen) -> None:
    """Make sure that a port can be served safely.

    Args:
        place: Where in the file it stands, for messages.
        listen: The port.

    Raises:
        ValueError: The message says what is wrong with it.
    """
    try:
        address = ipaddress.ip_address(listen.address)
    except ValueError:
        raise ValueError(
            f"{place}.address must be an IP address, as in 127.0.0.1 or '::1', not {listen.address!r}"
        ) from None
    if not 0 <= listen.port <= _MAX_PORT:
        raise ValueError(f"{place}.port must be 1 to {_MAX_PORT}, or 0 to have one chosen, not {listen.port}")
    if listen.tls is not None:
        if listen.plain_http is not None:
            raise ValueError(f"{place}: plain_http makes no sense beside tls; leave one of them out")
        _check_tls(f"{place}.tls", listen.tls)
    elif not address.is_loopback and listen.plain_http is None:
        raise ValueError(
            f"{place}: {listen.address} is not a loopback address, so it needs tls: plaintexts of keys would "
            "cross the network readable. Behind something that encrypts, set plain_http: allow-non-loopback"
        )


def _check_tls(place: str, tls: Tls) -> None:
    for name in ("certificate", "key", "client_ca"):
        path = getattr(tls, name)
        if path is not None and (not Path(path).is_absolute() or "\0" in path):
            raise ValueError(f"{place}.{name} must be an absolute path, which {path!r} is not")
    if tls.require_client_certificate and tls.client_ca is None:
        raise ValueError(f"{place}.require_client_certificate needs client_ca: whose certificates are good")
