"""Owns the grammar of Amazon Resource Names. Knows nothing of which resources exist."""

from dataclasses import dataclass
from typing import Final

from agent.api.errors import InvalidArnException

_PARTS: Final = 6


@dataclass(frozen=True, slots=True)
class Arn:
    """The parts of `arn:partition:service:region:account_id:resource`; region and account may be empty."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"


def key_arn(region: str, account_id: str, key_id: str) -> str:
    """Return the ARN of a KMS key."""
    return f"arn:aws:kms:{region}:{account_id}:key/{key_id}"


def alias_arn(region: str, account_id: str, name: str) -> str:
    """Return the ARN of an alias; `name` includes its "alias/" prefix."""
    return f"arn:aws:kms:{region}:{account_id}:{name}"


def parse(text: str) -> Arn:
    """Split an ARN into its parts.

    Raises:
        InvalidArnException: `text` is not an ARN.
    """
    parts = text.split(":", _PARTS - 1)
    if len(parts) != _PARTS or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
        raise InvalidArnException(f"Invalid arn {text}")
    return Arn(*parts[1:])
