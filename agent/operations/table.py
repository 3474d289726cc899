"""Owns the table of handlers: every operation by name. Knows nothing of what they do."""

from collections.abc import Mapping
from typing import Final

from agent.operations import (
    access_keys,
    aliases,
    creation,
    cryptographic,
    grants,
    keys,
    keystores,
    macs,
    material,
    policies,
    replicas,
    rotation,
    signing,
    tags,
    usage,
)
from agent.operations.handler import Handler

HANDLERS: Final[Mapping[str, Handler]] = {
    handler.operation.name: handler
    for family in (
        access_keys,
        creation,
        keys,
        aliases,
        policies,
        grants,
        rotation,
        material,
        cryptographic,
        signing,
        macs,
        tags,
        replicas,
        keystores,
        usage,
    )
    for handler in family.HANDLERS
}
"""The operations of the API, by name."""
