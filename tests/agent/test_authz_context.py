"""The condition keys of requests: where each comes from, and what a parameter left out counts as."""

from dataclasses import replace
from typing import Any, Final

import pytest

from agent.api.operations import OPERATIONS
from agent.api.shapes.grants import GrantConstraints
from agent.api.shapes.keys import Tag
from agent.authz import context
from agent.authz.context import RequestContext
from agent.authz.facts import Facts
from agent.keys.principal import Principal
from agent.policy import condition_keys
from services import ACCOUNT, Service

ROLE: Final = Principal(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s1",
    ACCOUNT,
    "app:s1",
    kind="AssumedRole",
    role_arn=f"arn:aws:iam::{ACCOUNT}:role/app",
    tags={"Team": "red"},
    via_service="s3.local.amazonaws.com",
    source_arn="arn:aws:s3:local:111122223333:bucket",
    source_ip="203.0.113.7",
    secure_transport=False,
)

# Operation, its parameters (KEY is the key's id), condition key, values; the action is that of the operation.
OF_REQUESTS: Final[list[tuple[str, dict[str, Any], str, tuple[str, ...] | None]]] = [
    ("CreateKey", {}, "kms:keyspec", ("SYMMETRIC_DEFAULT",)),
    ("CreateKey", {"key_spec": "RSA_2048"}, "kms:keyspec", ("RSA_2048",)),
    ("CreateKey", {"customer_master_key_spec": "RSA_2048"}, "kms:customermasterkeyspec", ("RSA_2048",)),
    ("CreateKey", {}, "kms:keyusage", ("ENCRYPT_DECRYPT",)),
    ("CreateKey", {"key_usage": "SIGN_VERIFY"}, "kms:customermasterkeyusage", ("SIGN_VERIFY",)),
    ("CreateKey", {}, "kms:keyorigin", ("AWS_KMS",)),
    ("CreateKey", {"origin": "EXTERNAL"}, "kms:keyorigin", ("EXTERNAL",)),
    ("CreateKey", {}, "kms:multiregion", ("false",)),
    ("CreateKey", {"multi_region": True}, "kms:multiregion", ("true",)),
    ("CreateKey", {"multi_region": True}, "kms:multiregionkeytype", ("PRIMARY",)),
    ("CreateKey", {}, "kms:multiregionkeytype", None),
    ("CreateKey", {}, "kms:bypasspolicylockoutsafetycheck", ("false",)),
    ("CreateKey", {"tags": (Tag(tag_key="Cost", tag_value="4"),)}, "aws:requesttag/cost", ("4",)),
    ("CreateKey", {"tags": (Tag(tag_key="Cost", tag_value="4"),)}, "aws:tagkeys", ("Cost",)),
    ("CreateKey", {}, "aws:tagkeys", None),
    ("UntagResource", {"key_id": "KEY", "tag_keys": ("a", "b")}, "aws:tagkeys", ("a", "b")),
    ("DescribeKey", {"key_id": "KEY"}, "kms:keyspec", ("SYMMETRIC_DEFAULT",)),
    ("DescribeKey", {"key_id": "KEY"}, "kms:multiregionkeytype", None),
    ("DescribeKey", {"key_id": "KEY"}, "aws:resourcetag/site", ("north",)),
    ("DescribeKey", {"key_id": "KEY"}, "aws:resourcetag/other", None),
    ("DescribeKey", {"key_id": "KEY"}, "kms:resourcealiases", ("alias/a", "alias/b")),
    ("DescribeKey", {"key_id": "KEY"}, "kms:encryptionalgorithm", None),
    ("DescribeKey", {"key_id": "KEY"}, "kms:encryptioncontextkeys", None),
    ("PutKeyPolicy", {"key_id": "KEY", "policy": "{}"}, "kms:policyname", ("default",)),
    ("Encrypt", {"key_id": "KEY", "plaintext": b"t"}, "kms:encryptionalgorithm", ("SYMMETRIC_DEFAULT",)),
    (
        "Encrypt",
        {"key_id": "KEY", "plaintext": b"t", "encryption_algorithm": "RSAES_OAEP_SHA_1"},
        "kms:encryptionalgorithm",
        ("RSAES_OAEP_SHA_1",),
    ),
    (
        "Encrypt",
        {"key_id": "KEY", "plaintext": b"t", "encryption_context": {"App": "x", "b": "y"}},
        "kms:encryptioncontextkeys",
        ("App", "b"),
    ),
    (
        "Encrypt",
        {"key_id": "KEY", "plaintext": b"t", "encryption_context": {"App": "x", "app": "y"}},
        "kms:encryptioncontext:app",
        ("x", "y"),
    ),
    ("GenerateDataKey", {"key_id": "KEY"}, "kms:encryptionalgorithm", ("SYMMETRIC_DEFAULT",)),
    ("GenerateDataKey", {"key_id": "KEY"}, "kms:encryptioncontext:a", None),
    (
        "GenerateDataKeyPair",
        {"key_id": "KEY", "key_pair_spec": "RSA_2048"},
        "kms:datakeypairspec",
        ("RSA_2048",),
    ),
    (
        "Sign",
        {"key_id": "KEY", "message": b"m", "signing_algorithm": "ECDSA_SHA_256"},
        "kms:messagetype",
        ("RAW",),
    ),
    (
        "Sign",
        {"key_id": "KEY", "message": b"m", "signing_algorithm": "ECDSA_SHA_256"},
        "kms:signingalgorithm",
        ("ECDSA_SHA_256",),
    ),
    (
        "GenerateMac",
        {"key_id": "KEY", "message": b"m", "mac_algorithm": "HMAC_SHA_256"},
        "kms:macalgorithm",
        ("HMAC_SHA_256",),
    ),
    (
        "DeriveSharedSecret",
        {"key_id": "KEY", "key_agreement_algorithm": "ECDH", "public_key": b"k"},
        "kms:keyagreementalgorithm",
        ("ECDH",),
    ),
    ("EnableKeyRotation", {"key_id": "KEY"}, "kms:rotationperiodindays", ("365",)),
    (
        "EnableKeyRotation",
        {"key_id": "KEY", "rotation_period_in_days": 90},
        "kms:rotationperiodindays",
        ("90",),
    ),
    ("ScheduleKeyDeletion", {"key_id": "KEY"}, "kms:schedulekeydeletionpendingwindowindays", ("30",)),
    (
        "ImportKeyMaterial",
        {"key_id": "KEY", "import_token": b"t", "encrypted_key_material": b"m", "valid_to": 5.0},
        "kms:expirationmodel",
        ("KEY_MATERIAL_EXPIRES",),
    ),
    (
        "ImportKeyMaterial",
        {"key_id": "KEY", "import_token": b"t", "encrypted_key_material": b"m", "valid_to": 5.0},
        "kms:validto",
        ("5.0",),
    ),
    (
        "GetParametersForImport",
        {
            "key_id": "KEY",
            "wrapping_algorithm": "RSAES_OAEP_SHA_256",
            "wrapping_key_spec": "RSA_2048",
        },
        "kms:wrappingkeyspec",
        ("RSA_2048",),
    ),
    ("ReplicateKey", {"key_id": "KEY", "replica_region": "eu-west-1"}, "kms:replicaregion", ("eu-west-1",)),
    (
        "UpdatePrimaryRegion",
        {"key_id": "KEY", "primary_region": "eu-west-1"},
        "kms:primaryregion",
        ("eu-west-1",),
    ),
    (
        "CreateGrant",
        {"key_id": "KEY", "grantee_principal": ROLE.role_arn, "operations": ("Decrypt", "Encrypt")},
        "kms:grantoperations",
        ("Decrypt", "Encrypt"),
    ),
    (
        "CreateGrant",
        {"key_id": "KEY", "grantee_principal": ROLE.role_arn, "operations": ("Decrypt",)},
        "kms:granteeprincipal",
        (str(ROLE.role_arn),),
    ),
    (
        "CreateGrant",
        {"key_id": "KEY", "retiring_principal": ROLE.role_arn, "operations": ("Decrypt",)},
        "kms:retiringprincipal",
        (str(ROLE.role_arn),),
    ),
    (
        "CreateGrant",
        {
            "key_id": "KEY",
            "operations": ("Decrypt",),
            "constraints": GrantConstraints(encryption_context_subset={"a": "b"}),
        },
        "kms:grantconstrainttype",
        ("EncryptionContextSubset",),
    ),
    (
        "CreateGrant",
        {
            "key_id": "KEY",
            "operations": ("Decrypt",),
            "constraints": GrantConstraints(encryption_context_subset={"a": "b"}),
        },
        "kms:encryptioncontext:a",
        ("b",),
    ),
    ("CreateGrant", {"key_id": "KEY", "operations": ("Decrypt",)}, "kms:encryptioncontextkeys", None),
    ("CreateGrant", {"key_id": "KEY", "operations": ("Decrypt",)}, "kms:grantisforawsresource", ("true",)),
    ("DescribeKey", {"key_id": "KEY"}, "kms:grantisforawsresource", None),
    ("ListKeys", {}, "kms:keyspec", None),
    ("ListKeys", {}, "kms:resourcealiases", None),
]
OF_CALLERS: Final = [
    ("aws:principalarn", (f"arn:aws:iam::{ACCOUNT}:role/app",)),
    ("aws:principalaccount", (ACCOUNT,)),
    ("aws:principaltype", ("AssumedRole",)),
    ("aws:principaltag/team", ("red",)),
    ("aws:principalisawsservice", ("false",)),
    ("aws:userid", ("app:s1",)),
    ("aws:username", None),
    ("aws:sourceip", ("203.0.113.7",)),
    ("aws:securetransport", ("false",)),
    ("aws:viaawsservice", ("true",)),
    ("aws:calledvia", ("s3.local.amazonaws.com",)),
    ("aws:sourcearn", ("arn:aws:s3:local:111122223333:bucket",)),
    ("aws:sourceaccount", ("111122223333",)),
    ("aws:requestedregion", ("local",)),
    ("aws:resourceaccount", (ACCOUNT,)),
    ("aws:currenttime", ("2027-01-15T08:00:00Z",)),
    ("aws:epochtime", ("1800000000",)),
    ("aws:multifactorauthpresent", None),
    ("kms:viaservice", ("s3.local.amazonaws.com",)),
    ("kms:calleraccount", (ACCOUNT,)),
    ("kms:recipientattestation:pcr0", None),
]


