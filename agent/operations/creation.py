"""Owns CreateKey and its rules: which spec goes with which usage and origin."""

import uuid
from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin
from agent.api.errors import (
    LimitExceededException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.keys import CreateKeyRequest, CreateKeyResponse
from agent.backends import local
from agent.crypto.specs import USAGES, require_supported
from agent.keys.key import Key, KeyMaterial
from agent.operations import handler
from agent.operations.keystores import no_such_store
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.metadata import metadata
from agent.operations.policies import default_policy, require_accepted
from agent.operations.tags import KeyTags, check_tags, key_tags
from agent.operations.targets import AccountTarget, Target

_CUSTOM_ORIGINS: Final = frozenset({Origin.AWS_CLOUDHSM, Origin.EXTERNAL_KEY_STORE})


def check_create_key(request: CreateKeyRequest) -> None:
    """Refuse contradictions that the model allows, then what this agent cannot make."""
    spec = _spec(request)
    usage = _usage(request, spec)
    if usage not in USAGES[spec]:
        raise ValidationException(f"KeyUsage {usage} is not compatible with KeySpec {spec}")
    _check_origin(request, spec)
    check_tags(request.tags or ())
    require_supported(spec)
    require_accepted(request.policy)


def create_key_targets(request: CreateKeyRequest) -> tuple[Target, ...]:
    """Return what the caller must be allowed: to create keys, and to tag them if this one gets tags."""
    create = AccountTarget(api.CREATE_KEY.action)
    return (create, AccountTarget(api.TAG_RESOURCE.action)) if request.tags else (create,)


def create_key(kms: Kms, caller: Caller, _keys: Keys, request: CreateKeyRequest) -> CreateKeyResponse:
    """Make a customer managed key, with its first material unless that is to be imported."""
    if request.custom_key_store_id is not None:
        raise no_such_store(request.custom_key_store_id)
    spec = _spec(request)
    # Before the transaction: making RSA material takes long, and there is one writer at a time.
    key, material = make_key(
        kms,
        creator_arn=caller.arn,
        description=request.description or "",
        key_manager=KeyManager.CUSTOMER,
        policy=request.policy or default_policy(kms.account_id),
        spec=spec,
        usage=_usage(request, spec),
        origin=request.origin or Origin.AWS_KMS,
        multi_region=bool(request.multi_region),
        tags=key_tags(request.tags or ()),
    )
    with kms.store.write() as transaction:
        require_room(kms)
        transaction.put(key)
        if material is not None:
            transaction.put(material)
    return CreateKeyResponse(key_metadata=metadata(kms, key))


def require_room(kms: Kms) -> None:
    """Refuse one key too many; asked within the transaction that puts it.

    Raises:
        LimitExceededException: the Region has as many keys as it may have.
    """
    if len(kms.store.keys(kms.region)) >= kms.quotas.keys:
        raise LimitExceededException(
            f"The account has {kms.quotas.keys} KMS keys already. Schedule the deletion of unused keys."
        )


def make_key(
    kms: Kms,
    *,
    creator_arn: str,
    description: str,
    key_manager: KeyManager,
    policy: str,
    spec: KeySpec = KeySpec.SYMMETRIC_DEFAULT,
    usage: KeyUsage = KeyUsage.ENCRYPT_DECRYPT,
    origin: Origin = Origin.AWS_KMS,
    multi_region: bool = False,
    tags: KeyTags = (),
) -> tuple[Key, KeyMaterial | None]:
    """Return a new key, and its first material where it is made here; both are for the caller to put."""
    now = kms.now()
    key_id = f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())
    material = None
    if origin is Origin.AWS_KMS:
        material = local.new_material(
            kms.barrier, key_id, region=kms.region, generation=0, rotation_type=None, now=now, spec=spec
        )
    key = Key(
        key_id=key_id,
        region=kms.region,
        account_id=kms.account_id,
        creation_date=now,
        creator_arn=creator_arn,
        description=description,
        key_state=KeyState.PENDING_IMPORT if material is None else KeyState.ENABLED,
        key_spec=spec,
        key_usage=usage,
        origin=origin,
        key_manager=key_manager,
        policy=policy,
        current_material_id="" if material is None else material.material_id,
        primary_region=kms.region if multi_region else None,
        tags=tags,
    )
    return key, material


def _spec(request: CreateKeyRequest) -> KeySpec:
    if request.key_spec is not None and request.customer_master_key_spec is not None:
        raise ValidationException(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated."
        )
    return KeySpec(request.key_spec or request.customer_master_key_spec or KeySpec.SYMMETRIC_DEFAULT)


def _usage(request: CreateKeyRequest, spec: KeySpec) -> KeyUsage:
    if request.key_usage is not None:
        return request.key_usage
    if spec is not KeySpec.SYMMETRIC_DEFAULT:
        raise ValidationException(
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
        )
    return KeyUsage.ENCRYPT_DECRYPT


def _check_origin(request: CreateKeyRequest, spec: KeySpec) -> None:
    origin = request.origin or Origin.AWS_KMS
    if (request.custom_key_store_id is not None) != (origin in _CUSTOM_ORIGINS):
        raise ValidationException(
            f"Origin {origin} and CustomKeyStoreId do not go together: a custom key store needs "
            "the Origin AWS_CLOUDHSM or EXTERNAL_KEY_STORE, and those need a custom key store."
        )
    if (request.xks_key_id is not None) != (origin is Origin.EXTERNAL_KEY_STORE):
        raise ValidationException(
            "XksKeyId is required for the Origin EXTERNAL_KEY_STORE and not valid for any other."
        )
    if origin in _CUSTOM_ORIGINS and (spec is not KeySpec.SYMMETRIC_DEFAULT or request.multi_region):
        raise UnsupportedOperationException(
            "Keys in a custom key store are single-Region symmetric encryption keys."
        )


HANDLERS: Final = (
    handler.Handler(
        api.CREATE_KEY,
        create_key_targets,
        create_key,
        check_create_key,
        mutates=True,
        created=lambda response: str(response.key_metadata.arn),
    ),
)
