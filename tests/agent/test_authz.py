"""Who may do what under the default key policy, through the pipeline."""

from typing import Any, Final

import pytest

from agent.api.enums import GrantOperation
from agent.api.errors import AccessDeniedException, KMSInvalidStateException, NotFoundException
from agent.api.operations import OPERATIONS
from agent.api.shapes.keys import Tag
from services import ACCOUNT, Service

CIPHERTEXT_REFUSED: Final = (
    "The ciphertext refers to a customer master key that does not exist, "
    "does not exist in this region, or you are not allowed to access."
)
EVERYTHING: Final = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
ON_THIS_RESOURCE: Final = (
    "on this resource because the resource does not exist in this Region, no resource-based policies allow "
    "access, or a resource-based policy explicitly denies access"
)

# Requests on one key, as root would send them; KEY, BLOB and POLICY are filled in.
ON_A_KEY: Final[dict[str, dict[str, Any]]] = {
    "CancelKeyDeletion": {"key_id": "KEY"},
    "CreateGrant": {
        "key_id": "KEY",
        "grantee_principal": f"arn:aws:iam::{ACCOUNT}:user/bob",
        "operations": (GrantOperation.DECRYPT,),
    },
    "Decapsulate": {
        "key_id": "KEY",
        "shared_secret_ciphertext_blob": b"x",
        "encapsulation_algorithm": "ML_KEM",
    },
    "Decrypt": {"key_id": "KEY", "ciphertext_blob": "BLOB"},
    "DeleteImportedKeyMaterial": {"key_id": "KEY"},
    "DeriveSharedSecret": {"key_id": "KEY", "key_agreement_algorithm": "ECDH", "public_key": b"x"},
    "DescribeKey": {"key_id": "KEY"},
    "DisableKey": {"key_id": "KEY"},
    "DisableKeyRotation": {"key_id": "KEY"},
    "EnableKey": {"key_id": "KEY"},
    "EnableKeyRotation": {"key_id": "KEY"},
    "Encapsulate": {"key_id": "KEY", "encapsulation_algorithm": "ML_KEM"},
    "Encrypt": {"key_id": "KEY", "plaintext": b"t"},
    "GenerateDataKey": {"key_id": "KEY", "key_spec": "AES_256"},
    "GenerateDataKeyPair": {"key_id": "KEY", "key_pair_spec": "ECC_NIST_P256"},
    "GenerateDataKeyPairWithoutPlaintext": {"key_id": "KEY", "key_pair_spec": "ECC_NIST_P256"},
    "GenerateDataKeyWithoutPlaintext": {"key_id": "KEY", "key_spec": "AES_256"},
    "GenerateMac": {"key_id": "KEY", "message": b"m", "mac_algorithm": "HMAC_SHA_256"},
    "GetKeyLastUsage": {"key_id": "KEY"},
    "GetKeyPolicy": {"key_id": "KEY"},
    "GetKeyRotationStatus": {"key_id": "KEY"},
    "GetParametersForImport": {
        "key_id": "KEY",
        "wrapping_algorithm": "RSAES_OAEP_SHA_256",
        "wrapping_key_spec": "RSA_2048",
    },
    "GetPublicKey": {"key_id": "KEY"},
    "ImportKeyMaterial": {
        "key_id": "KEY",
        "import_token": b"x",
        "encrypted_key_material": b"x",
        "expiration_model": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    },
    "ListGrants": {"key_id": "KEY"},
    "ListKeyPolicies": {"key_id": "KEY"},
    "ListKeyRotations": {"key_id": "KEY"},
    "ListResourceTags": {"key_id": "KEY"},
    "PutKeyPolicy": {"key_id": "KEY", "policy": "POLICY"},
    "ReEncrypt": {"source_key_id": "KEY", "ciphertext_blob": "BLOB", "destination_key_id": "KEY"},
    "ReplicateKey": {"key_id": "KEY", "replica_region": "us-east-1"},
    "RevokeGrant": {"key_id": "KEY", "grant_id": "0" * 64},
    "RotateKeyOnDemand": {"key_id": "KEY"},
    "ScheduleKeyDeletion": {"key_id": "KEY"},
    "Sign": {"key_id": "KEY", "message": b"m", "signing_algorithm": "ECDSA_SHA_256"},
    "TagResource": {"key_id": "KEY", "tags": (Tag(tag_key="k", tag_value="v"),)},
    "UntagResource": {"key_id": "KEY", "tag_keys": ("k",)},
    "UpdateKeyDescription": {"key_id": "KEY", "description": "d"},
    "UpdatePrimaryRegion": {"key_id": "KEY", "primary_region": "us-east-1"},
    "Verify": {
        "key_id": "KEY",
        "message": b"m",
        "signature": b"s",
        "signing_algorithm": "ECDSA_SHA_256",
    },
    "VerifyMac": {"key_id": "KEY", "message": b"m", "mac": b"s", "mac_algorithm": "HMAC_SHA_256"},
}
ON_AN_ALIAS: Final[dict[str, dict[str, Any]]] = {
    "CreateAlias": {"alias_name": "alias/new", "target_key_id": "KEY"},
    "UpdateAlias": {"alias_name": "alias/old", "target_key_id": "KEY"},
    "DeleteAlias": {"alias_name": "alias/old"},
}
ON_THE_ACCOUNT: Final[dict[str, dict[str, Any]]] = {
    "ConnectCustomKeyStore": {"custom_key_store_id": "cks-1"},
    "CreateCustomKeyStore": {
        "custom_key_store_name": "s",
        "cloud_hsm_cluster_id": "cluster-2a23b4cdefg",
        "key_store_password": "kmsPswd",
        "trust_anchor_certificate": "certificate",
    },
    "CreateKey": {},
    "DeleteCustomKeyStore": {"custom_key_store_id": "cks-1"},
    "DescribeCustomKeyStores": {},
    "DisconnectCustomKeyStore": {"custom_key_store_id": "cks-1"},
    "GenerateRandom": {"number_of_bytes": 8},
    "ListAliases": {},
    "ListKeys": {},
    "ListRetirableGrants": {"retiring_principal": f"arn:aws:iam::{ACCOUNT}:user/bob"},
    "UpdateCustomKeyStore": {"custom_key_store_id": "cks-1", "key_store_password": "kmsPswd"},
}


