"""Who may do what, through the pipeline."""

from typing import Any, Final

import pytest

from agent.api.errors import AccessDeniedException, KMSInvalidStateException
from agent.operations.table import HANDLERS
from services import ACCOUNT, Service

CIPHERTEXT_REFUSED: Final = (
    "The ciphertext refers to a customer master key that does not exist, "
    "does not exist in this region, or you are not allowed to access."
)

# Requests on one key, as root would send them; KEY, BLOB, POLICY and TARGET are filled in.
ON_A_KEY: Final[dict[str, dict[str, Any]]] = {
    "DescribeKey": {"key_id": "KEY"},
    "DisableKey": {"key_id": "KEY"},
    "EnableKey": {"key_id": "KEY"},
    "UpdateKeyDescription": {"key_id": "KEY", "description": "d"},
    "GenerateDataKey": {"key_id": "KEY", "key_spec": "AES_256"},
    "GenerateDataKeyWithoutPlaintext": {"key_id": "KEY", "key_spec": "AES_256"},
    "Encrypt": {"key_id": "KEY", "plaintext": b"t"},
    "Decrypt": {"key_id": "KEY", "ciphertext_blob": "BLOB"},
    "ReEncrypt": {"source_key_id": "KEY", "ciphertext_blob": "BLOB", "destination_key_id": "KEY"},
    "GetKeyPolicy": {"key_id": "KEY"},
    "PutKeyPolicy": {"key_id": "KEY", "policy": "POLICY"},
    "EnableKeyRotation": {"key_id": "KEY"},
    "DisableKeyRotation": {"key_id": "KEY"},
    "GetKeyRotationStatus": {"key_id": "KEY"},
    "RotateKeyOnDemand": {"key_id": "KEY"},
    "ListKeyRotations": {"key_id": "KEY"},
    "ScheduleKeyDeletion": {"key_id": "KEY"},
    "CancelKeyDeletion": {"key_id": "KEY"},
}
ON_AN_ALIAS: Final[dict[str, dict[str, Any]]] = {
    "CreateAlias": {"alias_name": "alias/new", "target_key_id": "KEY"},
    "UpdateAlias": {"alias_name": "alias/old", "target_key_id": "KEY"},
    "DeleteAlias": {"alias_name": "alias/old"},
}
ON_THE_ACCOUNT: Final[dict[str, dict[str, Any]]] = {
    "CreateKey": {},
    "ListKeys": {},
    "ListAliases": {},
    "GenerateRandom": {"number_of_bytes": 8},
}


class Requests:
    """The requests above, about a key of alice's with an alias."""

    def __init__(self, service: Service, filled: dict[str, object]) -> None:
        self.service = service
        self._filled = filled

    @classmethod
    async def about_a_key_of_alice(cls, service: Service) -> "Requests":
        """Make the key, its alias and a ciphertext."""
        key = await service.create_key(service.callers.alice)
        await service.call("CreateAlias", alias_name="alias/old", target_key_id=key.key_id)
        blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
        policy = service.key(key.key_id).policy
        return cls(service, {"KEY": key.arn, "BLOB": blob, "POLICY": policy})

    def members(self, template: dict[str, Any]) -> dict[str, Any]:
        """Fill one request in."""
        return {name: self._filled.get(value, value) for name, value in template.items()}

    @property
    def arn(self) -> object:
        """The key's ARN."""
        return self._filled["KEY"]


def test_every_operation_is_asked_about() -> None:
    """No operation is missing from the tables of this file."""
    assert {*ON_A_KEY, *ON_AN_ALIAS, *ON_THE_ACCOUNT} == set(HANDLERS)


@pytest.mark.parametrize("name", ["root", "owner", "alice"])
async def test_root_the_agent_s_user_and_the_creator_may_use_a_key(service: Service, name: str) -> None:
    """Each of the three may do everything with a key that one of them made."""
    requests = await Requests.about_a_key_of_alice(service)
    caller = getattr(service.callers, name)
    for operation, template in ON_A_KEY.items():
        await service.call(operation, caller, **requests.members(template))


