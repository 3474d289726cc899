"""ExplainAccess: what would come of a request and why, through the pipeline."""

from typing import Any, Final

import pytest

from agent.api.errors import AccessDeniedException, InvalidGrantTokenException
from agent.api.rows import identity as api
from granting import grant
from services import ACCOUNT, Service

ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s1"
ANY: Final = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}


def to(principal: object, action: object, **elements: object) -> dict[str, Any]:
    """Return a statement of a key policy."""
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*", **elements}


async def explained(service: Service, principal: str, action: str, **members: object) -> Any:  # noqa: ANN401
    """Ask why."""
    return await service.call(api.EXPLAIN_ACCESS, principal_arn=principal, action=action, **members)


async def test_an_explanation_is_what_would_happen(service: Service) -> None:
    """ExplainAccess says what the request itself would be told, and which statement decides."""
    alice = service.callers.alice
    key = await service.create_key()
    condition = {"StringEquals": {"kms:EncryptionContext:app": "spool"}}
    await service.put_policy(
        key.key_id,
        to(ROOT, "kms:*", Sid="account"),
        to(alice.arn, "kms:Encrypt", Sid="alice", Condition=condition),
    )
    with pytest.raises(AccessDeniedException) as caught:
        await service.call("Encrypt", alice, key_id=key.key_id, plaintext=b"t")
    answer = await explained(service, alice.arn, "kms:Encrypt", key_id=key.key_id)
    assert (answer.allowed, answer.decided_by, answer.explicit) == (False, "identity-based policy", False)
    assert answer.message == caught.value.message
    account, own = answer.statements
    assert (account.policy, account.sid, account.number, account.applies) == (
        "resource-based policy",
        "account",
        1,
        "yes",
    )
    assert (own.sid, own.effect, own.applies, own.mismatch) == ("alice", "Allow", "no", "Condition")
    (told,) = own.conditions
    assert (told.operator, told.key, told.values) == (
        "StringEquals",
        "kms:EncryptionContext:app",
        ("spool",),
    )
    assert (told.request_values, told.holds) == (None, "no")
    answer = await explained(
        service, alice.arn, "kms:Encrypt", key_id=key.key_id, encryption_context={"app": "spool"}
    )
    assert (answer.allowed, answer.decided_by, answer.explicit) == (True, "resource-based policy", True)
    assert answer.message is None


async def test_an_explanation_names_grants_and_identity_policies(service: Service) -> None:
    """A grant is told by its id, an identity policy by its name, the administrator's as built in."""
    alice, bob = service.callers.alice, service.callers.bob
    key = (await service.create_key()).key_id
    grant = await service.call(
        "CreateGrant", key_id=key, grantee_principal=alice.arn, operations=("Decrypt",)
    )
    answer = await explained(service, alice.arn, "kms:Decrypt", key_id=key)
    assert (answer.allowed, answer.decided_by, answer.grant_id) == (True, "grant", grant.grant_id)
    service.allow(bob, ANY, name="everything")
    answer = await explained(service, bob.arn, "kms:Decrypt", key_id=key)
    assert (answer.allowed, answer.statements[1].policy_name) == (True, "everything")
    answer = await explained(service, ROOT, "kms:Decrypt", key_id=key)
    assert (answer.allowed, answer.statements[1].policy_name) == (True, "AdministratorAccess (built in)")


async def test_condition_keys_can_be_supposed(service: Service) -> None:
    """What a request would bring can be told, for users, roles and sessions."""
    key = (await service.create_key()).key_id
    via = {"StringEquals": {"kms:ViaService": "kmsfs.local.local"}}
    await service.put_policy(key, to(ROLE, "kms:Encrypt", Condition=via))
    for arn in (ROLE, SESSION):
        assert not (await explained(service, arn, "kms:Encrypt", key_id=key)).allowed
        supposed = {"kms:viaservice": "kmsfs.local.local"}
        answer = await explained(service, arn, "kms:Encrypt", key_id=key, condition_keys=supposed)
        assert answer.allowed


async def test_who_may_retire_a_grant(service: Service) -> None:
    """The token says which grant, of which key; the grant says who may, the key policy who may not."""
    key, alice, bob = await service.create_key(), service.callers.alice, service.callers.bob
    made = await grant(service, key.key_id, retiring_principal=alice.arn)
    tokens = (made.grant_token,)
    answer = await explained(service, alice.arn, "kms:RetireGrant", grant_tokens=tokens)
    assert (answer.allowed, answer.grant_id) == (True, made.grant_id)
    assert not (await explained(service, bob.arn, "kms:RetireGrant", grant_tokens=tokens)).allowed
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:RetireGrant", "Resource": "*"}
    await service.put_policy(key.key_id, to(ROOT, "kms:*"), deny)
    answer = await explained(service, alice.arn, "kms:RetireGrant", grant_tokens=tokens)
    assert (answer.allowed, answer.explicit) == (False, True)


async def test_a_token_of_no_grant(service: Service) -> None:
    """A request with such a token would fail, and so does the question."""
    key = await service.create_key()
    made = await grant(service, key.key_id)
    bob, tokens = service.callers.bob, (made.grant_token,)
    answer = await explained(service, bob.arn, "kms:Decrypt", key_id=key.key_id, grant_tokens=tokens)
    assert (answer.allowed, answer.grant_id) == (True, made.grant_id)
    await service.call("RevokeGrant", key_id=key.key_id, grant_id=made.grant_id)
    with pytest.raises(InvalidGrantTokenException):
        await explained(service, bob.arn, "kms:Decrypt", key_id=key.key_id, grant_tokens=tokens)
