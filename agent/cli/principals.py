"""Principals as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.client import ProtocolError
from agent.status import Status

if TYPE_CHECKING:
    from agent.client import AgentClient


def principal_arn(client: AgentClient, text: str) -> str:
    """Return the ARN of a principal; ``user/ann`` is short for one of the agent's account.

    Raises:
        ProtocolError: It is short, and whoever is asked for the account is no agent.
    """
    if text.startswith("arn:"):
        return text
    try:
        account_id = msgspec.json.decode(client.status().body, type=Status).account_id
    except ValueError:
        raise ProtocolError(f"{client.url} does not tell its account; write a whole ARN") from None
    return f"arn:aws:iam::{account_id}:{text}"
