"""Owns what happens to keys without a caller: deletions, rotations and expiries that have become due.

Each deed is an audit entry of the service's own, as CloudTrail records it. What fails is tried again at the
next round. Knows nothing of requests.
"""

import logging
from collections.abc import Callable
from typing import Final

import trio

from agent.api.enums import KeyState, Origin, RotationType
from agent.api.errors import KMSInvalidStateException, ServiceError
from agent.audit.errors import AuditUnavailableError
from agent.audit.log import AuditLog
from agent.ids import new_id
from agent.keys import imports
from agent.keys import rotation as rules
from agent.keys.key import Key
from agent.keys.states import settled
from agent.operations.keys import begin_window
from agent.operations.kms import Kms
from agent.operations.material import remove
from agent.operations.related import put_key, relatives
from agent.operations.rotating import has_material, no_material, rotate
from agent.operations.targets import present
from agent.store.errors import StoreError

INTERVAL_SECONDS: Final = 60
_SOURCE: Final = "AWS Internal"
_PASSING: Final = frozenset({KeyState.CREATING, KeyState.UPDATING})
_LOG: Final = logging.getLogger(__name__)

Details = dict[str, object]


async def run(
    kms: Kms, audit: AuditLog, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Look for what is due, once a minute and whenever the bell is rung, until cancelled."""
    task_status.started()
    while True:
        try:
            await run_due(kms, audit)
        except (AuditUnavailableError, StoreError) as error:
            _LOG.error("Deletions, rotations and expiries that are due wait: %s", error)
        with trio.move_on_after(INTERVAL_SECONDS):
            await kms.bell.listen()


async def run_due(kms: Kms, audit: AuditLog) -> None:
    """Do what is due at `kms.now()`.

    Raises:
        AuditUnavailableError: a deed could not be recorded.
        StoreError: a deed could not be made durable.
    """
    for region in sorted(kms.regions):
        there = kms.in_region(region)
        # In a thread: among very many keys the search takes a while, and requests must not wait for it.
        for key in await trio.to_thread.run_sync(_due_keys, there):
            await _do_all(there, audit, key)


def _due_keys(kms: Kms) -> list[Key]:
    now = kms.now()
    return [key for key in kms.store.keys(kms.region) if _due(kms, settled(key, now), now)]


def _due(kms: Kms, key: Key, now: float) -> tuple[str, Callable[[Kms, Key], Details]] | None:
    """Return what is due of a key first, and the name of that event."""
    for event_name, is_due, deed in _DEEDS:
        if is_due(kms, key, now):
            return event_name, deed
    return None


async def _do_all(kms: Kms, audit: AuditLog, key: Key) -> None:
    """Do what is due of one key; one deed may make another one due."""
    now = kms.now()
    current: Key | None = settled(key, now)
    while current is not None:
        due = _due(kms, current, now)
        if due is None or not await _do(kms, audit, current, *due):
            return
        current = kms.key(key.key_id)


async def _do(
    kms: Kms, audit: AuditLog, key: Key, event_name: str, deed: Callable[[Kms, Key], Details]
) -> bool:
    """Return whether it was done; when not, that is recorded too."""
    try:
        async with audit.entry(None, event_name, new_id(), _SOURCE) as entry:
            entry.region = kms.region
            entry.add_resource(key.arn)
            entry.service_event_details = await trio.to_thread.run_sync(deed, kms, key)
    except ServiceError as error:
        _LOG.info("%s: %s", event_name, error)
        return False
    return True


def _is_deletion_due(_kms: Kms, key: Key, now: float) -> bool:
    pending = key.key_state is KeyState.PENDING_DELETION
    return pending and key.deletion_date is not None and key.deletion_date <= now


def _delete(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key, now = present(kms, key), kms.now()
        if not _is_deletion_due(kms, key, now):
            raise KMSInvalidStateException(f"{key.arn} is not pending deletion.")
        transaction.delete(key)
        left = relatives(kms, key)
        for primary in left:
            # The last replica is gone: now its primary's own waiting period begins.
            if primary.key_state is KeyState.PENDING_REPLICA_DELETION and len(left) == 1:
                transaction.put(begin_window(primary, (), now))
    kms.barrier.forget_key(key.key_id)
    return {"keyId": key.key_id}


def _is_rotation_due(_kms: Kms, key: Key, now: float) -> bool:
    return rules.is_due(key, now)


def _rotate(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key, now = present(kms, key), kms.now()
        if not rules.is_due(key, now):
            raise KMSInvalidStateException(f"{key.arn} is not due for rotation.")
        rotated = rotate(kms, transaction, key, RotationType.AUTOMATIC, now)
    return _rotation(key, rotated, RotationType.AUTOMATIC)


def _is_rotation_under_way(_kms: Kms, key: Key, _now: float) -> bool:
    return rules.is_under_way(key)


def _finish_rotation(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key = present(kms, key)
        if not rules.is_under_way(key):
            raise KMSInvalidStateException(f"{key.arn} is not being rotated.")
        possible = has_material(kms, key)
        if possible:
            after = rotate(kms, transaction, key, RotationType.ON_DEMAND, kms.now())
        else:
            after = rules.abandon_on_demand(key)
            put_key(kms, transaction, after)
    if not possible:
        raise no_material(key)
    return _rotation(key, after, RotationType.ON_DEMAND)


def _rotation(before: Key, after: Key, rotation_type: RotationType) -> Details:
    return {
        "rotationType": rotation_type,
        "keyId": after.key_id,
        "keyOrigin": after.origin,
        "previousKeyMaterialId": before.current_material_id,
        "currentKeyMaterialId": after.current_material_id,
    }


def _is_expiry_due(kms: Kms, key: Key, now: float) -> bool:
    if key.origin is not Origin.EXTERNAL or key.key_state in _PASSING:
        return False
    return any(imports.is_expired(material, now) for material in kms.store.materials(kms.region, key.key_id))


def _expire(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key, now = present(kms, key), kms.now()
        for material in kms.store.materials(key.region, key.key_id):
            if imports.is_expired(material, now):
                remove(kms, transaction, key, material)
                break
        else:
            raise KMSInvalidStateException(f"{key.arn} has no expired key material.")
    kms.barrier.forget_key(key.key_id)
    return {"keyId": key.key_id, "keyMaterialId": material.material_id}


_DEEDS: Final = (
    ("DeleteKey", _is_deletion_due, _delete),
    ("DeleteExpiredKeyMaterial", _is_expiry_due, _expire),
    ("RotateKey", _is_rotation_under_way, _finish_rotation),
    ("RotateKey", _is_rotation_due, _rotate),
)
"""Each event's name, when it is due, and what it does."""
