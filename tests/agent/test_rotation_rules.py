"""The rules of rotation: periods, schedules and limits."""

from dataclasses import replace

import pytest

from agent.api.enums import KeyState, RotationType
from agent.api.errors import ConflictException, LimitExceededException
from agent.keys import rotation
from samples import a_key, material_id

DAY = 86_400
NOW = 1_750_000_000.0


def test_default_period() -> None:
    """Without a period rotation begins 365 days from now."""
    key = rotation.enable(a_key(), None, NOW)
    assert (key.rotation_period_days, key.next_rotation_date) == (365, NOW + 365 * DAY)


def test_enabling_again_keeps_the_period() -> None:
    """A second call without a period changes nothing, not even the schedule."""
    key = rotation.enable(a_key(), 180, NOW)
    assert rotation.enable(key, None, NOW + 5 * DAY) == key
    assert rotation.enable(key, 180, NOW + 5 * DAY) == key


def test_another_period_counts_from_the_call() -> None:
    """A call with another period sets it, and the schedule begins anew."""
    key = rotation.enable(rotation.enable(a_key(), 180, NOW), 90, NOW + 5 * DAY)
    assert (key.rotation_period_days, key.next_rotation_date) == (90, NOW + 95 * DAY)


def test_disabling_forgets_the_period() -> None:
    """After it was off, rotation has the default period again."""
    key = rotation.disable(rotation.enable(a_key(), 180, NOW))
    assert not rotation.is_enabled(key)
    assert rotation.enable(key, None, NOW).rotation_period_days == 365


@pytest.mark.parametrize("state", KeyState)
def test_status_by_state(state: KeyState) -> None:
    """Rotation counts as off while deletion is pending, not while it waits for that of replicas."""
    key = replace(rotation.enable(a_key(), None, NOW), key_state=state)
    assert rotation.is_enabled(key) == (state is not KeyState.PENDING_DELETION)


@pytest.mark.parametrize("state", KeyState)
def test_only_enabled_keys_rotate(state: KeyState) -> None:
    """What is due waits until the key is enabled."""
    key = replace(rotation.enable(a_key(), 90, NOW), key_state=state)
    assert not rotation.is_due(key, NOW + 90 * DAY - 1)
    assert rotation.is_due(key, NOW + 90 * DAY) == (state is KeyState.ENABLED)


def test_automatic_rotation_keeps_its_schedule() -> None:
    """A rotation that comes a little late is followed by the next one as scheduled."""
    key = rotation.enable(a_key(), 90, NOW)
    rotated = rotation.rotate(key, material_id(1), RotationType.AUTOMATIC, NOW + 90 * DAY + 300)
    assert rotated.current_material_id == material_id(1)
    assert rotated.next_rotation_date == NOW + 180 * DAY
    assert rotated.on_demand_rotation_count == 0


def test_rotation_long_overdue_begins_anew() -> None:
    """A key that was disabled for years rotates once, not once for each period that it missed."""
    key = rotation.enable(a_key(), 90, NOW)
    rotated = rotation.rotate(key, material_id(1), RotationType.AUTOMATIC, NOW + 1000 * DAY)
    assert rotated.next_rotation_date == NOW + 1090 * DAY
    assert not rotation.is_due(rotated, NOW + 1000 * DAY)


def test_on_demand_rotation_leaves_the_schedule() -> None:
    """Rotating on demand is counted and does not move the automatic one."""
    key = rotation.enable(a_key(), 90, NOW)
    rotated = rotation.rotate(key, material_id(1), RotationType.ON_DEMAND, NOW + DAY)
    assert rotated == replace(key, current_material_id=material_id(1), on_demand_rotation_count=1)


def test_on_demand_limit() -> None:
    """The 26th on-demand rotation of a key is refused, in AWS's words."""
    key = replace(a_key(), on_demand_rotation_count=24)
    rotation.require_on_demand(key, NOW)
    key = replace(key, on_demand_rotation_count=25)
    with pytest.raises(LimitExceededException) as caught:
        rotation.require_on_demand(key, NOW)
    assert caught.value.message == (
        "The on-demand rotations limit has been reached for the given keyId. "
        f"No more on-demand rotations can be performed for this key: {key.arn}"
    )


def test_on_demand_conflict() -> None:
    """On-demand rotation is refused in the 20 minutes before an automatic one."""
    key = rotation.enable(a_key(), 90, NOW)
    due = NOW + 90 * DAY
    rotation.require_on_demand(key, due - 1201)
    with pytest.raises(ConflictException):
        rotation.require_on_demand(key, due - 1200)


def test_rotating_what_is_off_is_our_bug() -> None:
    """Automatic rotation of a key that has none never happens."""
    with pytest.raises(AssertionError):
        rotation.rotate(a_key(), material_id(1), RotationType.AUTOMATIC, NOW)
