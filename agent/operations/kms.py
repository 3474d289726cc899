"""Owns what every operation works with. Knows nothing of callers or requests."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.api import arn as arns
from agent.api.enums import Origin
from agent.crypto.attestation import Root
from agent.keys import imports
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.keys.states import settled
from agent.keys.usage import LastUsages
from agent.operations.bell import Bell
from agent.seal.barrier import Barrier
from agent.settings.quotas import Quotas
from agent.store.protocol import Store
from agent.throttle import Throttle

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
        usage: when each key was last used, as recorded.
        bell: rung when there is something to do for the jobs.
        quotas: how much of everything there may be.
        throttle: how many requests came lately.
        attestation_root: whose attestation documents are believed; None for nobody's.
        guard: a policy that limits everybody, as JSON text; None for none.
    """

    store: Store
    barrier: Barrier
    region: str
    regions: frozenset[str]
    account_id: str
    now: Callable[[], float]
    usage: LastUsages
    bell: Bell = field(default_factory=Bell)
    quotas: Quotas = field(default_factory=Quotas)
    throttle: Throttle = field(default_factory=Throttle)
    attestation_root: Root | None = None
    guard: str | None = None

    def in_region(self, region: str) -> "Kms":
        """Return the same account's keys in another of its Regions."""
        if region not in self.regions:
            raise AssertionError(f"{region} is not served")
        return self if region == self.region else replace(self, region=region)

    def key(self, key_id: str) -> Key | None:
        """Return one of this account's keys as it is now, or None; the store knows no passing of time."""
        key = self.store.key(self.region, key_id)
        if key is not None and key.transition_date is not None:
            key = settled(key, self.now())
        if key is not None and key.origin is Origin.EXTERNAL:
            key = imports.settled(key, self.store.materials(self.region, key_id), self.now())
        return key

    def key_arn(self, key_id: str) -> str:
        """Return the ARN of one of this account's keys."""
        return arns.key_arn(self.region, self.account_id, key_id)

    def alias_arn(self, name: str) -> str:
        """Return the ARN of one of this account's aliases; `name` includes its "alias/" prefix."""
        return arns.alias_arn(self.region, self.account_id, name)
