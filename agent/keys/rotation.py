"""Owns the rules of rotation: periods, dates, limits. Knows nothing of key material or of clocks.

Every function takes a key and gives the key that results; dates are seconds since the epoch.
"""

from dataclasses import replace
from typing import Final

from agent.api.enums import KeyState, RotationType
from agent.api.errors import ConflictException, LimitExceededException
from agent.keys.key import Key

DEFAULT_PERIOD_DAYS: Final = 365
MIN_PERIOD_DAYS: Final = 90
MAX_PERIOD_DAYS: Final = 2560
ON_DEMAND_LIMIT: Final = 25

_DAY_SECONDS: Final = 86_400
_CONFLICT_SECONDS: Final = 20 * 60


def enable(key: Key, period_days: int | None, now: float) -> Key:
    """Turn automatic rotation on.

    Without a period the one in force stays; a key on which rotation is off gets 365 days. Dates count from
    now, unless nothing changes: then the schedule stays as it is.
    """
    period = period_days or key.rotation_period_days or DEFAULT_PERIOD_DAYS
    if period == key.rotation_period_days:
        return key
    return replace(key, rotation_period_days=period, next_rotation_date=now + period * _DAY_SECONDS)


def disable(key: Key) -> Key:
    """Turn automatic rotation off; the period is forgotten."""
    return replace(key, rotation_period_days=None, next_rotation_date=None)


def is_enabled(key: Key) -> bool:
    """Whether rotation counts as enabled: not while deletion is pending, whatever was set.

    While a primary waits for the deletion of its replicas it does count, as on AWS.
    """
    return key.rotation_period_days is not None and key.key_state is not KeyState.PENDING_DELETION


def is_due(key: Key, now: float) -> bool:
    """Whether automatic rotation must happen now; a key that is not enabled waits until it is again.

    Replicas never are due: they follow their primary.
    """
    due = key.next_rotation_date is not None and key.next_rotation_date <= now
    return due and key.key_state is KeyState.ENABLED and not key.replica


def is_under_way(key: Key) -> bool:
    """Whether a rotation on demand has begun and is not done; replicas follow their primary."""
    return key.on_demand_rotation_start is not None and not key.replica


def begin_on_demand(key: Key, now: float) -> Key:
    """Begin a rotation on demand; it goes on whatever the key's state becomes meanwhile."""
    return replace(key, on_demand_rotation_start=now)


def abandon_on_demand(key: Key) -> Key:
    """End a rotation on demand that has lost the material it was to end with; it does not count."""
    return replace(key, on_demand_rotation_start=None)


def require_on_demand(key: Key, now: float) -> None:
    """Refuse an on-demand rotation beyond the limit of a key's life, or shortly before an automatic one.

    Raises:
        LimitExceededException: the key was rotated on demand 25 times.
        ConflictException: an automatic rotation begins within 20 minutes.
    """
    if key.on_demand_rotation_count >= ON_DEMAND_LIMIT:
        raise LimitExceededException(
            "The on-demand rotations limit has been reached for the given keyId. "
            f"No more on-demand rotations can be performed for this key: {key.arn}"
        )
    if key.next_rotation_date is not None and key.next_rotation_date - now <= _CONFLICT_SECONDS:
        raise ConflictException(
            "The request was rejected because an automatic rotation of this key is currently in progress "
            "or scheduled to begin within the next 20 minutes."
        )


def rotate(key: Key, material_id: str, rotation_type: RotationType, now: float) -> Key:
    """Make another material current.

    An automatic rotation is followed by the next one a period after it was due, or, if that has passed too,
    a period from now. On-demand rotations are counted and leave the schedule alone.
    """
    if rotation_type is RotationType.ON_DEMAND:
        count = key.on_demand_rotation_count + 1
        return replace(
            key,
            current_material_id=material_id,
            on_demand_rotation_count=count,
            on_demand_rotation_start=None,
        )
    if key.rotation_period_days is None or key.next_rotation_date is None:
        raise AssertionError("automatic rotation is off")
    period_seconds = key.rotation_period_days * _DAY_SECONDS
    following = key.next_rotation_date + period_seconds
    next_date = following if following > now else now + period_seconds
    return replace(key, current_material_id=material_id, next_rotation_date=next_date)
