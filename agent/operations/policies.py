"""Owns key policies: the default one, which ones a key can have, and the operations on them."""

import json
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.errors import (
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    ValidationException,
)
from agent.api.shapes.base import Empty
from agent.api.shapes.policies import (
    GetKeyPolicyRequest,
    GetKeyPolicyResponse,
    ListKeyPoliciesRequest,
    ListKeyPoliciesResponse,
    PutKeyPolicyRequest,
)
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.targets import present
from agent.policy.document import PolicyKind
from agent.policy.errors import PolicyError
from agent.policy.parse import MAX_BYTES, parse

MAX_POLICY_BYTES: Final = MAX_BYTES[PolicyKind.KEY]
_POLICY_NAME: Final = "default"
_RAM_POLICY_NAME: Final = "AWS_RAM"
_LIST_LIMIT: Final = 100


def default_policy(account_id: str) -> str:
    """Return the policy of a key that was created without one: the account decides."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Id": "key-default-1",
            "Statement": [
                {
                    "Sid": "Enable IAM User Permissions",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        },
        indent=2,
    )


def require_accepted(policy: str | None) -> None:
    """Refuse a key policy that cannot be enforced to the letter; a request without one takes the default.

    Raises:
        LimitExceededException: longer than 32 KiB.
        MalformedPolicyDocumentException: not a policy, or one with elements that are not understood.
    """
    if policy is None:
        return
    if len(policy.encode()) > MAX_POLICY_BYTES:
        raise LimitExceededException(f"The key policy is longer than {MAX_POLICY_BYTES} bytes.")
    try:
        parse(policy, PolicyKind.KEY)
    except PolicyError as error:
        raise MalformedPolicyDocumentException(str(error)) from None


def get_key_policy(
    _kms: Kms, _caller: Caller, keys: Keys, request: GetKeyPolicyRequest
) -> GetKeyPolicyResponse:
    """Return the text of the key's policy."""
    (key,) = keys
    if (request.policy_name or _POLICY_NAME) != _POLICY_NAME:
        raise NotFoundException("No such policy exists")
    require_state(key, "GetKeyPolicy")
    return GetKeyPolicyResponse(policy=key.policy, policy_name=_POLICY_NAME)


def list_key_policies(
    _kms: Kms, _caller: Caller, keys: Keys, request: ListKeyPoliciesRequest
) -> ListKeyPoliciesResponse:
    """Return a page of the names of the key's policies, of which there is one."""
    (key,) = keys
    require_state(key, "ListKeyPolicies")
    names, marker = page(
        [_POLICY_NAME], str, request.limit or _LIST_LIMIT, request.marker, f"ListKeyPolicies {key.arn}"
    )
    return ListKeyPoliciesResponse(
        policy_names=tuple(names), next_marker=marker, truncated=marker is not None
    )


def check_put_key_policy(request: PutKeyPolicyRequest) -> None:
    """Refuse policies that cannot be set by hand, and what is none."""
    if request.policy_name == _RAM_POLICY_NAME:
        raise ValidationException("The AWS_RAM policy can only be managed by the RAM service")
    require_accepted(request.policy)


def put_key_policy(kms: Kms, _caller: Caller, keys: Keys, request: PutKeyPolicyRequest) -> Empty:
    """Replace the key's policy; that it does not lock the caller out was seen to before."""
    (key,) = keys
    if (request.policy_name or _POLICY_NAME) != _POLICY_NAME:
        raise NotFoundException("No such policy exists")
    with kms.store.write() as transaction:
        key = present(kms, key)
        require_state(key, "PutKeyPolicy")
        transaction.put(replace(key, policy=request.policy))
    return Empty()


HANDLERS: Final = (
    handler.Handler(api.GET_KEY_POLICY, handler.key(api.GET_KEY_POLICY), get_key_policy),
    handler.Handler(api.LIST_KEY_POLICIES, handler.key(api.LIST_KEY_POLICIES), list_key_policies),
    handler.Handler(
        api.PUT_KEY_POLICY,
        handler.key(api.PUT_KEY_POLICY),
        put_key_policy,
        check_put_key_policy,
        mutates=True,
    ),
)
