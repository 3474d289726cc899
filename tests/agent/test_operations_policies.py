"""The operations on key policies, and the lockout safety check, through the pipeline."""

import json
from typing import Any, Final

import pytest

from agent.api.errors import (
    AccessDeniedException,
    InvalidMarkerException,
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    ServiceError,
    ValidationException,
)
from services import ACCOUNT, Service

ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
STATEMENT: Final[dict[str, Any]] = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": "kms:*",
    "Resource": "*",
}
DEFAULT: Final = {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [STATEMENT]}
REFUSED: Final[list[tuple[str, type[ServiceError], str]]] = [
    ("not json", MalformedPolicyDocumentException, "not valid JSON"),
    ("{}", MalformedPolicyDocumentException, "there is no statement"),
    (json.dumps({**DEFAULT, "Extra": 1}), MalformedPolicyDocumentException, 'unknown element "Extra"'),
    (
        json.dumps({"Statement": [{**STATEMENT, "Principal": {"AWS": "alice"}}]}),
        MalformedPolicyDocumentException,
        "Statement 1, Principal.AWS: Policy contains a statement with one or more invalid principals",
    ),
    (
        json.dumps({"Statement": [{**STATEMENT, "Condition": {"Bool": {"kms:Color": "true"}}}]}),
        MalformedPolicyDocumentException,
        "unknown condition key",
    ),
    (json.dumps({**DEFAULT, "Id": "x" * 32768}), LimitExceededException, "longer than 32768 bytes"),
]


