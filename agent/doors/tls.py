"""TLS on a port: its certificate, which can be loaded again, the handshake, and who the client's names.

Knows nothing of principals: a certificate's names are what it says, verified by the authorities configured.
"""

from __future__ import annotations

import logging
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from agent.authn.mapping import CertificateNames
from agent.listener import ListenError

if TYPE_CHECKING:
    from agent.settings.listen import Tls

_log = logging.getLogger(__name__)

_HANDSHAKE_RECORD: Final = b"\x16"
_ADVICE: Final = b"This port speaks TLS: use https://\n"
_NOT_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_ADVICE), _ADVICE)
)
_LINGER_BYTES: Final = 64 * 1024
_MAX_NAME: Final = 2048


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate that was verified; ``not_after`` in seconds since the epoch."""

    names: CertificateNames
    not_after: float


class TlsPort:
    """The TLS side of one port.

    Args:
        settings: Where certificate and key lie, and whose clients are known.

    Raises:
        ListenError: They cannot be used.
    """

    def __init__(self, settings: Tls) -> None:
        self._settings = settings
        self._context = _make_context(settings)

    def reload(self) -> None:
        """Read certificate, key and authorities again; connections that are open keep what they have.

        Raises:
            ListenError: They cannot be used, and those from before stay.
        """
        self._context = _make_context(self._settings)

    async def secure(self, stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream] | None:
        """Do the handshake. Whoever speaks plain HTTP is told, and is served no further: None.

        Raises:
            trio.BrokenResourceError: The handshake failed, or the client went away.
        """
        if await stream.socket.recv(1, socket.MSG_PEEK) not in (_HANDSHAKE_RECORD, b""):
            await _tell_plain(stream)
            return None
        secured = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
        await secured.do_handshake()
        return secured


def client_certificate(stream: trio.SSLStream[trio.SocketStream]) -> ClientCertificate | None:
    """Return the verified certificate of the client, or None when it showed none."""
    found = stream.getpeercert()
    if not found:
        return None
    names = [(kind, name) for kind, name in found.get("subjectAltName", ()) if len(name) <= _MAX_NAME]
    return ClientCertificate(
        CertificateNames(
            uris=tuple(name for kind, name in names if kind == "URI"),
            dns=tuple(name for kind, name in names if kind == "DNS"),
        ),
        ssl.cert_time_to_seconds(found["notAfter"]),
    )


async def _tell_plain(stream: trio.SocketStream) -> None:
    """Answer whoever speaks plain HTTP; what they send is read on for a while, or a reset would hide it."""
    await stream.send_all(_NOT_TLS)
    await stream.send_eof()
    left_bytes = _LINGER_BYTES
    while left_bytes > 0 and (data := await stream.receive_some(_LINGER_BYTES)):
        left_bytes -= len(data)


def _make_context(settings: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without tickets every connection shows its certificate, and has it verified, anew.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.key, _no_passphrase)
        if settings.client_ca is not None:
            context.load_verify_locations(settings.client_ca)
            required = settings.require_client_certificate
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    except (OSError, ValueError) as error:
        reason = (
            error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or error
        )
        raise ListenError(
            f"cannot use the certificate {settings.certificate}, its key or client_ca: {reason}; "
            "they have to be PEM files that this user may read, with the certificate's own key, not encrypted"
        ) from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted")
