"""Every cell of the key state table through real requests: each operation on a key in each state.

What a cell says is `agent.keys.states`, which another test compares with what AWS prints. Here every
operation gets a key that it is made for, with ciphertexts, signatures, tokens, grants and aliases made while
the key could be used; then the key is brought into the state, by the operation that leads there if one does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from agent.api.enums import KeySpec, KeyState, KeyUsage, Origin
from agent.api.errors import (
    DisabledException,
    KMSInvalidStateException,
    ServiceError,
    UnsupportedOperationException,
)
from agent.api.shapes.keys import Tag
from agent.keys.states import KEY_STATES, Verdict
from agent.operations.table import HANDLERS
from importing import import_key, parameters
from services import ACCOUNT, Service

BOB: Final = f"arn:aws:iam::{ACCOUNT}:user/bob"
MATERIAL: Final = bytes(range(32))
REFUSALS: Final[dict[Verdict, type[ServiceError]]] = {
    Verdict.DISABLED: DisabledException,
    Verdict.INVALID: KMSInvalidStateException,
    Verdict.UNSUPPORTED: UnsupportedOperationException,
}

Members = dict[str, Any]
Prepare = Callable[[Service, str], Awaitable[Members]]


async def nothing(_service: Service, key: str) -> Members:
    """The operation needs nothing but the key."""
    return {"key_id": key}


@dataclass(frozen=True)
class Recipe:
    """Which key an operation is tried on, and what it is given.

    Attributes:
        key: members of CreateKey.
        members: members of the request that are always the same.
        prepare: gives the others, while the key can be used.
        replicated: whether the key needs a replica.
    """

    key: Members = field(default_factory=dict)
    members: Members = field(default_factory=dict)
    prepare: Prepare = nothing
    replicated: bool = False


def of(spec: KeySpec, usage: KeyUsage) -> Members:
    """Return the members of CreateKey."""
    return {"key_spec": spec, "key_usage": usage}


SIGNING: Final = of(KeySpec.ECC_NIST_P256, KeyUsage.SIGN_VERIFY)
AGREEMENT: Final = of(KeySpec.ECC_NIST_P256, KeyUsage.KEY_AGREEMENT)
ENCAPSULATION: Final = of(KeySpec.ML_KEM_768, KeyUsage.ENCAPSULATE_DECAPSULATE)
MAC: Final = of(KeySpec.HMAC_256, KeyUsage.GENERATE_VERIFY_MAC)
EXTERNAL: Final = {"origin": Origin.EXTERNAL}
PRIMARY: Final = {"multi_region": True}

SIGN: Final = {"message": b"m", "signing_algorithm": "ECDSA_SHA_256"}
AUTHENTICATE: Final = {"message": b"m", "mac_algorithm": "HMAC_SHA_256"}
ENCAPSULATE: Final = {"encapsulation_algorithm": "ML_KEM"}
PAIR: Final = {"key_pair_spec": "ECC_NIST_P256"}


async def ciphertext(service: Service, key: str) -> Members:
    """Encrypt something."""
    made = await service.call("Encrypt", key_id=key, plaintext=b"t")
    return {"key_id": key, "ciphertext_blob": made.ciphertext_blob}


async def both_keys(service: Service, key: str) -> Members:
    """Encrypt something, to be encrypted anew under the same key."""
    made = await service.call("Encrypt", key_id=key, plaintext=b"t")
    return {"source_key_id": key, "destination_key_id": key, "ciphertext_blob": made.ciphertext_blob}


async def signature(service: Service, key: str) -> Members:
    """Sign the message."""
    return {"key_id": key, "signature": (await service.call("Sign", key_id=key, **SIGN)).signature}


async def mac(service: Service, key: str) -> Members:
    """Authenticate the message."""
    return {"key_id": key, "mac": (await service.call("GenerateMac", key_id=key, **AUTHENTICATE)).mac}


async def public_key(service: Service, key: str) -> Members:
    """Take the key's own public key for the other side's."""
    return {"key_id": key, "public_key": (await service.call("GetPublicKey", key_id=key)).public_key}


async def encapsulated(service: Service, key: str) -> Members:
    """Encapsulate a secret."""
    made = await service.call("Encapsulate", key_id=key, **ENCAPSULATE)
    return {"key_id": key, "shared_secret_ciphertext_blob": made.shared_secret_ciphertext_blob}


async def material(service: Service, key: str) -> Members:
    """Wrap the material that the key has, for it to come again."""
    return (await parameters(service, key)).members(MATERIAL)


async def grant(service: Service, key: str) -> Members:
    """Make a grant."""
    made = await service.call("CreateGrant", key_id=key, grantee_principal=BOB, operations=("Decrypt",))
    return {"key_id": key, "grant_id": made.grant_id}


async def grant_by_arn(service: Service, key: str) -> Members:
    """Make a grant, and name its key as RetireGrant wants it."""
    return await grant(service, key) | {"key_id": service.key(key).arn}


async def new_alias(_service: Service, key: str) -> Members:
    """Name an alias that is free."""
    return {"alias_name": "alias/new", "target_key_id": key}


async def alias_of_another(service: Service, key: str) -> Members:
    """Make an alias of another key like it."""
    other = (await service.create_key()).key_id
    await service.call("CreateAlias", alias_name="alias/moved", target_key_id=other)
    return {"alias_name": "alias/moved", "target_key_id": key}


async def own_alias(service: Service, key: str) -> Members:
    """Make an alias of the key."""
    await service.call("CreateAlias", alias_name="alias/own", target_key_id=key)
    return {"alias_name": "alias/own"}


async def own_policy(service: Service, key: str) -> Members:
    """Read the key's policy."""
    return {"key_id": key, "policy": service.key(key).policy}


