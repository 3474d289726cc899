"""Owns key policies: the default one, which policies this version accepts, and the operations on them.

This version enforces one policy only, the default key policy. Any other is refused instead of being stored
and not enforced.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.errors import (
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.base import Empty
from agent.api.shapes.policies import GetKeyPolicyRequest, GetKeyPolicyResponse, PutKeyPolicyRequest
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import present

MAX_POLICY_BYTES: Final = 32768
_POLICY_NAME: Final = "default"
_RAM_POLICY_NAME: Final = "AWS_RAM"
_VERSIONS: Final = frozenset({"2012-10-17", "2008-10-17"})
_DOCUMENT_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_LABELS: Final = frozenset({"Sid"})


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


def require_accepted(policy: str, account_id: str) -> None:
    """Refuse a policy that cannot be evaluated, or that this version would not enforce.

    Raises:
        LimitExceededException: longer than 32 KiB.
        MalformedPolicyDocumentException: not a policy.
        UnsupportedOperationException: a policy, but not the default one.
    """
    if len(policy.encode()) > MAX_POLICY_BYTES:
        raise LimitExceededException(f"The key policy is longer than {MAX_POLICY_BYTES} bytes.")
    statements = _statements(policy)
    (default,) = _statements(default_policy(account_id))
    if [_canonical(statement, account_id) for statement in statements] != [_canonical(default, account_id)]:
        raise UnsupportedOperationException(
            "This version enforces only the default key policy, under which the account decides who may use "
            "the key. Leave the policy out, or send the default key policy."
        )


def get_key_policy(
    _kms: Kms, _caller: Caller, keys: Keys, request: GetKeyPolicyRequest
) -> GetKeyPolicyResponse:
    """Return the text of the key's policy."""
    (key,) = keys
    if (request.policy_name or _POLICY_NAME) != _POLICY_NAME:
        raise NotFoundException("No such policy exists")
    require_state(key, "GetKeyPolicy")
    return GetKeyPolicyResponse(policy=key.policy, policy_name=_POLICY_NAME)


def check_put_key_policy(request: PutKeyPolicyRequest) -> None:
    """Refuse policies that cannot be set by hand."""
    if request.policy_name == _RAM_POLICY_NAME:
        raise ValidationException("The AWS_RAM policy can only be managed by the RAM service")


def put_key_policy(kms: Kms, _caller: Caller, keys: Keys, request: PutKeyPolicyRequest) -> Empty:
    """Replace the key's policy."""
    (key,) = keys
    if (request.policy_name or _POLICY_NAME) != _POLICY_NAME:
        raise NotFoundException("No such policy exists")
    require_accepted(request.policy, kms.account_id)
    with kms.store.write() as transaction:
        key = present(kms, key)
        require_state(key, "PutKeyPolicy")
        transaction.put(replace(key, policy=request.policy))
    return Empty()


def _statements(policy: str) -> list[Mapping[str, object]]:
    try:
        document = json.loads(policy)
    except (ValueError, RecursionError):
        raise MalformedPolicyDocumentException("The policy is not a valid JSON document.") from None
    if not isinstance(document, dict) or not document.keys() <= _DOCUMENT_MEMBERS:
        raise MalformedPolicyDocumentException("The policy is not an object of Version, Id and Statement.")
    if document.get("Version", "2008-10-17") not in _VERSIONS:
        raise MalformedPolicyDocumentException("The policy's Version must be 2012-10-17.")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise MalformedPolicyDocumentException("The policy has no Statement.")
    for statement in statements:
        if not isinstance(statement, dict) or not {"Effect", "Principal"} <= statement.keys():
            raise MalformedPolicyDocumentException("Each statement needs an Effect and a Principal.")
    return statements


def _canonical(statement: Mapping[str, object], account_id: str) -> Mapping[str, object]:
    """Return a statement without its label, with lists of one as their item and the account as its root."""
    plain = {name: _single(value) for name, value in statement.items() if name not in _LABELS}
    principal = plain["Principal"]
    if isinstance(principal, dict):
        plain["Principal"] = {kind: _single(value) for kind, value in principal.items()}
    if plain["Principal"] == {"AWS": account_id}:
        plain["Principal"] = {"AWS": f"arn:aws:iam::{account_id}:root"}
    return plain


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


HANDLERS: Final = (
    handler.Handler(api.GET_KEY_POLICY, handler.key(api.GET_KEY_POLICY), get_key_policy),
    handler.Handler(
        api.PUT_KEY_POLICY,
        handler.key(api.PUT_KEY_POLICY),
        put_key_policy,
        check_put_key_policy,
        mutates=True,
    ),
)
