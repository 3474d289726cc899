"""With what a client on TCP signs its requests: an access key.

Owns the environment variables of AWS's tools that are heeded here, and the file they can name. A Unix socket
needs none of this.
"""

from __future__ import annotations

import configparser
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.client.errors import CredentialsError
from agent.sigv4.canonical import HttpRequest
from agent.sigv4.signing import Credentials, sign

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.client.endpoint import Endpoint

SERVICE: Final = "kms"
DEFAULT_REGION: Final = "local"
_MAX_FILE_BYTES: Final = 64 * 1024
# AWS's own endpoints name their Region.
_AWS_HOST: Final = re.compile(r"kms(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the requests to one agent; without credentials they go unsigned.

    Args:
        authority: What goes into the Host header.
        region: The Region that is meant.
        credentials: The access key, if there is one.
    """

    authority: str
    region: str
    credentials: Credentials | None

    def headers(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> tuple[tuple[str, str], ...]:
        """Return the headers that sign a request which is sent now with these headers, and Host."""
        if self.credentials is None:
            return ()
        known = [("host", self.authority), *headers]
        request = HttpRequest(
            method.encode(),
            target.encode(),
            tuple((name.lower().encode(), value.encode()) for name, value in known),
            body,
        )
        added = sign(
            request, self.credentials, region=self.region, service=SERVICE, epoch_seconds=time.time()
        )
        return tuple((name.decode(), value.decode()) for name, value in added)


def load_signer(endpoint: Endpoint, environ: Mapping[str, str], region: str | None = None) -> Signer:
    """Make the signer for an address, as AWS's tools would; for `region`, if that is given.

    Raises:
        CredentialsError: Half an access key is set, or a file that was named cannot be used.
    """
    if endpoint.scheme == "unix":
        return Signer(endpoint.authority, DEFAULT_REGION, None)
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region:
        found = _AWS_HOST.fullmatch(endpoint.host)
        region = found[1] if found else DEFAULT_REGION
    return Signer(endpoint.authority, region, load_credentials(environ))


def load_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """Return the access key of the environment, else of the file that AWS_SHARED_CREDENTIALS_FILE names.

    Raises:
        CredentialsError: Half an access key is set, or the file cannot be used.
    """
    access_key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key_id and secret:
        return Credentials(access_key_id, secret, environ.get("AWS_SESSION_TOKEN") or None)
    if access_key_id or secret:
        raise CredentialsError("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither")
    path = environ.get("AWS_SHARED_CREDENTIALS_FILE")
    return _read_file(Path(path), environ.get("AWS_PROFILE") or "default") if path else None


def _read_file(path: Path, profile: str) -> Credentials:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        parser = configparser.RawConfigParser(interpolation=None)
        if len(text) <= _MAX_FILE_BYTES:
            parser.read_string(text.decode())
        section = parser[profile]
        return Credentials(
            section["aws_access_key_id"],
            section["aws_secret_access_key"],
            section.get("aws_session_token") or None,
        )
    except OSError as error:
        raise CredentialsError(f"cannot read the credentials file {path}: {error.strerror}") from None
    except (KeyError, ValueError, configparser.Error):
        # What is wrong is not quoted: it may be a secret.
        raise CredentialsError(
            f"{path} has no profile {profile!r} with aws_access_key_id and aws_secret_access_key"
        ) from None
