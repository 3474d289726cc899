"""Owns what every operation works with. Knows nothing of callers or requests."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.api import arn as arns
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.keys.states import settled
from agent.seal.barrier import Barrier
from agent.store.protocol import Store

Caller = Principal
Keys = tuple[Key, ...]
"""The keys that a request's targets resolved to, in the targets' order."""


@dataclass(frozen=True, slots=True)
class Kms:
    """One account's keys in one Region.

    Attributes:
        region: the Region whose keys are meant.
        regions: all Regions that the agent serves, each a keyspace of its own.
        now: the clock, in seconds since the epoch.
    """

    store: Store
    barrier: Barrier
    region: str
    regions: frozenset[str]
    account_id: str
    now: Callable[[], float]

    def in_region(self, region: str) -> "Kms":
        """Return the same account's keys in another of its Regions."""
        if region not in self.regions:
            raise AssertionError(f"{region} is not served")
        return self if region == self.region else replace(self, region=region)

    def key(self, key_id: str) -> Key | None:
        """Return one of this account's keys as it is now, or None; the store knows no passing of time."""
        key = self.store.key(self.region, key_id)
        return key if key is None or key.transition_date is None else settled(key, self.now())

    def key_arn(self, key_id: str) -> str:
        """Return the ARN of one of this account's keys."""
        return arns.key_arn(self.region, self.account_id, key_id)

    def alias_arn(self, name: str) -> str:
        """Return the ARN of one of this account's aliases; `name` includes its "alias/" prefix."""
        return arns.alias_arn(self.region, self.account_id, name)