@pytest.mark.parametrize("name", ["bob", "foreigner"])
async def test_nobody_else_may_use_a_key(service: Service, name: str) -> None:
    """Everyone else is refused in AWS's words, for every operation, and nothing changes."""
    requests = await Requests.about_a_key_of_alice(service)
    caller = getattr(service.callers, name)
    before = service.kms.store.keys("local"), service.kms.store.aliases("local")
    for operation, template in {**ON_A_KEY, **ON_AN_ALIAS}.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, caller, **requests.members(template))
        action = "kms:ReEncryptFrom" if operation == "ReEncrypt" else f"kms:{operation}"
        assert caught.value.message == (
            f"User: {caller.arn} is not authorized to perform: {action} on resource: {requests.arn} "
            f"because no resource-based policy allows the {action} action"
        )
    assert (service.kms.store.keys("local"), service.kms.store.aliases("local")) == before


async def test_aliases_are_the_account_s(service: Service) -> None:
    """Root and the agent's user give and take names; the creator of a key may not, not even for it."""
    requests = await Requests.about_a_key_of_alice(service)
    alice = service.callers.alice
    for operation, template in ON_AN_ALIAS.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, alice, **requests.members(template))
        assert caught.value.message == (
            f"User: {alice.arn} is not authorized to perform: kms:{operation} on resource: "
            f"arn:aws:kms:local:{ACCOUNT}:{template['alias_name']} "
            f"because no identity-based policy allows the kms:{operation} action"
        )
    for operation, template in ON_AN_ALIAS.items():
        await service.call(operation, service.callers.owner, **requests.members(template))


async def test_everyone_in_the_account_may_make_keys_and_list_them(service: Service) -> None:
    """Operations on no key in particular are open to the account and closed to others."""
    for operation, members in ON_THE_ACCOUNT.items():
        await service.call(operation, service.callers.bob, **members)
        foreigner = service.callers.foreigner
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, foreigner, **members)
        assert caught.value.message == (
            f"User: {foreigner.arn} is not authorized to perform: kms:{operation} on resource: * "
            f"because no identity-based policy allows the kms:{operation} action"
        )


async def test_a_forbidden_ciphertext_tells_nothing_of_its_key(service: Service) -> None:
    """Without the key's name, Decrypt and ReEncrypt refuse as if the key did not exist."""
    key = (await service.create_key(service.callers.alice)).key_id
    own = (await service.create_key(service.callers.bob)).key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    for operation, members in (("Decrypt", {}), ("ReEncrypt", {"destination_key_id": own})):
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(operation, service.callers.bob, ciphertext_blob=blob, **members)
        assert caught.value.message == CIPHERTEXT_REFUSED


async def test_both_keys_of_re_encrypt_must_be_permitted(service: Service) -> None:
    """A caller may neither take from another's key nor give to it."""
    bob = service.callers.bob
    own = (await service.create_key(bob)).key_id
    other = await service.create_key(service.callers.alice)
    blob = (await service.call("Encrypt", key_id=own, plaintext=b"t")).ciphertext_blob
    with pytest.raises(AccessDeniedException, match="kms:ReEncryptTo") as caught:
        await service.call("ReEncrypt", bob, ciphertext_blob=blob, destination_key_id=other.key_id)
    assert other.arn in caught.value.message


async def test_permission_comes_before_state(service: Service) -> None:
    """Who may not use a key is not told what state it is in."""
    key = (await service.create_key(service.callers.alice)).key_id
    with pytest.raises(AccessDeniedException):
        await service.call("CancelKeyDeletion", service.callers.bob, key_id=key)
    with pytest.raises(KMSInvalidStateException):
        await service.call("CancelKeyDeletion", service.callers.alice, key_id=key)
