"""Owns the operations on existing keys: description, listing, state, deletion."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyState, Origin, ResourceOwner
from agent.api.errors import ValidationException
from agent.api.shapes.base import Empty
from agent.api.shapes.keys import (
    CancelKeyDeletionRequest,
    CancelKeyDeletionResponse,
    DescribeKeyRequest,
    DescribeKeyResponse,
    DisableKeyRequest,
    EnableKeyRequest,
    KeyListEntry,
    ListKeysRequest,
    ListKeysResponse,
    ScheduleKeyDeletionRequest,
    ScheduleKeyDeletionResponse,
    UpdateKeyDescriptionRequest,
)
from agent.keys.imports import is_complete
from agent.keys.key import Key
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.metadata import metadata
from agent.operations.pages import page
from agent.operations.related import put_key, relatives
from agent.operations.targets import present

_LIST_LIMIT: Final = 100
_DEFAULT_WINDOW_DAYS: Final = 30
_MIN_WINDOW_DAYS: Final = 7
_MAX_WINDOW_DAYS: Final = 30
_DAY_SECONDS: Final = 86_400


def describe_key(kms: Kms, _caller: Caller, keys: Keys, _request: DescribeKeyRequest) -> DescribeKeyResponse:
    """Return a key's metadata."""
    (key,) = keys
    return DescribeKeyResponse(key_metadata=metadata(kms, key))


def list_keys(kms: Kms, _caller: Caller, _keys: Keys, request: ListKeysRequest) -> ListKeysResponse:
    """Return a page of the account's keys, by key id. Other accounts share none with it."""
    owners = sorted(set(request.resource_owners or (ResourceOwner.SELF,)))
    chosen, marker = page(
        kms.store.keys(kms.region) if ResourceOwner.SELF in owners else (),
        lambda key: key.key_id,
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListKeys {' '.join(owners)}",
    )
    entries = tuple(KeyListEntry(key_id=key.key_id, key_arn=key.arn) for key in chosen)
    return ListKeysResponse(keys=entries, next_marker=marker, truncated=marker is not None)


def enable_key(kms: Kms, _caller: Caller, keys: Keys, _request: EnableKeyRequest) -> Empty:
    """Allow the key to be used again."""
    change(kms, keys[0], "EnableKey", lambda key: replace(key, key_state=KeyState.ENABLED))
    return Empty()


def disable_key(kms: Kms, _caller: Caller, keys: Keys, _request: DisableKeyRequest) -> Empty:
    """Forbid every use of the key until it is enabled."""
    change(kms, keys[0], "DisableKey", lambda key: replace(key, key_state=KeyState.DISABLED))
    return Empty()


def update_key_description(
    kms: Kms, _caller: Caller, keys: Keys, request: UpdateKeyDescriptionRequest
) -> Empty:
    """Replace the key's description."""
    change(kms, keys[0], "UpdateKeyDescription", lambda key: replace(key, description=request.description))
    return Empty()


def check_schedule_key_deletion(request: ScheduleKeyDeletionRequest) -> None:
    """Refuse windows that AWS's guide forbids though its model allows them."""
    days = request.pending_window_in_days
    if days is None or _MIN_WINDOW_DAYS <= days <= _MAX_WINDOW_DAYS:
        return
    bound = f"greater than or equal to {_MIN_WINDOW_DAYS}"
    if days > _MAX_WINDOW_DAYS:
        bound = f"less than or equal to {_MAX_WINDOW_DAYS}"
    raise ValidationException(
        f"1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy "
        f"constraint: Member must have value {bound}"
    )


def schedule_key_deletion(
    kms: Kms, _caller: Caller, keys: Keys, request: ScheduleKeyDeletionRequest
) -> ScheduleKeyDeletionResponse:
    """Make the key unusable at once, and have it deleted when the waiting period ends.

    That of a primary begins when its last replica is gone.
    """
    days = request.pending_window_in_days or _DEFAULT_WINDOW_DAYS
    now = kms.now()
    key = change(
        kms,
        keys[0],
        "ScheduleKeyDeletion",
        lambda key: begin_window(
            replace(key, key_state=KeyState.PENDING_REPLICA_DELETION, pending_window_days=days),
            relatives(kms, key),
            now,
        ),
    )
    return ScheduleKeyDeletionResponse(
        key_id=key.arn,
        deletion_date=key.deletion_date,
        key_state=key.key_state,
        pending_window_in_days=days,
    )


def begin_window(key: Key, others: Sequence[Key], now: float) -> Key:
    """Return a key as its waiting period begins, unless replicas of it are left among the `others`."""
    assert key.pending_window_days is not None
    if others and not key.replica:
        return key
    deletion_date = now + key.pending_window_days * _DAY_SECONDS
    return replace(key, key_state=KeyState.PENDING_DELETION, deletion_date=deletion_date)


def cancel_key_deletion(
    kms: Kms, _caller: Caller, keys: Keys, _request: CancelKeyDeletionRequest
) -> CancelKeyDeletionResponse:
    """Keep the key after all; it is disabled until someone enables it, or waits for material that it lost."""
    key = change(
        kms,
        keys[0],
        "CancelKeyDeletion",
        lambda key: replace(
            key, key_state=_state_after_cancelling(kms, key), deletion_date=None, pending_window_days=None
        ),
    )
    return CancelKeyDeletionResponse(key_id=key.arn)


def _state_after_cancelling(kms: Kms, key: Key) -> KeyState:
    materials = kms.store.materials(key.region, key.key_id)
    missing = key.origin is Origin.EXTERNAL and not is_complete(materials)
    return KeyState.PENDING_IMPORT if missing else KeyState.DISABLED


def change(kms: Kms, key: Key, operation_name: str, edit: Callable[[Key], Key]) -> Key:
    """Change a key in one transaction, if its state then allows the operation; return what it has become."""
    with kms.store.write() as transaction:
        key = present(kms, key)
        require_state(key, operation_name)
        changed = edit(key)
        if changed != key:
            put_key(kms, transaction, changed)
    return changed


HANDLERS: Final = (
    handler.Handler(api.DESCRIBE_KEY, handler.key_or_alias(api.DESCRIBE_KEY), describe_key),
    handler.Handler(api.LIST_KEYS, handler.account(api.LIST_KEYS), list_keys),
    handler.Handler(api.ENABLE_KEY, handler.key(api.ENABLE_KEY), enable_key, mutates=True),
    handler.Handler(api.DISABLE_KEY, handler.key(api.DISABLE_KEY), disable_key, mutates=True),
    handler.Handler(
        api.UPDATE_KEY_DESCRIPTION,
        handler.key(api.UPDATE_KEY_DESCRIPTION),
        update_key_description,
        mutates=True,
    ),
    handler.Handler(
        api.SCHEDULE_KEY_DELETION,
        handler.key(api.SCHEDULE_KEY_DELETION),
        schedule_key_deletion,
        check_schedule_key_deletion,
        mutates=True,
    ),
    handler.Handler(
        api.CANCEL_KEY_DELETION, handler.key(api.CANCEL_KEY_DELETION), cancel_key_deletion, mutates=True
    ),
)