async def facts(service: Service, operation_name: str, parameters: dict[str, Any]) -> Facts:
    """Return what is known of a request on a tagged key with two aliases."""
    tags = (Tag(tag_key="Site", tag_value="north"),)
    key = service.key((await service.create_key(tags=tags)).key_id)
    for name in ("alias/b", "alias/a"):
        await service.call("CreateAlias", alias_name=name, target_key_id=key.key_id)
    operation = OPERATIONS[operation_name]
    filled = {name: key.key_id if value == "KEY" else value for name, value in parameters.items()}
    of_key = key if "key_id" in filled else None
    return Facts(service.kms, ROLE, operation.action, operation.request(**filled), of_key)


@pytest.mark.parametrize(("operation", "parameters", "name", "values"), OF_REQUESTS)
async def test_what_requests_bring(
    service: Service,
    operation: str,
    parameters: dict[str, Any],
    name: str,
    values: tuple[str, ...] | None,
) -> None:
    """A condition key has the request's value, the default, or the key's; or there is none."""
    assert RequestContext(await facts(service, operation, parameters)).get(name) == values


@pytest.mark.parametrize(("name", "values"), OF_CALLERS)
async def test_what_callers_bring(service: Service, name: str, values: tuple[str, ...] | None) -> None:
    """Who asks, when and how is the same for every operation."""
    assert RequestContext(await facts(service, "ListKeys", {})).get(name) == values


