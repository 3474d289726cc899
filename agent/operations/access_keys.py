"""Owns the operations on access keys and sessions: who may have how many, and how they are made.

Secrets are made here, shown once in the answer, and kept wrapped; of session tokens a digest is kept.
"""

import secrets
from dataclasses import replace
from operator import attrgetter
from typing import Final

from agent.api import arn as arns
from agent.api.enums import AccessKeyStatus
from agent.api.errors import (
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    TagException,
    ValidationException,
)
from agent.api.rows import access_keys as api
from agent.api.shapes.access_keys import (
    AccessKeyMetadata,
    CreateAccessKeyRequest,
    CreateAccessKeyResponse,
    CreateSessionRequest,
    CreateSessionResponse,
    DeleteAccessKeyRequest,
    ListAccessKeysRequest,
    ListAccessKeysResponse,
    UpdateAccessKeyRequest,
)
from agent.api.shapes.base import Empty
from agent.authn.credentials import token_digest
from agent.keys.identity import AccessKey
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page
from agent.operations.tags import check_tags, key_tags
from agent.policy.document import PolicyKind
from agent.policy.errors import PolicyError
from agent.policy.parse import parse
from agent.settings.principals import RESERVED_TAGS

KEYS_PER_PRINCIPAL: Final = 2
SESSIONS_PER_PRINCIPAL: Final = 1000
DEFAULT_DURATION_SECONDS: Final = 3600
_KEPT_AFTER_EXPIRATION_SECONDS: Final = 24 * 3600
"""For so long an ended session is told from one that never was."""
_LIST_LIMIT: Final = 100
_PERMANENT_PREFIX: Final = "AKIA"
_SESSION_PREFIX: Final = "ASIA"
_ID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ID_LENGTH: Final = 16
_SECRET_BYTES: Final = 30
_TOKEN_BYTES: Final = 96


def check_create_access_key(request: CreateAccessKeyRequest) -> None:
    """Refuse a role: it has sessions, and no keys of its own."""
    if _is_role(request.principal_arn):
        raise ValidationException("A role has no access keys; create a session of it, or a key of a user")


def create_access_key(
    kms: Kms, _caller: Caller, _keys: Keys, request: CreateAccessKeyRequest
) -> CreateAccessKeyResponse:
    """Make an access key, and show its secret this once."""
    with kms.store.write() as transaction:
        if len(_permanent_keys(kms, request.principal_arn)) >= KEYS_PER_PRINCIPAL:
            raise LimitExceededException(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_PRINCIPAL}")
        access_key_id = _new_id(_PERMANENT_PREFIX)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        record = AccessKey(
            access_key_id=access_key_id,
            principal_arn=request.principal_arn,
            account_id=arns.parse(request.principal_arn).account_id,
            status=AccessKeyStatus.ACTIVE,
            creation_date=kms.now(),
            wrapped_secret=kms.barrier.wrap_secret(access_key_id, secret.encode()),
        )
        transaction.put(record)
    return CreateAccessKeyResponse(
        access_key_id=access_key_id,
        secret_access_key=secret,
        principal_arn=record.principal_arn,
        status=record.status,
        create_date=record.creation_date,
    )


def list_access_keys(
    kms: Kms, _caller: Caller, _keys: Keys, request: ListAccessKeysRequest
) -> ListAccessKeysResponse:
    """Return a page of the access keys, those of sessions included, by id."""
    wanted = request.principal_arn
    chosen, marker = page(
        [key for key in kms.store.access_keys() if wanted in (None, key.principal_arn, key.role_arn)],
        attrgetter("access_key_id"),
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListAccessKeys {wanted}",
    )
    return ListAccessKeysResponse(
        access_keys=tuple(
            AccessKeyMetadata(
                access_key_id=key.access_key_id,
                principal_arn=key.principal_arn,
                status=key.status,
                create_date=key.creation_date,
                expiration=key.expiration,
            )
            for key in chosen
        ),
        next_marker=marker,
        truncated=marker is not None,
    )


def update_access_key(kms: Kms, _caller: Caller, _keys: Keys, request: UpdateAccessKeyRequest) -> Empty:
    """Let an access key sign, or not; a session's too."""
    with kms.store.write() as transaction:
        transaction.put(replace(_present(kms, request.access_key_id), status=request.status))
    return Empty()


