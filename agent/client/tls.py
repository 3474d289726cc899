"""With what a client on TLS connects: its certificate, and which authorities it trusts.

Owns the environment variables that name them. By itself, since a Unix socket needs no TLS loaded.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from agent.client.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def client_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return what TLS connections are made with.

    AWS_CA_BUNDLE names the authorities to trust instead of the system's; KMS_AGENT_CLIENT_CERTIFICATE a PEM
    file with a certificate and its key, to be shown to agents that ask.

    Raises:
        CredentialsError: A file that was named cannot be used.
    """
    bundle, own = environ.get("AWS_CA_BUNDLE"), environ.get("KMS_AGENT_CLIENT_CERTIFICATE")
    name = "AWS_CA_BUNDLE"
    try:
        context = ssl.create_default_context(cafile=bundle or None)
        if own:
            name = "KMS_AGENT_CLIENT_CERTIFICATE"
            context.load_cert_chain(own, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise CredentialsError(f"cannot use the file that {name} names: {error}") from None
    return context


def _no_passphrase() -> str:
    raise ValueError("its key is encrypted")
