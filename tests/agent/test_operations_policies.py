"""Key policies, through the pipeline."""

import json
from typing import Any

import pytest

from agent.api.errors import (
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    ServiceError,
    UnsupportedOperationException,
    ValidationException,
)
from services import ACCOUNT, Service

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
STATEMENT: dict[str, Any] = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": "kms:*",
    "Resource": "*",
}
DEFAULT = {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [STATEMENT]}

SAME = [
    DEFAULT,
    {"Version": "2012-10-17", "Statement": STATEMENT},
    {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Sid": "x", "Action": ["kms:*"]}]},
    {"Statement": [{**STATEMENT, "Principal": {"AWS": [ROOT]}, "Resource": ["*"]}]},
    {"Statement": [{**STATEMENT, "Principal": {"AWS": ACCOUNT}}]},
]
DIFFERENT = [
    {"Statement": [STATEMENT, STATEMENT]},
    {"Statement": [STATEMENT, {**STATEMENT, "Effect": "Deny"}]},
    {"Statement": [{**STATEMENT, "Effect": "Deny"}]},
    {"Statement": [{**STATEMENT, "Principal": "*"}]},
    {"Statement": [{**STATEMENT, "Principal": {"AWS": ROOT, "Service": "s3.amazonaws.com"}}]},
    {"Statement": [{**STATEMENT, "Principal": {"AWS": "arn:aws:iam::999999999999:root"}}]},
    {"Statement": [{**STATEMENT, "Action": ["kms:*", "kms:Decrypt"]}]},
    {"Statement": [{**STATEMENT, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}]},
]
MALFORMED = [
    "not json",
    "[]",
    "{}",
    '{"Statement":[]}',
    '{"Statement":"x"}',
    '{"Statement":["x"]}',
    '{"Statement":[{"Effect":"Allow"}]}',
    json.dumps({**DEFAULT, "Version": "2024-01-01"}),
    json.dumps({**DEFAULT, "Extra": 1}),
    "[" * 20_000,
]


async def test_a_key_has_the_default_policy(service: Service) -> None:
    """A key made without a policy has the default one, under the name `default`, asked for or not."""
    key = (await service.create_key()).key_id
    for members in ({}, {"policy_name": "default"}):
        answer = await service.call("GetKeyPolicy", key_id=key, **members)
        assert answer.policy_name == "default"
        assert json.loads(answer.policy) == DEFAULT


@pytest.mark.parametrize("document", SAME)
async def test_the_default_policy_in_any_spelling_is_kept_as_sent(
    service: Service, document: dict[str, Any]
) -> None:
    """What means the same is accepted, by CreateKey and PutKeyPolicy, and given back letter for letter."""
    text = json.dumps(document, indent=1)
    made = await service.create_key(policy=text)
    plain = await service.create_key()
    await service.call("PutKeyPolicy", key_id=plain.key_id, policy=text)
    for key in (made.key_id, plain.key_id):
        assert (await service.call("GetKeyPolicy", key_id=key)).policy == text


REFUSED: list[tuple[str, type[ServiceError]]] = [
    *((json.dumps(document), UnsupportedOperationException) for document in DIFFERENT),
    *((text, MalformedPolicyDocumentException) for text in MALFORMED),
    (json.dumps({**DEFAULT, "Id": "x" * 32768}), LimitExceededException),
]


@pytest.mark.parametrize(("text", "error"), REFUSED)
async def test_policies_that_would_not_be_enforced_are_refused(
    service: Service, text: str, error: type[ServiceError]
) -> None:
    """A policy is never stored without being enforced, and the key keeps the one it has."""
    key = (await service.create_key()).key_id
    with pytest.raises(error):
        await service.call("PutKeyPolicy", key_id=key, policy=text, bypass_policy_lockout_safety_check=True)
    with pytest.raises(error):
        await service.create_key(policy=text)
    assert len(service.kms.store.keys("local")) == 1
    assert json.loads(service.key(key).policy) == DEFAULT


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
