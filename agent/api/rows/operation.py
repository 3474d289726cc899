"""Owns what one operation is to clients and the service: name, request, response, action, exceptions.

Knows nothing of what an operation does.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from agent.api import errors
from agent.api.shapes.base import Shape

KMS_SERVICE: Final = "TrentService"
AGENT_SERVICE: Final = "KmsAgent"

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Response]):
    """One operation of the API, made when its module is imported.

    `errors` are those of AWS's model; any operation may also answer the ones in `errors.COMMON_ERRORS`.
    `service` is the word before the operation's name on the wire.

    The decoders are made with it, by one thread: msgspec (0.22) works out a type when it first meets it, and
    two threads that do so at once crash the process.
    """

    name: str
    request: type[Request]
    response: type[Response]
    action: str
    errors: tuple[type[errors.ServiceError], ...]
    service: str = KMS_SERVICE
    request_decoder: msgspec.json.Decoder[Request] = field(init=False, repr=False, compare=False)
    response_decoder: msgspec.json.Decoder[Response] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "request_decoder", msgspec.json.Decoder(self.request))
        object.__setattr__(self, "response_decoder", msgspec.json.Decoder(self.response))


def own_operation(
    name: str,
    request: type[Request],
    response: type[Response],
    errors: tuple[type[errors.ServiceError], ...],
) -> Operation[Request, Response]:
    """Return an operation that AWS KMS has not; the action that permits it has its name."""
    return Operation(name, request, response, f"kms-agent:{name}", errors, AGENT_SERVICE)


INTERNAL: Final = (errors.KMSInternalException, errors.DependencyTimeoutException)
KEY: Final = (*INTERNAL, errors.NotFoundException, errors.InvalidArnException)
KEY_STATE: Final = (*KEY, errors.KMSInvalidStateException)
CRYPTOGRAPHIC: Final = (
    *INTERNAL,
    errors.NotFoundException,
    errors.DisabledException,
    errors.KMSInvalidStateException,
    errors.KeyUnavailableException,
    errors.InvalidKeyUsageException,
    errors.InvalidGrantTokenException,
    errors.DryRunOperationException,
)
