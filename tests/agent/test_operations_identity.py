"""Identity policies, permissions boundaries and tags of principals, through the pipeline."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest

from agent.api.errors import (
    AccessDeniedException,
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    TagException,
    ValidationException,
)
from agent.api.operations import ADMINISTRATION
from agent.api.rows import identity as api
from agent.api.shapes.keys import Tag
from agent.operations.identity import POLICIES_PER_PRINCIPAL, TAGS_PER_PRINCIPAL
from services import ACCOUNT, Service

ALICE: Final = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
POLICY: Final = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}
)
CALLS: Final[dict[str, dict[str, Any]]] = {
    "PutIdentityPolicy": {"principal_arn": ALICE, "policy_name": "p", "policy_document": POLICY},
    "GetIdentityPolicy": {"principal_arn": ALICE, "policy_name": "p"},
    "ListIdentityPolicies": {},
    "DeleteIdentityPolicy": {"principal_arn": ALICE, "policy_name": "p"},
    "PutPermissionsBoundary": {"principal_arn": ALICE, "permissions_boundary": POLICY},
    "DeletePermissionsBoundary": {"principal_arn": ALICE},
    "TagPrincipal": {"principal_arn": ALICE, "tags": (Tag(tag_key="team", tag_value="red"),)},
    "UntagPrincipal": {"principal_arn": ALICE, "tag_keys": ("team",)},
    "ExplainAccess": {"principal_arn": ALICE, "action": "kms:ListKeys"},
}


async def test_only_administrators_administer(service: Service) -> None:
    """Who may use every key may still give nobody anything; administrators may, and whom they let."""
    carol = replace(service.callers.alice, arn=f"arn:aws:iam::{ACCOUNT}:user/carol")
    bob = service.callers.bob
    service.allow(bob, {"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
    for name, members in CALLS.items():
        with pytest.raises(AccessDeniedException) as caught:
            await service.call(ADMINISTRATION[name], bob, **members)
        assert caught.value.message == (
            f"User: {bob.arn} is not authorized to perform: kms-agent:{name} on resource: * "
            f"because no identity-based policy allows the kms-agent:{name} action"
        )
    service.allow(carol, {"Effect": "Allow", "Action": "kms-agent:*", "Resource": "*"})
    for caller in (service.callers.owner, carol):
        for name, members in CALLS.items():
            await service.call(ADMINISTRATION[name], caller, **members)


async def test_a_policy_counts_from_its_answer_on(service: Service) -> None:
    """A policy gives when it is put, and takes when it is deleted."""
    alice = service.callers.alice
    key = (await service.create_key()).key_id
    await service.call(api.PUT_IDENTITY_POLICY, **CALLS["PutIdentityPolicy"])
    await service.call("Encrypt", alice, key_id=key, plaintext=b"t")
    got = await service.call(api.GET_IDENTITY_POLICY, **CALLS["GetIdentityPolicy"])
    assert (got.principal_arn, got.policy_name, got.policy_document) == (ALICE, "p", POLICY)
    await service.call(api.DELETE_IDENTITY_POLICY, **CALLS["DeleteIdentityPolicy"])
    with pytest.raises(AccessDeniedException):
        await service.call("Encrypt", alice, key_id=key, plaintext=b"t")
    for operation in (api.GET_IDENTITY_POLICY, api.DELETE_IDENTITY_POLICY):
        with pytest.raises(NotFoundException, match="has no identity policy p"):
            await service.call(operation, principal_arn=ALICE, policy_name="p")


async def test_a_boundary_limits_identity_policies(service: Service) -> None:
    """What the boundary does not allow, identity policies cannot give; the agent's own user included."""
    key = (await service.create_key()).key_id
    decrypt_only = POLICY.replace("kms:*", "kms:Decrypt")
    for caller in (service.callers.alice, service.callers.owner):
        service.allow(caller, {"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
        await service.call(
            api.PUT_PERMISSIONS_BOUNDARY, principal_arn=caller.arn, permissions_boundary=decrypt_only
        )
        with pytest.raises(AccessDeniedException) as caught:
            await service.call("Encrypt", caller, key_id=key, plaintext=b"t")
        assert caught.value.message.endswith("because no permissions boundary allows the kms:Encrypt action")
        await service.call(api.DELETE_PERMISSIONS_BOUNDARY, principal_arn=caller.arn)
        await service.call("Encrypt", caller, key_id=key, plaintext=b"t")
        with pytest.raises(NotFoundException, match="no permissions boundary"):
            await service.call(api.DELETE_PERMISSIONS_BOUNDARY, principal_arn=caller.arn)


async def test_principals_are_listed_with_what_they_are_given(service: Service) -> None:
    """The listing goes on where it ended, and can be about one principal."""
    for name in ("carol", "alice", "bob"):
        arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
        await service.call(
            api.PUT_IDENTITY_POLICY, principal_arn=arn, policy_name="p", policy_document=POLICY
        )
    await service.call(api.TAG_PRINCIPAL, **CALLS["TagPrincipal"])
    await service.call(api.PUT_PERMISSIONS_BOUNDARY, **CALLS["PutPermissionsBoundary"])
    first = await service.call(api.LIST_IDENTITY_POLICIES, limit=2)
    rest = await service.call(api.LIST_IDENTITY_POLICIES, limit=2, marker=first.next_marker)
    assert [entry.principal_arn.rpartition("/")[2] for entry in (*first.principals, *rest.principals)] == [
        "alice",
        "bob",
        "carol",
    ]
    assert (first.truncated, rest.truncated) == (True, False)
    (alice,) = (await service.call(api.LIST_IDENTITY_POLICIES, principal_arn=ALICE)).principals
    assert alice.policy_names == ("p",)
    assert alice.permissions_boundary == POLICY
    assert alice.tags == (Tag(tag_key="team", tag_value="red"),)


async def test_tags_are_added_replaced_and_removed(service: Service) -> None:
    """Tags of a principal behave as those of keys; the kernel's are nobody's to give."""
    for key, value in (("a", "1"), ("b", "2"), ("a", "3")):
        await service.call(api.TAG_PRINCIPAL, principal_arn=ALICE, tags=(Tag(tag_key=key, tag_value=value),))
    await service.call(api.UNTAG_PRINCIPAL, principal_arn=ALICE, tag_keys=("b", "absent"))
    profile = service.kms.store.profile(ALICE)
    assert profile is not None
    assert profile.tags == (("a", "3"),)
    for key in ("uid", "unit", "aws:x"):
        with pytest.raises(TagException):
            await service.call(
                api.TAG_PRINCIPAL, principal_arn=ALICE, tags=(Tag(tag_key=key, tag_value="0"),)
            )
    many = tuple(Tag(tag_key=f"k{number}", tag_value="") for number in range(TAGS_PER_PRINCIPAL))
    with pytest.raises(TagException, match="Too many tags"):
        await service.call(api.TAG_PRINCIPAL, principal_arn=ALICE, tags=many)


@pytest.mark.parametrize("operation", [api.PUT_IDENTITY_POLICY, api.PUT_PERMISSIONS_BOUNDARY])
async def test_policies_are_read_strictly(service: Service, operation: Any) -> None:  # noqa: ANN401 -- a row
    """What cannot be enforced to the letter is refused, and so is a principal in a principal's policy."""
    member = "policy_document" if operation is api.PUT_IDENTITY_POLICY else "permissions_boundary"
    others = {"policy_name": "p"} if operation is api.PUT_IDENTITY_POLICY else {}
    for text, message in (
        ("{}", "there is no statement"),
        (POLICY.replace("kms:*", "kms:Dcrypt"), "not an action of this service"),
        (POLICY.replace('"Effect"', '"Principal": "*", "Effect"'), "it has no place in a"),
        (POLICY + " " * 10240, "10240 are allowed"),
    ):
        with pytest.raises(MalformedPolicyDocumentException, match=message):
            await service.call(operation, principal_arn=ALICE, **{member: text}, **others)
    assert service.kms.store.principals() == []


async def test_the_root_is_given_nothing(service: Service) -> None:
    """The account's root has no identity policies, boundary or tags."""
    for name in ("PutIdentityPolicy", "PutPermissionsBoundary", "TagPrincipal"):
        with pytest.raises(ValidationException, match="The account's root"):
            await service.call(ADMINISTRATION[name], **{**CALLS[name], "principal_arn": ROOT})


async def test_a_principal_has_so_many_policies(service: Service) -> None:
    """One more is refused, replacing one is not."""
    for number in range(POLICIES_PER_PRINCIPAL):
        await service.call(
            api.PUT_IDENTITY_POLICY,
            principal_arn=ALICE,
            policy_name=f"p{number}",
            policy_document=POLICY,
        )
    await service.call(api.PUT_IDENTITY_POLICY, principal_arn=ALICE, policy_name="p0", policy_document=POLICY)
    with pytest.raises(LimitExceededException):
        await service.call(
            api.PUT_IDENTITY_POLICY, principal_arn=ALICE, policy_name="new", policy_document=POLICY
        )