ON_A_GRANT: Final = {"RetireGrant"}
OWN_WORDS: Final = {"ReEncrypt": "kms:ReEncryptFrom"}
"""Actions that are not called as their operation."""


class Requests:
    """The requests above, about a key with an alias."""

    def __init__(self, service: Service, filled: dict[str, object]) -> None:
        self.service = service
        self._filled = filled

    @classmethod
    async def about_a_key(cls, service: Service, **members: object) -> "Requests":
        """Make the key, its alias and a ciphertext."""
        key = await service.create_key(**members)
        await service.call("CreateAlias", alias_name="alias/old", target_key_id=key.key_id)
        blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
        policy = service.key(key.key_id).policy
        return cls(service, {"KEY": key.arn, "BLOB": blob, "POLICY": policy})

    def members(self, template: dict[str, Any]) -> dict[str, Any]:
        """Fill one request in."""
        return {
            name: self._filled.get(value, value) if isinstance(value, str) else value
            for name, value in template.items()
        }

    @property
    def arn(self) -> str:
        """The key's ARN."""
        return str(self._filled["KEY"])


def test_every_operation_is_asked_about() -> None:
    """No operation is missing from the tables of this file."""
    assert {*ON_A_KEY, *ON_AN_ALIAS, *ON_THE_ACCOUNT, *ON_A_GRANT} == set(OPERATIONS)


async def test_users_without_policies_may_not_use_a_key(service: Service) -> None:
    """The default key policy leaves it to the account; who has no policy is refused, for every operation."""
    requests = await Requests.about_a_key(service)
    bob = service.callers.bob
    before = service.kms.store.keys("local"), service.kms.store.aliases("local")
    for operation, template in {**ON_A_KEY, **ON_AN_ALIAS}.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, bob, **requests.members(template))
        action = OWN_WORDS.get(operation, f"kms:{operation}")
        assert caught.value.message == (
            f"User: {bob.arn} is not authorized to perform: {action} on resource: {requests.arn} "
            f"because no identity-based policy allows the {action} action"
        )
    assert (service.kms.store.keys("local"), service.kms.store.aliases("local")) == before