def policy(*statements: dict[str, Any]) -> str:
    """Return a policy's text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


async def test_a_key_has_the_default_policy(service: Service) -> None:
    """A key made without a policy has the default one, under the name `default`, asked for or not."""
    key = (await service.create_key()).key_id
    for members in ({}, {"policy_name": "default"}):
        answer = await service.call("GetKeyPolicy", key_id=key, **members)
        assert answer.policy_name == "default"
        assert json.loads(answer.policy) == DEFAULT


async def test_a_policy_is_kept_as_sent(service: Service) -> None:
    """CreateKey, PutKeyPolicy and ReplicateKey keep a policy letter for letter."""
    text = json.dumps({**DEFAULT, "Statement": [{**STATEMENT, "Sid": "x"}]}, indent=3)
    made = await service.create_key(policy=text, multi_region=True)
    plain = await service.create_key()
    await service.call("PutKeyPolicy", key_id=plain.key_id, policy=text)
    for key in (made.key_id, plain.key_id):
        assert (await service.call("GetKeyPolicy", key_id=key)).policy == text
    replica = await service.call(
        "ReplicateKey", key_id=made.key_id, replica_region="us-east-1", policy=text, description="r"
    )
    assert replica.replica_policy == text


@pytest.mark.parametrize(("text", "error", "message"), REFUSED)
async def test_policies_that_cannot_be_enforced_are_refused(
    service: Service, text: str, error: type[ServiceError], message: str
) -> None:
    """A policy is never stored without being enforced; the refusal says what is wrong and where."""
    key = (await service.create_key()).key_id
    with pytest.raises(error) as caught:
        await service.call("PutKeyPolicy", key_id=key, policy=text, bypass_policy_lockout_safety_check=True)
    assert message in caught.value.message
    with pytest.raises(error):
        await service.create_key(policy=text)
    assert len(service.kms.store.keys("local")) == 1
    assert json.loads(service.key(key).policy) == DEFAULT


LOCKED_OUT: Final = [
    (
        [{**STATEMENT, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"}}],
        (
            f"Tested was kms:PutKeyPolicy by {ROOT}: no statement allows it. "
            f"Add a statement that allows kms:PutKeyPolicy to {ROOT} or to {ROOT}"
        ),
    ),
    (
        [{**STATEMENT, "Action": ["kms:Encrypt", "kms:GetKeyPolicy"]}],
        f"Tested was kms:PutKeyPolicy by {ROOT}: no statement allows it.",
    ),
    (
        [STATEMENT, {**STATEMENT, "Sid": "No", "Effect": "Deny", "Action": "kms:Put*"}],
        f"Tested was kms:PutKeyPolicy by {ROOT}: statement No of a resource-based policy denies it.",
    ),
    (
        [{**STATEMENT, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}],
        "no statement allows it",
    ),
]


@pytest.mark.parametrize(("statements", "message"), LOCKED_OUT)
async def test_nobody_locks_themselves_out_by_mistake(
    service: Service, statements: list[dict[str, Any]], message: str
) -> None:
    """A policy under which its author could not set another is refused, unless they ask for that."""
    key = (await service.create_key()).key_id
    for call in (
        service.call("PutKeyPolicy", key_id=key, policy=policy(*statements)),
        service.create_key(policy=policy(*statements)),
    ):
        with pytest.raises(MalformedPolicyDocumentException) as caught:
            await call
        assert caught.value.message.startswith(
            "The new key policy will not allow you to update the key policy in the future. "
        )
        assert message in caught.value.message
        assert "BypassPolicyLockoutSafetyCheck" in caught.value.message
    assert json.loads(service.key(key).policy) == DEFAULT
    await service.call(
        "PutKeyPolicy",
        key_id=key,
        policy=policy(*statements),
        bypass_policy_lockout_safety_check=True,
    )
    with pytest.raises(AccessDeniedException):
        await service.call("PutKeyPolicy", key_id=key, policy=policy(STATEMENT))


async def test_the_lockout_check_names_the_missing_identity_policy(service: Service) -> None:
    """Where the account decides, the message says that the caller's own policies allow nothing."""
    alice = service.callers.alice
    service.allow(alice, {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"})
    with pytest.raises(MalformedPolicyDocumentException) as caught:
        await service.create_key(alice, policy=policy(STATEMENT))
    assert "needs an identity-based policy of that principal, and none allows it" in caught.value.message
    assert alice.arn in caught.value.message
    own = {**STATEMENT, "Sid": "own", "Principal": {"AWS": alice.arn}}
    key = await service.create_key(alice, policy=policy(STATEMENT, own))
    await service.call("PutKeyPolicy", alice, key_id=key.key_id, policy=policy(own))


async def test_other_policy_names(service: Service) -> None:
    """No key has another policy; the one that RAM manages cannot be set by hand."""
    key = (await service.create_key()).key_id
    for name in ("AWS_RAM", "other"):
        with pytest.raises(NotFoundException) as caught:
            await service.call("GetKeyPolicy", key_id=key, policy_name=name)
        assert caught.value.message == "No such policy exists"
    with pytest.raises(NotFoundException):
        await service.call("PutKeyPolicy", key_id=key, policy_name="other", policy=json.dumps(DEFAULT))
    with pytest.raises(ValidationException) as refused:
        await service.call("PutKeyPolicy", key_id=key, policy_name="AWS_RAM", policy="{}")
    assert refused.value.message == "The AWS_RAM policy can only be managed by the RAM service"


async def test_keys_have_one_policy(service: Service) -> None:
    """ListKeyPolicies lists `default`, and takes no marker of anything else."""
    key = (await service.create_key()).key_id
    answer = await service.call("ListKeyPolicies", key_id=key, limit=1)
    assert (answer.policy_names, answer.truncated, answer.next_marker) == (("default",), False, None)
    with pytest.raises(InvalidMarkerException):
        await service.call("ListKeyPolicies", key_id=key, marker="x")


async def test_a_policy_that_cannot_be_read_denies_everything(service: Service) -> None:
    """What another version kept and this one does not understand lets nobody in, administrators included."""
    key = (await service.create_key()).key_id
    service.force(key, policy=json.dumps({**DEFAULT, "Future": {}}))
    with pytest.raises(AccessDeniedException, match="with an explicit deny in a resource-based policy"):
        await service.call("DescribeKey", key_id=key)
