"""What an agent says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.api import codec
from agent.client import ProtocolError
from agent.status import Status

if TYPE_CHECKING:
    from agent.client import AgentClient


def read_status(client: AgentClient) -> Status:
    """Return an agent's status; over TCP it has to know who asks.

    Raises:
        ServiceError: It does not tell this caller.
        ProtocolError: It is something else than an agent of this version.
    """
    answer = client.status()
    try:
        return msgspec.json.decode(answer.body, type=Status)
    except ValueError:
        pass
    try:
        refusal = codec.decode_error(answer.body, answer.status)
    except codec.MalformedResponseError:
        raise ProtocolError(f"{client.url} is not a kms-agent: it has no status") from None
    raise refusal
