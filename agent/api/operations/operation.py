"""Owns what one operation is to clients and the service: name, request, response, action, exceptions.

Knows nothing of what an operation does.
"""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from agent.api import errors
from agent.api.shapes.base import Shape

Request = TypeVar("Request", bound=Shape)
Response = TypeVar("Response", bound=Shape)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Response]):
    """One operation of the API.

    `errors` are those of AWS's model; any operation may also answer the ones in `errors.COMMON_ERRORS`.
    """

    name: str
    request: type[Request]
    response: type[Response]
    action: str
    errors: tuple[type[errors.ServiceError], ...]


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
