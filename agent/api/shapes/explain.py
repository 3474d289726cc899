"""Owns the shapes of ExplainAccess, which is the agent's own: why a request would be allowed or not."""

from typing import Annotated

from msgspec import Meta

from agent.api.shapes.base import EncryptionContext, GrantTokens, KeyId, Shape, pattern

AnyPrincipalArn = Annotated[
    str,
    Meta(min_length=20, max_length=2048),
    pattern(
        r"arn:aws:(?:iam::[0-9]{12}:(?:root|(?:user|role)/(?:[\w+=,.@-]+/)*[\w+=,.@-]+)"
        r"|sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]{2,64})"
    ),
]
ActionName = Annotated[str, Meta(min_length=5, max_length=128), pattern(r"kms(?:-agent)?:[A-Za-z]+")]


class ExplainAccessRequest(Shape, frozen=True, kw_only=True):
    """Request of ExplainAccess.

    Attributes:
        principal_arn: whose request is supposed; a role's request is one of some session.
        action: as in policies.
        key_id: id or ARN; absent for actions about no key.
        encryption_context: of the supposed request.
        condition_keys: further condition keys of the supposed request, over those that follow from the
            rest; several values of one are separated by commas.
        grant_tokens: of the supposed request; each must be of a grant in force. For `kms:RetireGrant` the
            first says which grant is to be retired, and with it the key.
    """

    principal_arn: AnyPrincipalArn
    action: ActionName
    key_id: KeyId | None = None
    encryption_context: EncryptionContext | None = None
    condition_keys: dict[str, str] | None = None
    grant_tokens: GrantTokens | None = None


class ConditionVerdict(Shape, frozen=True, kw_only=True):
    """One condition of a statement; `holds` is yes, no, or undecided."""

    operator: str
    key: str
    values: tuple[str, ...]
    request_values: tuple[str, ...] | None = None
    holds: str


class StatementVerdict(Shape, frozen=True, kw_only=True):
    """One statement that had a say.

    Attributes:
        policy: what kind of policy it is in, in AWS's words.
        policy_name: which one, where there may be several.
        number: the statement's, from 1.
        applies: yes, no, or undecided; an Allow that is undecided does not count, a Deny does.
        mismatch: the first element that does not fit, or cannot be decided.
    """

    policy: str
    policy_name: str | None = None
    number: int
    sid: str | None = None
    effect: str
    applies: str
    mismatch: str | None = None
    conditions: tuple[ConditionVerdict, ...] | None = None


class ExplainAccessResponse(Shape, frozen=True, kw_only=True):
    """Response of ExplainAccess.

    Attributes:
        allowed: what would come of the request.
        decided_by: the kind of policy that allows or denies it, or lacks an Allow; `grant` for a grant.
        explicit: whether a statement or grant says so, rather than the lack of one.
        message: what the caller would be told; absent if allowed.
        grant_id: the grant that allows it.
        statements: every statement that had a say.
    """

    allowed: bool
    decided_by: str
    explicit: bool
    message: str | None = None
    grant_id: str | None = None
    statements: tuple[StatementVerdict, ...]
