"""Owns the table of handlers: every operation by name. Knows nothing of what they do."""

from collections.abc import Mapping
from typing import Final

from agent.operations import (
    access_keys,
    agreement,
    aliases,
    creation,
    datakeys,
    encryption,
    grants,
    identity,
    integrity,
    keys,
    keystores,
    macs,
    material,
    pairs,
    policies,
    randomness,
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
        identity,
        integrity,
        creation,
        keys,
        aliases,
        policies,
        grants,
        rotation,
        material,
        datakeys,
        pairs,
        encryption,
        agreement,
        randomness,
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
