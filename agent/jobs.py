"""Owns what happens to keys without a caller: deletions and automatic rotations that have become due.

Each deed is an audit entry of the service's own, as CloudTrail records it. What fails is tried again at the
next round. Knows nothing of requests.
"""

import logging
import uuid
from collections.abc import Callable
from typing import Final

import trio

from agent.api.enums import KeyState, RotationType
from agent.api.errors import KMSInvalidStateException, ServiceError
from agent.audit.errors import AuditUnavailableError
from agent.audit.log import AuditLog
from agent.keys import rotation as rules
from agent.keys.key import Key
from agent.keys.states import settled
from agent.operations import rotation
from agent.operations.keys import begin_window
from agent.operations.kms import Kms
from agent.operations.related import relatives
from agent.operations.targets import present
from agent.store.errors import StoreError

INTERVAL_SECONDS: Final = 60
_SOURCE: Final = "AWS Internal"
_LOG: Final = logging.getLogger(__name__)

Details = dict[str, object]


async def run(
    kms: Kms, audit: AuditLog, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Look once a minute for what is due, until cancelled."""
    task_status.started()
    while True:
        try:
            await run_due(kms, audit)
        except (AuditUnavailableError, StoreError) as error:
            _LOG.error("Deletions and rotations that are due wait: %s", error)
        await trio.sleep(INTERVAL_SECONDS)


async def run_due(kms: Kms, audit: AuditLog) -> None:
    """Delete and rotate what is due at `kms.now()`.

    Raises:
        AuditUnavailableError: a deed could not be recorded.
        StoreError: a deed could not be made durable.
    """
    now = kms.now()
    for region in sorted(kms.regions):
        for key in (settled(key, now) for key in kms.store.keys(region)):
            for event_name, is_due, deed in _DEEDS:
                if is_due(key, now):
                    await _do(kms.in_region(region), audit, key, event_name, deed)
                    break


async def _do(
    kms: Kms, audit: AuditLog, key: Key, event_name: str, deed: Callable[[Kms, Key], Details]
) -> None:
    try:
        async with audit.entry(None, event_name, str(uuid.uuid4()), _SOURCE) as entry:
            entry.add_resource(key.arn)
            entry.service_event_details = await trio.to_thread.run_sync(deed, kms, key)
    except ServiceError as error:
        _LOG.info("%s: %s", event_name, error)


def _is_deletion_due(key: Key, now: float) -> bool:
    pending = key.key_state is KeyState.PENDING_DELETION
    return pending and key.deletion_date is not None and key.deletion_date <= now


def _delete(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key, now = present(kms, key), kms.now()
        if not _is_deletion_due(key, now):
            raise KMSInvalidStateException(f"{key.arn} is not pending deletion.")
        transaction.delete(key)
        left = relatives(kms, key)
        for primary in left:
            # The last replica is gone: now its primary's own waiting period begins.
            if primary.key_state is KeyState.PENDING_REPLICA_DELETION and len(left) == 1:
                transaction.put(begin_window(primary, (), now))
    kms.barrier.forget_key(key.key_id)
    return {"keyId": key.key_id}


def _rotate(kms: Kms, key: Key) -> Details:
    with kms.store.write() as transaction:
        key = present(kms, key)
        if not rules.is_due(key, kms.now()):
            raise KMSInvalidStateException(f"{key.arn} is not due for rotation.")
        rotated = rotation.rotate(kms, transaction, key, RotationType.AUTOMATIC, kms.now())
    return {
        "rotationType": RotationType.AUTOMATIC,
        "keyId": key.key_id,
        "keyOrigin": key.origin,
        "previousKeyMaterialId": key.current_material_id,
        "currentKeyMaterialId": rotated.current_material_id,
    }


_DEEDS: Final = (("DeleteKey", _is_deletion_due, _delete), ("RotateKey", rules.is_due, _rotate))
