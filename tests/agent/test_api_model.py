"""The API against AWS's own model, as botocore ships it."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import botocore
import pytest
from msgspec import inspect

from agent.api import errors
from agent.api.operations import ADMINISTRATION, OPERATIONS, Operation
from agent.api.shapes.base import WHOLE_MATCH, Empty
from agent.authz import explain
from agent.operations.table import HANDLERS

MODEL: Final[dict[str, Any]] = json.loads(
    gzip.decompress((Path(botocore.__file__).parent / "data/kms/2014-11-01/service-2.json.gz").read_bytes())
)
SHAPES: Final[dict[str, Any]] = MODEL["shapes"]

# What AWS always answers, though its model requires hardly any member of a response.
ALWAYS_ANSWERED: Final = {
    "CreateKeyResponse": {"KeyMetadata"},
    "DescribeKeyResponse": {"KeyMetadata"},
    "ListKeysResponse": {"Keys"},
    "KeyListEntry": {"KeyId", "KeyArn"},
    "ScheduleKeyDeletionResponse": {"KeyId"},
    "CancelKeyDeletionResponse": {"KeyId"},
    "GenerateDataKeyResponse": {"CiphertextBlob", "KeyId"},
    "GenerateDataKeyWithoutPlaintextResponse": {"CiphertextBlob", "KeyId"},
    "EncryptResponse": {"CiphertextBlob", "KeyId"},
    "DecryptResponse": {"KeyId"},
    "ReEncryptResponse": {"CiphertextBlob", "KeyId"},
    "ListAliasesResponse": {"Aliases"},
    "AliasListEntry": {"AliasName", "AliasArn"},
    "GetKeyPolicyResponse": {"Policy"},
    "GetKeyRotationStatusResponse": {"KeyRotationEnabled"},
    "RotateKeyOnDemandResponse": {"KeyId"},
    "ListKeyRotationsResponse": {"Rotations"},
    "CreateGrantResponse": {"GrantId", "GrantToken"},
    "ListGrantsResponse": {"Grants"},
    "ListResourceTagsResponse": {"Tags"},
    "ListKeyPoliciesResponse": {"PolicyNames"},
    "GetParametersForImportResponse": {"ImportToken", "KeyId", "ParametersValidTo", "PublicKey"},
    "ReplicateKeyResponse": {"ReplicaKeyMetadata", "ReplicaPolicy"},
    "CreateCustomKeyStoreResponse": {"CustomKeyStoreId"},
    "DescribeCustomKeyStoresResponse": {"CustomKeyStores"},
    "SignResponse": {"KeyId", "Signature", "SigningAlgorithm"},
    "VerifyResponse": {"KeyId", "SignatureValid", "SigningAlgorithm"},
    "GetPublicKeyResponse": {"KeyId", "PublicKey"},
    "GenerateMacResponse": {"KeyId", "Mac", "MacAlgorithm"},
    "VerifyMacResponse": {"KeyId", "MacAlgorithm", "MacValid"},
    "DeriveSharedSecretResponse": {"KeyId"},
    "EncapsulateResponse": {"KeyId", "SharedSecretCiphertextBlob"},
    "DecapsulateResponse": {"KeyId"},
    "GenerateDataKeyPairResponse": {"KeyId", "KeyPairSpec", "PrivateKeyCiphertextBlob", "PublicKey"},
    "GenerateDataKeyPairWithoutPlaintextResponse": {
        "KeyId",
        "KeyPairSpec",
        "PrivateKeyCiphertextBlob",
        "PublicKey",
    },
    "GetKeyLastUsageResponse": {"KeyId"},
    "ImportKeyMaterialResponse": {"KeyId"},
    "DeleteImportedKeyMaterialResponse": {"KeyId"},
}


# Regions of this service may have any name, so more is taken here than on AWS.
OWN_PATTERNS: Final = {"RegionType": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"}


def modelled(name: str) -> Any:  # noqa: ANN401 -- nested tuples, one kind per type
    """Return what the model says about a shape, in a form that both sides can be brought to."""
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        required = set(shape.get("required", ())) | ALWAYS_ANSWERED.get(name, set())
        members = shape["members"].items()
        return {member: (member in required, modelled(spec["shape"])) for member, spec in members}
    if kind == "list":
        return ("list", shape.get("min"), shape.get("max"), modelled(shape["member"]["shape"]))
    if kind == "map":
        return ("map", modelled(shape["key"]["shape"]), modelled(shape["value"]["shape"]))
    if "enum" in shape:
        return ("enum", tuple(shape["enum"]))
    if kind == "blob":
        return ("blob", shape.get("min"), shape.get("max"), shape.get("sensitive", False))
    return (kind, shape.get("min"), shape.get("max"), OWN_PATTERNS.get(name, shape.get("pattern")))


def unwrapped(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """Return the type behind an optional, and whether it is marked as sensitive."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return kind.type, (kind.extra or {}).get("sensitive", False)
    return kind, False