async def test_each_side_of_re_encrypt_has_its_own(service: Service) -> None:
    """The source is judged by the source's context and algorithm, the destination by its own."""
    parameters = {
        "ciphertext_blob": b"x",
        "destination_key_id": "KEY",
        "source_encryption_context": {"a": "from"},
        "destination_encryption_context": {"a": "to"},
        "source_encryption_algorithm": "RSAES_OAEP_SHA_1",
    }
    asked = await facts(service, "ReEncrypt", parameters)
    for action, pair, algorithm in (
        ("kms:ReEncryptFrom", "from", "RSAES_OAEP_SHA_1"),
        ("kms:ReEncryptTo", "to", "SYMMETRIC_DEFAULT"),
    ):
        side = RequestContext(asked._replace(action=action, both_keys_alike=True))
        assert side.get("kms:encryptioncontext:a") == (pair,)
        assert side.get("kms:encryptionalgorithm") == (algorithm,)
        assert side.get("kms:reencryptonsamekey") == ("true",)


async def test_user_names_are_of_users(service: Service) -> None:
    """A user's name is the last part of its path."""
    asked = await facts(service, "ListKeys", {})
    alice = replace(service.callers.alice, arn=f"arn:aws:iam::{ACCOUNT}:user/staff/alice")
    assert RequestContext(asked._replace(principal=alice)).get("aws:username") == ("alice",)


def test_every_source_is_of_a_condition_key() -> None:
    """No source is misspelt: policies can ask for each of them."""
    assert [name for name in context._SOURCES if condition_keys.find(name) is None] == []
    assert all(condition_keys.find(f"{prefix}x") is not None for prefix in context._FAMILIES)
