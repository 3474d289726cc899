"""Owns the operations on identity policies, permissions boundaries and tags of principals.

They stand for what AWS keeps in IAM. Whether a user or role of some name exists is not known here: it does as
soon as somebody calls under it.
"""

from dataclasses import replace
from typing import Final

from agent.api.errors import (
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    TagException,
    ValidationException,
)
from agent.api.rows import identity as api
from agent.api.shapes.base import Empty
from agent.api.shapes.identity import (
    DeleteIdentityPolicyRequest,
    DeletePermissionsBoundaryRequest,
    GetIdentityPolicyRequest,
    GetIdentityPolicyResponse,
    ListIdentityPoliciesRequest,
    ListIdentityPoliciesResponse,
    PrincipalListEntry,
    PutIdentityPolicyRequest,
    PutPermissionsBoundaryRequest,
    TagPrincipalRequest,
    UntagPrincipalRequest,
)
from agent.api.shapes.keys import Tag
from agent.keys.identity import IdentityPolicy, PrincipalProfile
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.tags import check_tags, key_tags
from agent.policy.document import PolicyKind
from agent.policy.errors import PolicyError
from agent.policy.parse import parse
from agent.settings.principals import RESERVED_TAGS

POLICIES_PER_PRINCIPAL: Final = 20
TAGS_PER_PRINCIPAL: Final = 50
_LIST_LIMIT: Final = 100


def check_put_identity_policy(request: PutIdentityPolicyRequest) -> None:
    """Refuse a policy for the root, and what cannot be enforced to the letter."""
    _refuse_root(request.principal_arn)
    _require_policy(request.policy_document, PolicyKind.IDENTITY)


def put_identity_policy(kms: Kms, _caller: Caller, _keys: Keys, request: PutIdentityPolicyRequest) -> Empty:
    """Give a user or role a policy, in place of the one of that name."""
    with kms.store.write() as transaction:
        names = {policy.name for policy in kms.store.identity_policies(request.principal_arn)}
        if len(names | {request.policy_name}) > POLICIES_PER_PRINCIPAL:
            raise LimitExceededException(
                f"{request.principal_arn} has {POLICIES_PER_PRINCIPAL} identity policies already."
            )
        transaction.put(IdentityPolicy(request.principal_arn, request.policy_name, request.policy_document))
    return Empty()


def get_identity_policy(
    kms: Kms, _caller: Caller, _keys: Keys, request: GetIdentityPolicyRequest
) -> GetIdentityPolicyResponse:
    """Return the text of a policy."""
    policy = _present(kms, request.principal_arn, request.policy_name)
    return GetIdentityPolicyResponse(
        principal_arn=policy.principal_arn, policy_name=policy.name, policy_document=policy.document
    )


def delete_identity_policy(
    kms: Kms, _caller: Caller, _keys: Keys, request: DeleteIdentityPolicyRequest
) -> Empty:
    """Take a policy away."""
    with kms.store.write() as transaction:
        transaction.delete(_present(kms, request.principal_arn, request.policy_name))
    return Empty()


def list_identity_policies(
    kms: Kms, _caller: Caller, _keys: Keys, request: ListIdentityPoliciesRequest
) -> ListIdentityPoliciesResponse:
    """Return a page of principals by ARN, with what each is given; that of one if the request names one."""
    wanted = request.principal_arn
    known = kms.store.principals() if wanted is None else (wanted,)
    chosen, marker = page(
        known, str, request.limit or _LIST_LIMIT, request.marker, f"ListIdentityPolicies {wanted}"
    )
    return ListIdentityPoliciesResponse(
        principals=tuple(_entry(kms, arn) for arn in chosen),
        next_marker=marker,
        truncated=marker is not None,
    )


def check_put_permissions_boundary(request: PutPermissionsBoundaryRequest) -> None:
    """Refuse a boundary for the root, and what cannot be enforced to the letter."""
    _refuse_root(request.principal_arn)
    _require_policy(request.permissions_boundary, PolicyKind.BOUNDARY)


def put_permissions_boundary(
    kms: Kms, _caller: Caller, _keys: Keys, request: PutPermissionsBoundaryRequest
) -> Empty:
    """Limit what identity policies give to a user or role."""
    with kms.store.write() as transaction:
        profile = _profile(kms, request.principal_arn)
        transaction.put(replace(profile, boundary=request.permissions_boundary))
    return Empty()


