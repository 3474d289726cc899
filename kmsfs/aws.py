"""Owns asking AWS KMS through boto3, which finds credentials wherever AWS's tools do. The only user of boto3.

Knows AWS's addresses, and how values of the API become what boto3 takes and back; no key and no volume.
"""

import importlib
import re
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from agent.api import arn, codec
from agent.api.errors import InvalidArnException, UnknownOperationException, error_from_wire
from agent.api.rows.operation import KMS_SERVICE, Operation
from agent.api.shapes.base import Shape
from agent.client import AgentError, AgentUnavailableError, CredentialsError, ProtocolError

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)

# Of every partition, with FIPS, dual-stack and VPC endpoints.
_HOST: Final = re.compile(
    r"(?:[a-z0-9-]+\.)?kms(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu"
    r"|api\.aws|api\.amazonwebservices\.com\.cn|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
# Who has one of these can be asked for by the agent's own client, which needs no boto3.
_OWN_PROOFS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SHARED_CREDENTIALS_FILE", "KMS_AGENT_CLIENT_CERTIFICATE")
_DEFAULT_REGION: Final = "local"
_ATTEMPTS: Final = 3


def serves(url: str, environ: Mapping[str, str]) -> bool:
    """Say whether an address is to be asked through boto3.

    Those of AWS are. Others on TCP are where the environment has nothing that the agent's own client could
    prove itself with, so that a profile, a role or a credential process can.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    return _region_of_host(host) is not None or not any(environ.get(name) for name in _OWN_PROOFS)


class AwsKms:
    """A key management service that boto3 asks; any thread may call.

    Args:
        url: its address.
        answer_seconds: how long one attempt may take.

    Raises:
        CredentialsError: boto3 is not there, or its configuration cannot be used.
    """

    def __init__(self, url: str, answer_seconds: float) -> None:
        self._url = url
        self._answer_seconds = answer_seconds
        self._boto3 = _module("boto3")
        self._exceptions = _module("botocore.exceptions")
        self._names = _module("botocore").xform_name
        self._clients: dict[str | None, Any] = {}
        self._making = threading.Lock()

    def call(self, operation: Operation[Request, Response], request: Request) -> Response:
        """Carry out one operation.

        Raises:
            ServiceError: it is refused; the subclass is AWS's exception.
            AgentUnavailableError: nothing answers.
            CredentialsError: boto3 finds no credentials, or none that can be used.
            ProtocolError: the answer makes no sense.
        """
        if operation.service != KMS_SERVICE:
            raise UnknownOperationException(
                f"{operation.name} is the agent's own: AWS KMS has no such operation"
            )
        try:
            client = self._client(_region_of_key(request))
            method = getattr(client, self._names(operation.name))
            answer = method(**msgspec.to_builtins(request, builtin_types=(bytes,)))
        except self._exceptions.ClientError as error:
            told = error.response.get("Error", {})
            raise error_from_wire(str(told.get("Code", "")), str(told.get("Message", ""))) from None
        except self._exceptions.BotoCoreError as error:
            raise self._explained(error) from None
        answer.pop("ResponseMetadata", None)
        try:
            return codec.decode_response(operation, msgspec.json.encode(_without_dates(answer)))
        except codec.MalformedResponseError as error:
            raise ProtocolError(
                f"{self._url} answered {operation.name} with something else: {error}"
            ) from None

    def _client(self, region_of_key: str | None) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        named = _region_of_host(urlsplit(self._url).hostname or "") or region_of_key
        with self._making:
            client = self._clients.get(named)
            if client is None:
                session = self._boto3.session.Session()
                config = _module("botocore.config").Config(
                    connect_timeout=self._answer_seconds,
                    read_timeout=self._answer_seconds,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                )
                region = named or session.region_name or _DEFAULT_REGION
                client = self._clients[named] = session.client(
                    "kms", region_name=region, endpoint_url=self._url, config=config
                )
            return client

    def _explained(self, error: Exception) -> AgentError:
        named = self._exceptions
        without = (
            named.NoCredentialsError,
            named.PartialCredentialsError,
            named.CredentialRetrievalError,
            named.TokenRetrievalError,
            named.ProfileNotFound,
            named.ConfigParseError,
        )
        if isinstance(error, without):
            return CredentialsError(
                f"boto3 has no credentials for {self._url}: {error}. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY, or run where a role is given"
            )
        return AgentUnavailableError(self._url, str(error))


def _module(name: str) -> Any:  # noqa: ANN401 - boto3 comes without types, and only with the extra
    try:
        return importlib.import_module(name)
    except ImportError:
        raise CredentialsError(
            "asking AWS KMS needs boto3: pip install 'kmsfs[aws]'. An agent on TCP can do without, with the "
            "access key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None


def _region_of_host(host: str) -> str | None:
    found = _HOST.fullmatch(host)
    return found[1] if found else None


def _region_of_key(request: Shape) -> str | None:
    key_id = getattr(request, "key_id", None) or getattr(request, "source_key_id", None)
    try:
        return arn.parse(key_id or "").region or None
    except InvalidArnException:
        return None


def _without_dates(value: Any) -> Any:  # noqa: ANN401 - whatever boto3 answers
    """Return a value with moments as epoch seconds, as they are on the wire."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {name: _without_dates(each) for name, each in value.items()}
    return [_without_dates(each) for each in value] if isinstance(value, list) else value
