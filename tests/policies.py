"""Policies, callers and requests for the tests of the policy language."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.policy.document import Document, PolicyKind
from agent.policy.evaluate import Decision, MatchedGrant, Policies, Request, evaluate
from agent.policy.parse import parse

ACCOUNT: Final = "111122223333"
OTHER: Final = "444455556666"
ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
OTHER_ROOT: Final = f"arn:aws:iam::{OTHER}:root"
USER: Final = f"arn:aws:iam::{ACCOUNT}:user/alice"
BOB: Final = f"arn:aws:iam::{ACCOUNT}:user/bob"
OTHER_USER: Final = f"arn:aws:iam::{OTHER}:user/zoe"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s1"
OTHER_SESSION: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s2"
KEY_ARN: Final = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ACTION: Final = "kms:Decrypt"


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who makes a request."""

    arn: str
    account_id: str = ACCOUNT
    role_arn: str | None = None


ALICE: Final = Asker(USER)
ACCOUNT_ROOT: Final = Asker(ROOT)
APP: Final = Asker(SESSION, role_arn=ROLE)
ZOE: Final = Asker(OTHER_USER, OTHER)


def statement(effect: str = "Allow", **elements: object) -> dict[str, Any]:
    """Return a statement on everything, with its elements replaced by those given."""
    plain: dict[str, Any] = {"Effect": effect, "Action": "kms:*", "Resource": "*"}
    for name in ("Action", "Resource"):
        if f"Not{name}" in elements:
            del plain[name]
    return {**plain, **elements}


def naming(principal: object, effect: str = "Allow", **elements: object) -> dict[str, Any]:
    """Return a statement of a key policy about one principal."""
    return statement(effect, Principal={"AWS": principal}, **elements)


def text(*statements: Mapping[str, Any], version: str | None = "2012-10-17") -> str:
    """Return a policy's text."""
    document: dict[str, object] = {"Statement": list(statements)}
    if version is not None:
        document["Version"] = version
    return json.dumps(document)


def key_policy(*statements: Mapping[str, Any], version: str | None = "2012-10-17") -> Document:
    """Return a key policy."""
    return parse(text(*statements, version=version), PolicyKind.KEY)


def identity_policy(*statements: Mapping[str, Any], version: str | None = "2012-10-17") -> Document:
    """Return a policy of a principal."""
    return parse(text(*statements, version=version), PolicyKind.IDENTITY)


def decide(
    asker: Asker,
    key: Sequence[Mapping[str, Any]] | None = (),
    identity: Sequence[Mapping[str, Any]] = (),
    *,
    boundary: Sequence[Mapping[str, Any]] | None = None,
    session: Sequence[Mapping[str, Any]] | None = None,
    guard: Sequence[Mapping[str, Any]] | None = None,
    grants: Sequence[MatchedGrant] = (),
    action: str = ACTION,
    resource: str = KEY_ARN,
    context: Mapping[str, tuple[str, ...]] | None = None,
) -> Decision:
    """Decide one request; `key` None asks for an action that is about no key."""
    # A policy without statements cannot be written; one about nobody says the same.
    silent = naming(f"arn:aws:iam::{ACCOUNT}:user/nobody")
    return evaluate(
        Request(asker, action, resource, ACCOUNT, dict(context or {})),
        Policies(
            key=None if key is None else key_policy(silent, *key),
            identity=(identity_policy(*identity),) if identity else (),
            boundary=None if boundary is None else identity_policy(*boundary),
            session=() if session is None else (identity_policy(*session),),
            guard=() if guard is None else (identity_policy(*guard),),
            grants=grants,
        ),
    )
