"""Owns CreateKey and its rules: which spec goes with which usage and origin, and what this version makes."""

import uuid
from collections.abc import Mapping
from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin
from agent.api.errors import (
    LimitExceededException,
    TagException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.keys import CreateKeyRequest, CreateKeyResponse, Tag
from agent.backends import local
from agent.keys.key import Key
from agent.operations import handler
from agent.operations.keys import metadata
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.policies import default_policy, require_accepted
from agent.store.protocol import StoreTransaction

MAX_KEYS: Final = 100_000
_MAX_TAGS: Final = 50
_RESERVED_TAG_PREFIX: Final = "aws:"

_ENCRYPT: Final = frozenset({KeyUsage.ENCRYPT_DECRYPT})
_SIGN: Final = frozenset({KeyUsage.SIGN_VERIFY})
_MAC: Final = frozenset({KeyUsage.GENERATE_VERIFY_MAC})
_AGREE: Final = frozenset({KeyUsage.KEY_AGREEMENT})
_ENCAPSULATE: Final = frozenset({KeyUsage.ENCAPSULATE_DECAPSULATE})

USAGES: Final[Mapping[KeySpec, frozenset[KeyUsage]]] = {
    KeySpec.SYMMETRIC_DEFAULT: _ENCRYPT,
    KeySpec.RSA_2048: _ENCRYPT | _SIGN,
    KeySpec.RSA_3072: _ENCRYPT | _SIGN,
    KeySpec.RSA_4096: _ENCRYPT | _SIGN,
    KeySpec.ECC_NIST_P256: _SIGN | _AGREE,
    KeySpec.ECC_NIST_P384: _SIGN | _AGREE,
    KeySpec.ECC_NIST_P521: _SIGN | _AGREE,
    KeySpec.ECC_SECG_P256K1: _SIGN,
    KeySpec.ECC_NIST_EDWARDS25519: _SIGN,
    KeySpec.ML_DSA_44: _SIGN,
    KeySpec.ML_DSA_65: _SIGN,
    KeySpec.ML_DSA_87: _SIGN,
    KeySpec.HMAC_224: _MAC,
    KeySpec.HMAC_256: _MAC,
    KeySpec.HMAC_384: _MAC,
    KeySpec.HMAC_512: _MAC,
    KeySpec.ML_KEM_512: _ENCAPSULATE,
    KeySpec.ML_KEM_768: _ENCAPSULATE,
    KeySpec.ML_KEM_1024: _ENCAPSULATE,
    KeySpec.SM2: _ENCRYPT | _SIGN | _AGREE,
}
"""The usages that go with each spec."""

_CUSTOM_ORIGINS: Final = frozenset({Origin.AWS_CLOUDHSM, Origin.EXTERNAL_KEY_STORE})


def check_create_key(request: CreateKeyRequest) -> None:
    """Refuse contradictions that the model allows, then what this version cannot make."""
    spec = _spec(request)
    usage = _usage(request, spec)
    if usage not in USAGES[spec]:
        raise ValidationException(f"KeyUsage {usage} is not compatible with KeySpec {spec}")
    _check_origin(request, spec)
    _check_tags(request.tags or ())
    for refused, what in (
        (spec is not KeySpec.SYMMETRIC_DEFAULT, f"KeySpec {spec}: leave it out for a symmetric key"),
        ((request.origin or Origin.AWS_KMS) is not Origin.AWS_KMS, "an Origin other than AWS_KMS"),
        (bool(request.multi_region), "MultiRegion"),
        (bool(request.tags), "Tags: leave them out"),
    ):
        if refused:
            raise UnsupportedOperationException(f"This version does not support {what}.")


def create_key(kms: Kms, caller: Caller, _keys: Keys, request: CreateKeyRequest) -> CreateKeyResponse:
    """Make a customer managed key with its first material."""
    if request.policy is not None:
        require_accepted(request.policy, kms.account_id)
    with kms.store.write() as transaction:
        if len(kms.store.keys(kms.region)) >= MAX_KEYS:
            raise LimitExceededException(
                f"The account has {MAX_KEYS} KMS keys already. Schedule the deletion of unused keys."
            )
        key = make_key(
            kms,
            transaction,
            creator_arn=caller.arn,
            description=request.description or "",
            key_manager=KeyManager.CUSTOMER,
            policy=request.policy or default_policy(kms.account_id),
        )
        transaction.put(key)
    return CreateKeyResponse(key_metadata=metadata(key))


def make_key(
    kms: Kms,
    transaction: StoreTransaction,
    *,
    creator_arn: str,
    description: str,
    key_manager: KeyManager,
    policy: str,
) -> Key:
    """Return a new symmetric key; its material is put already, the key itself is for the caller to put."""
    now = kms.now()
    key_id = str(uuid.uuid4())
    material = local.new_material(
        kms.barrier, key_id, region=kms.region, generation=0, rotation_type=None, now=now
    )
    transaction.put(material)
    return Key(
        key_id=key_id,
        region=kms.region,
        account_id=kms.account_id,
        creation_date=now,
        creator_arn=creator_arn,
        description=description,
        key_state=KeyState.ENABLED,
        key_spec=KeySpec.SYMMETRIC_DEFAULT,
        key_usage=KeyUsage.ENCRYPT_DECRYPT,
        origin=Origin.AWS_KMS,
        key_manager=key_manager,
        policy=policy,
        current_material_id=material.material_id,
    )


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


def _check_tags(tags: tuple[Tag, ...]) -> None:
    if len(tags) > _MAX_TAGS:
        raise TagException("Too many tags")
    if len({tag.tag_key for tag in tags}) < len(tags):
        raise TagException("Duplicate tag keys")
    if any(tag.tag_key.lower().startswith(_RESERVED_TAG_PREFIX) for tag in tags):
        raise TagException("Tags beginning with aws: are reserved")


HANDLERS: Final = (
    handler.Handler(
        api.CREATE_KEY,
        handler.account(api.CREATE_KEY),
        create_key,
        check_create_key,
        mutates=True,
        created=lambda response: str(response.key_metadata.arn),
    ),
)