async def test_creating_a_key_gives_no_right_to_it(service: Service) -> None:
    """Whoever made a key may use it no more than its policy and theirs allow."""
    alice = service.callers.alice
    service.allow(alice, {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"})
    key = await service.create_key(alice, bypass_policy_lockout_safety_check=True)
    with pytest.raises(AccessDeniedException):
        await service.call("DescribeKey", alice, key_id=key.key_id)


async def test_operations_about_no_key_need_an_identity_policy(service: Service) -> None:
    """Listing, creating and random bytes are for those whose identity policies allow them."""
    bob = service.callers.bob
    for operation, members in ON_THE_ACCOUNT.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, bob, **members)
        assert caught.value.message == (
            f"User: {bob.arn} is not authorized to perform: kms:{operation} on resource: * "
            f"because no identity-based policy allows the kms:{operation} action"
        )
    service.allow(bob, EVERYTHING)
    for operation in ("CreateKey", "ListKeys", "ListAliases", "GenerateRandom"):
        await service.call(operation, bob, **ON_THE_ACCOUNT[operation])


async def test_other_accounts_learn_nothing(service: Service) -> None:
    """Callers of another account are told neither which keys there are nor what their policies say."""
    requests = await Requests.about_a_key(service)
    foreigner = service.callers.foreigner
    absent = requests.arn[:-4] + "0000"
    for operation, template in ON_A_KEY.items():
        for arn in (requests.arn, absent):
            members = requests.members(template)
            members = {name: arn if value == requests.arn else value for name, value in members.items()}
            with pytest.raises(AccessDeniedException) as caught:
                await service.call(operation, foreigner, **members)
            action = OWN_WORDS.get(operation, f"kms:{operation}")
            assert caught.value.message == (
                f"User: {foreigner.arn} is not authorized to perform: {action} {ON_THIS_RESOURCE}"
            )
    for operation, members in ON_THE_ACCOUNT.items():
        with pytest.raises(AccessDeniedException):
            await service.call(operation, foreigner, **members)


async def test_key_ids_are_those_of_the_callers_account(service: Service) -> None:
    """To a caller of another account, a bare key id or alias is one of its own account, which has none."""
    key = (await service.create_key()).key_id
    foreigner = service.callers.foreigner
    with pytest.raises(NotFoundException, match=f"Key 'arn:aws:kms:local:{foreigner.account_id}:key/{key}'"):
        await service.call("DescribeKey", foreigner, key_id=key)
    with pytest.raises(NotFoundException, match=f"arn:aws:kms:local:{foreigner.account_id}:alias/x is not"):
        await service.call("DescribeKey", foreigner, key_id="alias/x")


@pytest.mark.parametrize("name", ["root", "owner", "alice"])
async def test_administrators_may_manage_and_use_keys(service: Service, name: str) -> None:
    """Under the default policy, administrators may do everything with a key, and who has such a policy."""
    requests = await Requests.about_a_key(service)
    caller = getattr(service.callers, name)
    service.allow(service.callers.alice, EVERYTHING)
    for operation in (
        *("DescribeKey", "EnableKey", "UpdateKeyDescription", "GenerateDataKey", "Encrypt", "Decrypt"),
        *("ReEncrypt", "GetKeyPolicy", "ListKeyPolicies", "PutKeyPolicy", "EnableKeyRotation", "TagResource"),
        *("ScheduleKeyDeletion", "CancelKeyDeletion"),
    ):
        await service.call(operation, caller, **requests.members(ON_A_KEY[operation]))
    for operation, template in ON_AN_ALIAS.items():
        await service.call(operation, caller, **requests.members(template))


async def test_aliases_need_permission_on_the_alias_and_on_the_key(service: Service) -> None:
    """A name is given and taken by identity policies on the alias, besides permission on the key."""
    alice = service.callers.alice
    on_key = {
        "Sid": "a",
        "Effect": "Allow",
        "Principal": {"AWS": alice.arn},
        "Action": "kms:*",
        "Resource": "*",
    }
    requests = await Requests.about_a_key(service)
    root = {**on_key, "Sid": "r", "Principal": {"AWS": service.callers.root.arn}}
    await service.put_policy(requests.arn, on_key, root)
    for operation, template in ON_AN_ALIAS.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, alice, **requests.members(template))
        assert caught.value.message == (
            f"User: {alice.arn} is not authorized to perform: kms:{operation} on resource: "
            f"arn:aws:kms:local:{ACCOUNT}:{template['alias_name']} "
            f"because no identity-based policy allows the kms:{operation} action"
        )
    service.allow(alice, {**EVERYTHING, "Resource": f"arn:aws:kms:local:{ACCOUNT}:alias/*"})
    for operation, template in ON_AN_ALIAS.items():
        await service.call(operation, alice, **requests.members(template))


async def test_a_forbidden_ciphertext_tells_nothing_of_its_key(service: Service) -> None:
    """Without the key's name, Decrypt and ReEncrypt refuse as if the key did not exist."""
    bob = service.callers.bob
    key = (await service.create_key()).key_id
    own = await service.create_key()
    service.allow(bob, {**EVERYTHING, "Resource": own.arn})
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    for operation, members in (("Decrypt", {}), ("ReEncrypt", {"destination_key_id": own.key_id})):
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, bob, ciphertext_blob=blob, **members)
        assert caught.value.message == CIPHERTEXT_REFUSED


async def test_both_keys_of_re_encrypt_must_be_permitted(service: Service) -> None:
    """A caller may neither take from another's key nor give to it."""
    bob = service.callers.bob
    own, other = await service.create_key(), await service.create_key()
    service.allow(bob, {**EVERYTHING, "Resource": own.arn})
    blob = (await service.call("Encrypt", key_id=own.key_id, plaintext=b"t")).ciphertext_blob
    with pytest.raises(AccessDeniedException, match="kms:ReEncryptTo") as caught:
        await service.call("ReEncrypt", bob, ciphertext_blob=blob, destination_key_id=other.key_id)
    assert other.arn in caught.value.message


async def test_permission_comes_before_state(service: Service) -> None:
    """Who may not use a key is not told what state it is in."""
    key = (await service.create_key()).key_id
    with pytest.raises(AccessDeniedException):
        await service.call("CancelKeyDeletion", service.callers.bob, key_id=key)
    with pytest.raises(KMSInvalidStateException):
        await service.call("CancelKeyDeletion", key_id=key)