def pattern_of(kind: Any) -> str | None:  # noqa: ANN401 -- a StrType, told by the table
    """Return a pattern as AWS writes it."""
    prefix, suffix = WHOLE_MATCH
    return kind.pattern and kind.pattern.removeprefix(prefix).removesuffix(suffix)


# Per type: what our own annotation says, in the form of `modelled`.
WRITTEN: Final[dict[type[inspect.Type], Callable[[Any, bool], Any]]] = {
    inspect.StructType: lambda kind, _: {
        field.encode_name: (field.required, written(field.type)) for field in kind.fields
    },
    inspect.VarTupleType: lambda kind, _: (
        "list",
        kind.min_length,
        kind.max_length,
        written(kind.item_type),
    ),
    inspect.DictType: lambda kind, _: ("map", written(kind.key_type), written(kind.value_type)),
    inspect.EnumType: lambda kind, _: ("enum", tuple(member.value for member in kind.cls)),
    inspect.BytesType: lambda kind, sensitive: ("blob", kind.min_length, kind.max_length, sensitive),
    inspect.StrType: lambda kind, _: ("string", kind.min_length, kind.max_length, pattern_of(kind)),
    inspect.IntType: lambda kind, _: ("integer", kind.ge, kind.le, None),
    inspect.BoolType: lambda _kind, _: ("boolean", None, None, None),
    inspect.FloatType: lambda _kind, _: ("timestamp", None, None, None),
}


def written(kind: inspect.Type) -> Any:  # noqa: ANN401 -- nested tuples, one kind per type
    """Return what our own annotation says, in the form of `modelled`."""
    bare, sensitive = unwrapped(kind)
    return WRITTEN[type(bare)](bare, sensitive)


def test_the_service_is_the_one_we_speak() -> None:
    """The model is of JSON 1.1 with the target prefix that the agent serves."""
    metadata = MODEL["metadata"]
    assert (metadata["protocol"], metadata["jsonVersion"]) == ("json", "1.1")
    assert metadata["targetPrefix"] == "TrentService"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_operation_is_as_modelled(operation: Operation[Any, Any]) -> None:
    """Members, types, constraints, required members, exceptions and action are those of AWS's model."""
    model = MODEL["operations"][operation.name]
    assert operation.action == f"kms:{operation.name}"
    assert written(inspect.type_info(operation.request)) == modelled(model["input"]["shape"])
    if "output" in model:
        assert written(inspect.type_info(operation.response)) == modelled(model["output"]["shape"])
    else:
        assert operation.response is Empty
    assert {error.code for error in operation.errors} == {error["shape"] for error in model["errors"]}
    assert len(operation.errors) == len(set(operation.errors))


def test_every_operation_has_a_handler() -> None:
    """What the API lists the service does, and nothing else."""
    handlers = {**HANDLERS, **{handler.operation.name: handler for handler in explain.HANDLERS}}
    operations = {**OPERATIONS, **ADMINISTRATION}
    assert set(handlers) == set(operations)
    assert all(handler.operation is operations[name] for name, handler in handlers.items())


def test_every_modelled_exception_exists() -> None:
    """All 48 exceptions of the model have a class with AWS's name and HTTP status."""
    exceptions = {name: shape for name, shape in SHAPES.items() if shape.get("exception")}
    assert len(exceptions) == 48
    assert set(errors.MODELLED_ERRORS) == set(exceptions)
    for name, shape in exceptions.items():
        error = errors.MODELLED_ERRORS[name]
        assert (error.__name__, error.code) == (name, name)
        assert error.status == (500 if shape.get("fault") else 400)
        assert [*shape["members"]] == [error.message_key]


def test_sensitive_members_are_kept_out_of_representations() -> None:
    """Each structure that the model gives a sensitive member hides exactly that member."""
    seen = 0
    for operation in OPERATIONS.values():
        for shape in (operation.request, operation.response):
            model = SHAPES.get(shape.__name__, {"members": {}})["members"]
            marked = {name for name, spec in model.items() if SHAPES[spec["shape"]].get("sensitive")}
            assert {name.title().replace("_", "") for name in shape.sensitive_members} == marked
            seen += len(marked)
    assert seen == 15


def test_each_table_is_one_service() -> None:
    """An operation names the service in whose table it is."""
    assert {operation.service for operation in OPERATIONS.values()} == {"TrentService"}
    assert {operation.service for operation in ADMINISTRATION.values()} == {"KmsAgent"}
