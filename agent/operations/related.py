"""Owns what multi-Region keys share: the keys of one id in several Regions, and how they stay alike.

Key material and all that has to do with rotation belongs to the primary; every replica has a copy of it.
Whoever changes a key puts it with `put_key`, and the replicas follow in the same transaction. Everything else
(state, policy, description, tags, aliases, grants) is each key's own.
"""

from dataclasses import replace
from typing import Any, Final

from agent.api.enums import MultiRegionKeyType
from agent.api.errors import UnsupportedOperationException
from agent.api.shapes.keys import MultiRegionConfiguration, MultiRegionKey
from agent.keys.key import Key, KeyMaterial
from agent.operations.kms import Kms
from agent.store.protocol import StoreTransaction

_SHARED: Final = (
    "current_material_id",
    "rotation_period_days",
    "next_rotation_date",
    "on_demand_rotation_count",
    "on_demand_rotation_start",
)


def relatives(kms: Kms, key: Key) -> tuple[Key, ...]:
    """Return the keys of the same id in other Regions, by Region; none for a single-Region key."""
    if not key.multi_region:
        return ()
    others = sorted(kms.regions - {key.region})
    found = (kms.in_region(region).key(key.key_id) for region in others)
    return tuple(relative for relative in found if relative is not None)


def replicas(kms: Kms, key: Key) -> tuple[Key, ...]:
    """Return the replicas of a multi-Region key, itself included where it is one, by Region."""
    family = (key, *relatives(kms, key))
    return tuple(sorted((member for member in family if member.replica), key=lambda member: member.region))


def put_key(kms: Kms, transaction: StoreTransaction, key: Key) -> None:
    """Put a key as it has become, and with it what its relatives share with it."""
    transaction.put(key)
    shared: dict[str, Any] = {name: getattr(key, name) for name in _SHARED}
    for relative in relatives(kms, key):
        follower = replace(relative, **shared)
        if follower != relative:
            transaction.put(follower)


def put_material(kms: Kms, transaction: StoreTransaction, key: Key, material: KeyMaterial) -> None:
    """Put material that was made here for a key and its relatives: none uses it before all have it."""
    transaction.put(material)
    for relative in relatives(kms, key):
        transaction.put(replace(material, region=relative.region))


def require_primary(key: Key) -> None:
    """Refuse a key that is not the primary of a multi-Region key.

    Raises:
        UnsupportedOperationException: it is a replica, or a single-Region key.
    """
    if key.replica or not key.multi_region:
        raise UnsupportedOperationException(f"{key.arn} is not a multi-region primary key.")


def refuse_replica(key: Key) -> None:
    """Refuse to change on a replica what it shares with its primary.

    Raises:
        UnsupportedOperationException: it is a replica.
    """
    if key.replica:
        require_primary(key)


def configuration(kms: Kms, key: Key) -> MultiRegionConfiguration | None:
    """Return what DescribeKey tells about the relatives of a multi-Region key; None for other keys."""
    if key.primary_region is None:
        return None
    primary = kms.in_region(key.primary_region)
    return MultiRegionConfiguration(
        multi_region_key_type=MultiRegionKeyType.REPLICA if key.replica else MultiRegionKeyType.PRIMARY,
        primary_key=MultiRegionKey(arn=primary.key_arn(key.key_id), region=primary.region),
        replica_keys=tuple(_entry(replica) for replica in replicas(kms, key)),
    )


def _entry(key: Key) -> MultiRegionKey:
    return MultiRegionKey(arn=key.arn, region=key.region)
