"""Owns the way between values and AWS JSON 1.1 bytes, both ways. Knows nothing of HTTP."""

from typing import Final

import msgspec

from agent.api.errors import ServiceError, error_from_wire
from agent.api.rows.operation import Operation, Request, Response
from agent.api.shapes.base import Empty, Shape
from agent.api.validation import explain


class MalformedResponseError(ValueError):
    """A response is not what the operation answers; the message says where, never with which value."""


class _ErrorBody(msgspec.Struct):
    type: str = msgspec.field(default="", name="__type")
    message: str | None = None
    capital_message: str | None = msgspec.field(default=None, name="Message")


_ERRORS: Final = msgspec.json.Decoder(_ErrorBody)


def decode_request(operation: Operation[Request, Response], body: bytes) -> Request:
    """Return the request in `body`; an empty body is an empty structure.

    Raises:
        SerializationException: not JSON, or a value of the wrong JSON type.
        ValidationException: values that break constraints of the model, every one named.
    """
    try:
        request = operation.request_decoder.decode(body or b"{}")
    except (ValueError, RecursionError):
        # `from None`: msgspec's own text adds nothing, and what it quotes might be secret.
        raise explain(operation.request, body or b"{}") from None
    return request


def encode_request(request: Shape) -> bytes:
    """Return the body for `request`."""
    return msgspec.json.encode(request)


def encode_response(response: Shape) -> bytes:
    """Return the body for `response`, without absent members; `Empty` has an empty body."""
    return b"" if type(response) is Empty else msgspec.json.encode(response)


def decode_response(operation: Operation[Request, Response], body: bytes) -> Response:
    """Return the response in `body`; members that this version does not know are passed over.

    Raises:
        MalformedResponseError: the body is not a response of `operation`.
    """
    try:
        response = operation.response_decoder.decode(body or b"{}")
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedResponseError(f"not a response of {operation.name}: {error}") from None
    except ValueError:
        raise MalformedResponseError(f"not a response of {operation.name}: not JSON") from None
    return response


def encode_error(error: ServiceError) -> bytes:
    """Return the body that tells a client of `error`."""
    return msgspec.json.encode({"__type": error.code, error.message_key: error.message})


def decode_error(body: bytes, status: int) -> ServiceError:
    """Return the error in `body`; `UnknownServiceError` for codes that this version does not know.

    Raises:
        MalformedResponseError: the body names no error.
    """
    try:
        wire = _ERRORS.decode(body)
    except (ValueError, RecursionError):
        raise MalformedResponseError(f"HTTP status {status} without an error of the service") from None
    if not wire.type:
        raise MalformedResponseError(f"HTTP status {status} without an error of the service")
    return error_from_wire(wire.type, wire.message or wire.capital_message or "")
