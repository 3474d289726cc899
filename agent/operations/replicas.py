"""Owns the operations on multi-Region keys: replicas in further Regions, and which of them is the primary.

Both are done when they return, in one transaction. Still the keys pass through a state that AWS's clients
know how to wait for, for as long as `PASSING_SECONDS`.
"""

from dataclasses import replace
from typing import Final

from agent.api import arn as arns
from agent.api import operations as api
from agent.api.enums import ImportState, KeyState, Origin
from agent.api.errors import (
    AlreadyExistsException,
    NotFoundException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.base import Empty
from agent.api.shapes.replicas import (
    ReplicateKeyRequest,
    ReplicateKeyResponse,
    UpdatePrimaryRegionRequest,
)
from agent.keys.key import Key, KeyMaterial
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.creation import require_room
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.metadata import metadata
from agent.operations.policies import default_policy, require_accepted
from agent.operations.related import relatives, require_primary
from agent.operations.tags import check_tags, key_tags, shown_tags
from agent.operations.targets import AccountTarget, KeyTarget, ReplicaTarget, Target, present

PASSING_SECONDS: Final = 2.0
"""How long a new replica is Creating, and both keys are Updating; AWS takes a few seconds."""


def check_replicate_key(request: ReplicateKeyRequest) -> None:
    """Refuse tags and policies that no key can have."""
    check_tags(request.tags or ())
    require_accepted(request.policy)


def replicate_key_targets(request: ReplicateKeyRequest) -> tuple[Target, ...]:
    """Return the primary, and what the caller must be allowed to do in the replica's Region."""
    region = request.replica_region
    made: tuple[Target, ...] = (AccountTarget("kms:CreateKey", region),)
    if request.tags:
        made = (*made, AccountTarget("kms:TagResource", region))
    return (KeyTarget(api.REPLICATE_KEY.action, request.key_id), *made)


def replicate_key(kms: Kms, caller: Caller, keys: Keys, request: ReplicateKeyRequest) -> ReplicateKeyResponse:
    """Make a replica of a primary key: same id and material, everything else its own."""
    require_primary(keys[0])
    region = request.replica_region
    if region == keys[0].region:
        raise ValidationException(f"{region} cannot have a replica because it contains the primary.")
    if region not in kms.regions:
        raise UnsupportedOperationException(
            f"{region} is not a Region of this service, which has {', '.join(sorted(kms.regions))}. "
            "Add it to regions in the agent's configuration."
        )
    policy = request.policy or default_policy(kms.account_id)
    there = kms.in_region(region)
    with kms.store.write() as transaction:
        primary = present(kms, keys[0])
        require_primary(primary)
        require_state(primary, "ReplicateKey")
        if there.key(primary.key_id) is not None:
            raise AlreadyExistsException(f"{there.key_arn(primary.key_id)} already exists.")
        require_room(there)
        replica = replace(
            primary,
            region=region,
            creation_date=kms.now(),
            creator_arn=caller.arn,
            description=request.description or "",
            policy=policy,
            tags=key_tags(request.tags or ()),
            key_state=KeyState.CREATING,
            transition_date=kms.now() + PASSING_SECONDS,
        )
        transaction.put(replica)
        for material in kms.store.materials(primary.region, primary.key_id):
            transaction.put(_copy(material, region, primary.origin))
    return ReplicateKeyResponse(
        replica_key_metadata=metadata(there, replica),
        replica_policy=replica.policy,
        replica_tags=shown_tags(replica),
    )


def update_primary_region_targets(request: UpdatePrimaryRegionRequest) -> tuple[Target, ...]:
    """Return the primary and the replica that is to take its place."""
    action = api.UPDATE_PRIMARY_REGION.action
    return KeyTarget(action, request.key_id), ReplicaTarget(action, request.key_id, request.primary_region)


def update_primary_region(
    kms: Kms, _caller: Caller, keys: Keys, request: UpdatePrimaryRegionRequest
) -> Empty:
    """Make a replica the primary, and the primary its replica."""
    require_primary(keys[0])
    region = request.primary_region
    with kms.store.write() as transaction:
        primary = present(kms, keys[0])
        require_primary(primary)
        require_state(primary, "UpdatePrimaryRegion")
        if region == primary.region:
            raise UnsupportedOperationException(f"{primary.arn} is the primary key already.")
        family = {key.region: key for key in (primary, *relatives(kms, primary))}
        if region not in family:
            arn = arns.key_arn(region, kms.account_id, primary.key_id)
            raise NotFoundException(f"Key '{arn}' does not exist")
        require_state(family[region], "UpdatePrimaryRegion")
        for key in family.values():
            transaction.put(_moved(key, region, kms.now(), updating=key.region in (primary.region, region)))
    return Empty()


def _moved(key: Key, region: str, now: float, *, updating: bool) -> Key:
    if not updating:
        return replace(key, primary_region=region)
    return replace(
        key,
        primary_region=region,
        key_state=KeyState.UPDATING,
        transition_date=now + PASSING_SECONDS,
    )


def _copy(material: KeyMaterial, region: str, origin: Origin) -> KeyMaterial:
    """Return a replica's record of its primary's material; what was imported is known, but yet to come."""
    if origin is not Origin.EXTERNAL:
        return replace(material, region=region)
    return replace(
        material,
        region=region,
        wrapped=b"",
        import_state=ImportState.PENDING_IMPORT,
        expiration_model=None,
        valid_to=None,
    )


HANDLERS: Final = (
    handler.Handler(
        api.REPLICATE_KEY,
        replicate_key_targets,
        replicate_key,
        check_replicate_key,
        mutates=True,
        created=lambda response: str(response.replica_key_metadata.arn),
    ),
    handler.Handler(
        api.UPDATE_PRIMARY_REGION, update_primary_region_targets, update_primary_region, mutates=True
    ),
)