def delete_access_key(kms: Kms, _caller: Caller, _keys: Keys, request: DeleteAccessKeyRequest) -> Empty:
    """Remove an access key, or end a session."""
    with kms.store.write() as transaction:
        transaction.delete(_present(kms, request.access_key_id))
    return Empty()


def check_create_session(request: CreateSessionRequest) -> None:
    """Refuse sessions without a name where one is needed, with tags or a policy that cannot be enforced."""
    if _is_role(request.principal_arn) is (request.role_session_name is None):
        raise ValidationException(
            "A session of a role needs a RoleSessionName, and only that of a role can have one"
        )
    tags = request.tags or ()
    check_tags(tags)
    if any(tag.tag_key in RESERVED_TAGS for tag in tags):
        raise TagException(f"These tags are the kernel's to give: {', '.join(sorted(RESERVED_TAGS))}")
    if request.session_policy is not None:
        try:
            parse(request.session_policy, PolicyKind.SESSION)
        except PolicyError as error:
            raise MalformedPolicyDocumentException(str(error)) from None


def create_session(
    kms: Kms, _caller: Caller, _keys: Keys, request: CreateSessionRequest
) -> CreateSessionResponse:
    """Make temporary credentials, and show them this once."""
    now = kms.now()
    arn = arns.parse(request.principal_arn)
    role_arn, principal_arn = None, request.principal_arn
    if request.role_session_name is not None:
        role_arn = request.principal_arn
        role_name = arn.resource.rpartition("/")[2]
        principal_arn = f"arn:aws:sts::{arn.account_id}:assumed-role/{role_name}/{request.role_session_name}"
    expiration = now + (request.duration_seconds or DEFAULT_DURATION_SECONDS)
    with kms.store.write() as transaction:
        sessions = [key for key in kms.store.access_keys() if key.expiration is not None]
        for ended in sessions:
            if (ended.expiration or 0) + _KEPT_AFTER_EXPIRATION_SECONDS < now:
                transaction.delete(ended)
        open_count = sum(
            (key.role_arn or key.principal_arn) == request.principal_arn and (key.expiration or 0) > now
            for key in sessions
        )
        if open_count >= SESSIONS_PER_PRINCIPAL:
            raise LimitExceededException(f"Cannot exceed quota for open sessions: {SESSIONS_PER_PRINCIPAL}")
        access_key_id = _new_id(_SESSION_PREFIX)
        secret, token = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)
        transaction.put(
            AccessKey(
                access_key_id=access_key_id,
                principal_arn=principal_arn,
                account_id=arn.account_id,
                status=AccessKeyStatus.ACTIVE,
                creation_date=now,
                wrapped_secret=kms.barrier.wrap_secret(access_key_id, secret.encode()),
                role_arn=role_arn,
                expiration=expiration,
                token_digest=token_digest(token),
                session_tags=key_tags(request.tags or ()),
                session_policy=request.session_policy,
            )
        )
    return CreateSessionResponse(
        access_key_id=access_key_id,
        secret_access_key=secret,
        session_token=token,
        expiration=expiration,
        principal_arn=principal_arn,
    )


def _is_role(principal_arn: str) -> bool:
    return arns.parse(principal_arn).resource.startswith("role/")


def _permanent_keys(kms: Kms, principal_arn: str) -> list[AccessKey]:
    return [
        key
        for key in kms.store.access_keys()
        if key.principal_arn == principal_arn and key.expiration is None
    ]


def _present(kms: Kms, access_key_id: str) -> AccessKey:
    record = kms.store.access_key(access_key_id)
    if record is None:
        raise NotFoundException(f"The Access Key with id {access_key_id} cannot be found.")
    return record


def _new_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


HANDLERS: Final = (
    handler.Handler(
        api.CREATE_ACCESS_KEY,
        handler.account(api.CREATE_ACCESS_KEY),
        create_access_key,
        check_create_access_key,
        mutates=True,
    ),
    handler.Handler(api.LIST_ACCESS_KEYS, handler.account(api.LIST_ACCESS_KEYS), list_access_keys),
    handler.Handler(
        api.UPDATE_ACCESS_KEY, handler.account(api.UPDATE_ACCESS_KEY), update_access_key, mutates=True
    ),
    handler.Handler(
        api.DELETE_ACCESS_KEY, handler.account(api.DELETE_ACCESS_KEY), delete_access_key, mutates=True
    ),
    handler.Handler(
        api.CREATE_SESSION,
        handler.account(api.CREATE_SESSION),
        create_session,
        check_create_session,
        mutates=True,
    ),
)
