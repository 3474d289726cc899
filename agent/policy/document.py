"""Owns the values that a policy is made of, and how they are written. Knows nothing of how they are read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.policy.conditions import Condition
from agent.policy.match import ArnPattern, Pattern
from agent.policy.principals import ANYONE, Principals

CURRENT_VERSION: Final = "2012-10-17"
OLD_VERSION: Final = "2008-10-17"


class PolicyKind(StrEnum):
    """What a policy is attached to, by the name that AWS's messages give it."""

    KEY = "resource-based policy"
    IDENTITY = "identity-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    GUARD = "service control policy"

    @property
    def with_article(self) -> str:
        """The name with its article."""
        return f"{'an' if self is PolicyKind.IDENTITY else 'a'} {self.value}"


class Effect(StrEnum):
    """What a statement that applies does."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Actions:
    """Action, or NotAction if `negated`."""

    patterns: tuple[Pattern, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Resource, or NotResource if `negated`."""

    patterns: tuple[ArnPattern, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `principals` is None in policies that are attached to a principal."""

    effect: Effect
    actions: Actions
    resources: Resources
    principals: Principals | None = None
    conditions: tuple[Condition, ...] = ()
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A policy."""

    statements: tuple[Statement, ...]
    version: str = CURRENT_VERSION
    policy_id: str | None = None


def dump(document: Document) -> str:
    """Return a policy as JSON; reading it gives the same policy."""
    members: dict[str, object] = {"Version": document.version}
    if document.policy_id is not None:
        members["Id"] = document.policy_id
    members["Statement"] = [_statement(statement) for statement in document.statements]
    return json.dumps(members)


def _statement(statement: Statement) -> Mapping[str, object]:
    members: dict[str, object] = {}
    if statement.sid is not None:
        members["Sid"] = statement.sid
    members["Effect"] = statement.effect.value
    if statement.principals is not None:
        name = "NotPrincipal" if statement.principals.negated else "Principal"
        members[name] = _principals(statement.principals)
    actions, resources = statement.actions, statement.resources
    members["NotAction" if actions.negated else "Action"] = [read.text for read in actions.patterns]
    members["NotResource" if resources.negated else "Resource"] = [read.text for read in resources.patterns]
    if statement.conditions:
        operators: dict[str, dict[str, list[str]]] = {}
        for condition in statement.conditions:
            operators.setdefault(condition.operator, {})[condition.key] = list(condition.values)
        members["Condition"] = operators
    return members


def _principals(principals: Principals) -> object:
    kinds = {
        "AWS": principals.aws,
        "Service": principals.service,
        "Federated": principals.federated,
        "CanonicalUser": principals.canonical_user,
    }
    written = {kind: list(names) for kind, names in kinds.items() if names}
    return ANYONE if written == {"AWS": [ANYONE]} else written