def delete_permissions_boundary(
    kms: Kms, _caller: Caller, _keys: Keys, request: DeletePermissionsBoundaryRequest
) -> Empty:
    """Lift the limit."""
    with kms.store.write() as transaction:
        profile = _profile(kms, request.principal_arn)
        if profile.boundary is None:
            raise NotFoundException(f"{request.principal_arn} has no permissions boundary.")
        transaction.put(replace(profile, boundary=None))
    return Empty()


def check_tag_principal(request: TagPrincipalRequest) -> None:
    """Refuse tags for the root, and those that no principal can be given."""
    _refuse_root(request.principal_arn)
    check_tags(request.tags)
    if any(tag.tag_key in RESERVED_TAGS for tag in request.tags):
        raise TagException(f"These tags are the kernel's to give: {', '.join(sorted(RESERVED_TAGS))}")


def tag_principal(kms: Kms, _caller: Caller, _keys: Keys, request: TagPrincipalRequest) -> Empty:
    """Add tags to a user or role, or give tags that it has other values."""
    with kms.store.write() as transaction:
        profile = _profile(kms, request.principal_arn)
        tags = dict(profile.tags) | dict(key_tags(request.tags))
        if len(tags) > TAGS_PER_PRINCIPAL:
            raise TagException("Too many tags")
        transaction.put(replace(profile, tags=tuple(sorted(tags.items()))))
    return Empty()


def untag_principal(kms: Kms, _caller: Caller, _keys: Keys, request: UntagPrincipalRequest) -> Empty:
    """Remove tags; those that are not there are no error."""
    with kms.store.write() as transaction:
        profile = _profile(kms, request.principal_arn)
        tags = tuple(pair for pair in profile.tags if pair[0] not in request.tag_keys)
        transaction.put(replace(profile, tags=tags))
    return Empty()


def _entry(kms: Kms, principal_arn: str) -> PrincipalListEntry:
    profile = _profile(kms, principal_arn)
    return PrincipalListEntry(
        principal_arn=principal_arn,
        policy_names=tuple(policy.name for policy in kms.store.identity_policies(principal_arn)),
        permissions_boundary=profile.boundary,
        tags=tuple(Tag(tag_key=name, tag_value=value) for name, value in profile.tags) or None,
    )


def _profile(kms: Kms, principal_arn: str) -> PrincipalProfile:
    return kms.store.profile(principal_arn) or PrincipalProfile(principal_arn)


def _present(kms: Kms, principal_arn: str, name: str) -> IdentityPolicy:
    for policy in kms.store.identity_policies(principal_arn):
        if policy.name == name:
            return policy
    raise NotFoundException(f"{principal_arn} has no identity policy {name}.")


def _refuse_root(principal_arn: str) -> None:
    if principal_arn.endswith(":root"):
        raise ValidationException(
            "The account's root may do whatever key policies leave to the account; it has no identity "
            "policies, boundary or tags."
        )


def _require_policy(text: str, kind: PolicyKind) -> None:
    try:
        parse(text, kind)
    except PolicyError as error:
        raise MalformedPolicyDocumentException(str(error)) from None


HANDLERS: Final = (
    handler.Handler(
        api.PUT_IDENTITY_POLICY,
        handler.account(api.PUT_IDENTITY_POLICY),
        put_identity_policy,
        check_put_identity_policy,
        mutates=True,
    ),
    handler.Handler(api.GET_IDENTITY_POLICY, handler.account(api.GET_IDENTITY_POLICY), get_identity_policy),
    handler.Handler(
        api.DELETE_IDENTITY_POLICY,
        handler.account(api.DELETE_IDENTITY_POLICY),
        delete_identity_policy,
        mutates=True,
    ),
    handler.Handler(
        api.LIST_IDENTITY_POLICIES, handler.account(api.LIST_IDENTITY_POLICIES), list_identity_policies
    ),
    handler.Handler(
        api.PUT_PERMISSIONS_BOUNDARY,
        handler.account(api.PUT_PERMISSIONS_BOUNDARY),
        put_permissions_boundary,
        check_put_permissions_boundary,
        mutates=True,
    ),
    handler.Handler(
        api.DELETE_PERMISSIONS_BOUNDARY,
        handler.account(api.DELETE_PERMISSIONS_BOUNDARY),
        delete_permissions_boundary,
        mutates=True,
    ),
    handler.Handler(
        api.TAG_PRINCIPAL,
        handler.account(api.TAG_PRINCIPAL),
        tag_principal,
        check_tag_principal,
        mutates=True,
    ),
    handler.Handler(api.UNTAG_PRINCIPAL, handler.account(api.UNTAG_PRINCIPAL), untag_principal, mutates=True),
)
