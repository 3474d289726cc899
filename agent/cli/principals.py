"""Principals as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cli.agents import read_status

if TYPE_CHECKING:
    from agent.client import AgentClient


def principal_arn(client: AgentClient, text: str) -> str:
    """Return the ARN of a principal; ``user/ann`` is short for one of the agent's account.

    Raises:
        ServiceError: It is short, and the agent does not tell this caller its account.
        ProtocolError: It is short, and whoever is asked for the account is no agent.
    """
    return text if text.startswith("arn:") else f"arn:aws:iam::{read_status(client).account_id}:{text}"
