"""Owns the operations on imported key material: parameters and token, import, deletion."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.enums import (
    AlgorithmSpec,
    ExpirationModel,
    ImportState,
    ImportType,
    KeySpec,
    WrappingKeySpec,
)
from agent.api.errors import (
    ExpiredImportTokenException,
    IncorrectKeyMaterialException,
    InvalidImportTokenException,
    NotFoundException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.material import (
    DeleteImportedKeyMaterialRequest,
    DeleteImportedKeyMaterialResponse,
    GetParametersForImportRequest,
    GetParametersForImportResponse,
    ImportKeyMaterialRequest,
    ImportKeyMaterialResponse,
)
from agent.crypto import importing, keywrap, rsa
from agent.crypto.import_token import ImportToken, open_token, seal
from agent.keys import imports as rules
from agent.keys.key import Key, KeyMaterial
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.related import put_key, refuse_replica, relatives
from agent.operations.targets import present
from agent.store.protocol import StoreTransaction

_TOKEN_LABEL: Final = b"kms-agent import tokens 1"
_TOKEN_SECONDS: Final = 86_400
_MAX_VALID_SECONDS: Final = 365 * 86_400

# What a direct encryption takes of each is more than the material, with this exception.
_TOO_LARGE: Final[Mapping[WrappingKeySpec, frozenset[KeySpec]]] = {
    WrappingKeySpec.RSA_2048: frozenset({KeySpec.ECC_NIST_P521}),
}


def get_parameters_for_import(
    kms: Kms, _caller: Caller, keys: Keys, request: GetParametersForImportRequest
) -> GetParametersForImportResponse:
    """Return a fresh wrapping key, and the token that its private half travels in until the import."""
    (key,) = keys
    require_state(key, "GetParametersForImport")
    _require_wrapping(key.key_spec, request.wrapping_algorithm, request.wrapping_key_spec)
    pair = keywrap.generate(request.wrapping_key_spec)
    valid_to = kms.now() + _TOKEN_SECONDS
    token = ImportToken(
        key_id=key.key_id,
        region=key.region,
        algorithm=request.wrapping_algorithm,
        wrapping_key_spec=request.wrapping_key_spec,
        private_key=pair.private_key,
        valid_to=valid_to,
    )
    return GetParametersForImportResponse(
        key_id=key.arn,
        import_token=seal(kms.barrier.derive(_TOKEN_LABEL), token),
        public_key=pair.public_key,
        parameters_valid_to=valid_to,
    )


def check_import_key_material(request: ImportKeyMaterialRequest) -> None:
    """Refuse members that contradict each other."""
    expires = request.expiration_model is not ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE
    if expires and request.valid_to is None:
        raise ValidationException("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
    if not expires and request.valid_to is not None:
        raise ValidationException(
            "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"
        )
    if request.import_type is ImportType.NEW_KEY_MATERIAL and request.key_material_id is not None:
        raise ValidationException(
            "A keyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL: "
            "new key material gets its id from KMS"
        )


def import_key_material(
    kms: Kms, _caller: Caller, keys: Keys, request: ImportKeyMaterialRequest
) -> ImportKeyMaterialResponse:
    """Give a key the material that its owner brings, the first time or again."""
    (key,) = keys
    require_state(key, "ImportKeyMaterial")
    _require_symmetric_members(key, request)
    _require_valid_to(request.valid_to, kms.now())
    # Before the transaction: decrypting and validating take long, and there is one writer at a time.
    material = importing.read(key.key_spec, _unwrap(kms, key, request))
    fingerprint = kms.barrier.fingerprint(importing.identity(material))
    material_id = rules.material_id(key, fingerprint)
    with kms.store.write() as transaction:
        key = present(kms, key)
        require_state(key, "ImportKeyMaterial")
        materials = kms.store.materials(key.region, key.key_id)
        record = rules.require_expected(key, materials, material_id, request.import_type)
        _require_same_id(material_id, request.key_material_id)
        if record is None:
            refuse_replica(key)
            record = rules.first_record(key, materials, material_id, kms.now())
            _announce(kms, transaction, key, record)
        imported = replace(
            record,
            wrapped=kms.barrier.wrap_material(material_id, key.key_id, material.plaintext),
            public_key=material.public_key,
            import_state=ImportState.IMPORTED,
            description=_description(record, request),
            expiration_model=request.expiration_model or ExpirationModel.KEY_MATERIAL_EXPIRES,
            valid_to=request.valid_to,
            fingerprint=fingerprint,
        )
        transaction.put(imported)
        put_key(kms, transaction, rules.key_after_import(key, materials, imported))
    symmetric = key.key_spec is KeySpec.SYMMETRIC_DEFAULT
    return ImportKeyMaterialResponse(key_id=key.arn, key_material_id=material_id if symmetric else None)


def delete_imported_key_material(
    kms: Kms, _caller: Caller, keys: Keys, request: DeleteImportedKeyMaterialRequest
) -> DeleteImportedKeyMaterialResponse:
    """Delete imported material; the key cannot be used until the same material is imported again."""
    symmetric = keys[0].key_spec is KeySpec.SYMMETRIC_DEFAULT
    if request.key_material_id is not None and not symmetric:
        raise ValidationException(_only_symmetric("keyMaterialId"))
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        require_state(key, "DeleteImportedKeyMaterial")
        material_id = request.key_material_id or key.current_material_id
        material = kms.store.material(key.region, material_id)
        if material is not None and material.key_id == key.key_id:
            remove(kms, transaction, key, material)
        elif request.key_material_id is not None:
            raise NotFoundException(
                f"Key material (id: {material_id}) is not associated with KMS key {key.arn}."
            )
    kms.barrier.forget_key(key.key_id)
    return DeleteImportedKeyMaterialResponse(
        key_id=key.arn, key_material_id=(material_id or None) if symmetric else None
    )


def remove(kms: Kms, transaction: StoreTransaction, key: Key, material: KeyMaterial) -> None:
    """Take material from its key: its record goes too if it never became current, in every Region."""
    if material.pending_rotation and not key.replica:
        for member in (key, *relatives(kms, key)):
            transaction.delete(replace(material, region=member.region))
        return
    left = rules.removed(material)
    transaction.put(left)
    others = (other for other in kms.store.materials(key.region, key.key_id) if other is not material)
    transaction.put(replace(key, key_state=rules.state_after_removal(key, (*others, left))))


def _unwrap(kms: Kms, key: Key, request: ImportKeyMaterialRequest) -> bytes:
    token = open_token(kms.barrier.derive(_TOKEN_LABEL), request.import_token)
    if (token.key_id, token.region) != (key.key_id, key.region):
        raise InvalidImportTokenException
    if token.valid_to <= kms.now():
        raise ExpiredImportTokenException
    return keywrap.unwrap(token.algorithm, token.private_key, request.encrypted_key_material)


def _announce(kms: Kms, transaction: StoreTransaction, key: Key, record: KeyMaterial) -> None:
    """Let the replicas of a key know of its new material, which they have to be given one by one."""
    for relative in relatives(kms, key):
        transaction.put(rules.removed(replace(record, region=relative.region)))


def _description(record: KeyMaterial, request: ImportKeyMaterialRequest) -> str:
    """Return the description given; where none is given, what was said the last time stays."""
    given = request.key_material_description
    return record.description if given is None else given


def _require_wrapping(spec: KeySpec, algorithm: AlgorithmSpec, wrapping_spec: WrappingKeySpec) -> None:
    if algorithm is AlgorithmSpec.RSAES_PKCS1_V1_5:
        raise UnsupportedOperationException(
            "WrappingAlgorithm RSAES_PKCS1_V1_5 is no longer supported. Use RSA_AES_KEY_WRAP_SHA_256 or "
            "RSAES_OAEP_SHA_256."
        )
    if algorithm not in keywrap.ALGORITHMS or wrapping_spec not in keywrap.KEY_SPECS:
        raise UnsupportedOperationException(
            f"WrappingAlgorithm {algorithm} with WrappingKeySpec {wrapping_spec} is not supported: AWS has "
            "SM2 in its China Regions only. Use RSA_AES_KEY_WRAP_SHA_256 with RSA_4096."
        )
    if not keywrap.is_direct(algorithm):
        return
    if spec in rsa.KEY_BITS or spec in _TOO_LARGE.get(wrapping_spec, ()):
        raise UnsupportedOperationException(
            f"WrappingAlgorithm {algorithm} with WrappingKeySpec {wrapping_spec} cannot encrypt key material "
            f"of KeySpec {spec}: it is too large. Use RSA_AES_KEY_WRAP_SHA_256."
        )


def _require_symmetric_members(key: Key, request: ImportKeyMaterialRequest) -> None:
    if key.key_spec is KeySpec.SYMMETRIC_DEFAULT:
        return
    for name, value in (
        ("importType", request.import_type),
        ("keyMaterialDescription", request.key_material_description),
        ("keyMaterialId", request.key_material_id),
    ):
        if value is not None:
            raise ValidationException(_only_symmetric(name))


def _only_symmetric(name: str) -> str:
    return f"A {name} can be set for symmetric encryption keys only"


def _require_valid_to(valid_to: float | None, now: float) -> None:
    if valid_to is not None and not now < valid_to <= now + _MAX_VALID_SECONDS:
        raise ValidationException("The validTo date must be in the future, and at most 365 days from now")


def _require_same_id(material_id: str, expected_id: str | None) -> None:
    if expected_id is not None and expected_id != material_id:
        raise IncorrectKeyMaterialException(
            f"Key material (id: {material_id}) does not match the specified key material (id: {expected_id})."
        )


HANDLERS: Final = (
    handler.Handler(
        api.GET_PARAMETERS_FOR_IMPORT,
        handler.key(api.GET_PARAMETERS_FOR_IMPORT),
        get_parameters_for_import,
        slow=True,
    ),
    handler.Handler(
        api.IMPORT_KEY_MATERIAL,
        handler.key(api.IMPORT_KEY_MATERIAL),
        import_key_material,
        check_import_key_material,
        mutates=True,
    ),
    handler.Handler(
        api.DELETE_IMPORTED_KEY_MATERIAL,
        handler.key(api.DELETE_IMPORTED_KEY_MATERIAL),
        delete_imported_key_material,
        mutates=True,
    ),
)