RECIPES: Final[dict[str, Recipe]] = {
    "Encrypt": Recipe(members={"plaintext": b"t"}),
    "Decrypt": Recipe(prepare=ciphertext),
    "ReEncrypt": Recipe(prepare=both_keys),
    "GenerateDataKey": Recipe(members={"key_spec": "AES_256"}),
    "GenerateDataKeyWithoutPlaintext": Recipe(members={"key_spec": "AES_256"}),
    "GenerateDataKeyPair": Recipe(members=PAIR),
    "GenerateDataKeyPairWithoutPlaintext": Recipe(members=PAIR),
    "Sign": Recipe(SIGNING, SIGN),
    "Verify": Recipe(SIGNING, SIGN, signature),
    "GetPublicKey": Recipe(SIGNING),
    "GenerateMac": Recipe(MAC, AUTHENTICATE),
    "VerifyMac": Recipe(MAC, AUTHENTICATE, mac),
    "DeriveSharedSecret": Recipe(AGREEMENT, {"key_agreement_algorithm": "ECDH"}, public_key),
    "Encapsulate": Recipe(ENCAPSULATION, ENCAPSULATE),
    "Decapsulate": Recipe(ENCAPSULATION, ENCAPSULATE, encapsulated),
    "CreateGrant": Recipe(members={"grantee_principal": BOB, "operations": ("Decrypt",)}),
    "ListGrants": Recipe(),
    "RevokeGrant": Recipe(prepare=grant),
    "RetireGrant": Recipe(prepare=grant_by_arn),
    "ReplicateKey": Recipe(PRIMARY, {"replica_region": "eu-west-1"}),
    "UpdatePrimaryRegion": Recipe(PRIMARY, {"primary_region": "us-east-1"}, replicated=True),
    "EnableKey": Recipe(),
    "DisableKey": Recipe(),
    "EnableKeyRotation": Recipe(),
    "DisableKeyRotation": Recipe(),
    "RotateKeyOnDemand": Recipe(),
    "GetKeyRotationStatus": Recipe(),
    "ListKeyRotations": Recipe(),
    "ScheduleKeyDeletion": Recipe(),
    "CancelKeyDeletion": Recipe(),
    "CreateAlias": Recipe(prepare=new_alias),
    "UpdateAlias": Recipe(prepare=alias_of_another),
    "DeleteAlias": Recipe(prepare=own_alias),
    "ListAliases": Recipe(),
    "TagResource": Recipe(members={"tags": (Tag(tag_key="a", tag_value="b"),)}),
    "UntagResource": Recipe(members={"tag_keys": ("a",)}),
    "ListResourceTags": Recipe(),
    "UpdateKeyDescription": Recipe(members={"description": "d"}),
    "GetParametersForImport": Recipe(
        EXTERNAL, {"wrapping_algorithm": "RSAES_OAEP_SHA_256", "wrapping_key_spec": "RSA_2048"}
    ),
    "ImportKeyMaterial": Recipe(EXTERNAL, {"expiration_model": "KEY_MATERIAL_DOES_NOT_EXPIRE"}, material),
    "DeleteImportedKeyMaterial": Recipe(EXTERNAL),
    "DescribeKey": Recipe(),
    "GetKeyLastUsage": Recipe(),
    "GetKeyPolicy": Recipe(),
    "PutKeyPolicy": Recipe(prepare=own_policy),
    "ListKeyPolicies": Recipe(),
}


def test_every_row_has_a_recipe() -> None:
    """No operation of the table is left out, and every one of them can be called."""
    assert RECIPES.keys() == KEY_STATES.keys()
    assert RECIPES.keys() <= HANDLERS.keys()


async def make(service: Service, recipe: Recipe) -> str:
    """Make a key that can be used."""
    if recipe.key == EXTERNAL:
        return (await import_key(service, MATERIAL)).key_id
    key = (await service.create_key(**recipe.key)).key_id
    if recipe.replicated:
        await service.call("ReplicateKey", key_id=key, replica_region="us-east-1")
        service.clock.advance(seconds=2)
    return key


async def bring_into(service: Service, key: str, state: KeyState) -> None:
    """Bring a key into a state."""
    operation = {KeyState.DISABLED: "DisableKey", KeyState.PENDING_DELETION: "ScheduleKeyDeletion"}.get(state)
    if operation is None or service.key(key).multi_region:
        service.force(key, state)
    else:
        await service.call(operation, key_id=key)
    assert service.key(key).key_state is state


@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("operation", RECIPES)
async def test_cell(service: Service, operation: str, state: KeyState) -> None:
    """The request succeeds, or is refused with the exception of the cell and leaves the key as it was."""
    recipe, verdict = RECIPES[operation], KEY_STATES[operation][state]
    key = await make(service, recipe)
    members = recipe.members | await recipe.prepare(service, key)
    await bring_into(service, key, state)
    before = service.key(key)
    if verdict is Verdict.OK:
        await service.call(operation, **members)
        return
    with pytest.raises(ServiceError) as caught:
        await service.call(operation, **members)
    assert type(caught.value) is REFUSALS[verdict]
    assert before.arn in caught.value.message
    assert service.key(key) == before
    assert service.records()[-1]["errorCode"] == type(caught.value).__name__
