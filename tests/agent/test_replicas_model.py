"""Multi-Region keys in three Regions against a model, step by step, and transactions that fail midway."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import jobs
from agent.api.enums import KeyState
from agent.api.errors import (
    AlreadyExistsException,
    DisabledException,
    KMSInternalException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
    UnsupportedOperationException,
    ValidationException,
)
from agent.keys.key import Key
from agent.store.protocol import KeyStore, Record
from agent.store.sqlite import SqliteStore, _Transaction
from services import Service, open_service

DAY: Final = 86_400
REGIONS: Final = ("eu-west-1", "local", "us-east-1")
WINDOW_DAYS: Final = 7
PENDING: Final = {KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION}
USABLE: Final = {KeyState.ENABLED, KeyState.UPDATING}

Refusal = type[ServiceError] | None


@dataclass
class Model:
    """What must be so: the state in each Region that has the key, and what they share."""

    primary: str
    states: dict[str, KeyState]
    until: dict[str, float] = field(default_factory=dict)
    rotating: bool = False
    generations: int = 1

    def settle(self, now: float) -> None:
        """Let passing states end."""
        for region, state in self.states.items():
            if state in {KeyState.CREATING, KeyState.UPDATING} and self.until[region] <= now:
                self.states[region] = KeyState.ENABLED

    def delete_due(self, now: float) -> None:
        """Delete what is due, replicas first; then the primary's own waiting period may begin."""
        for region in sorted(self.states, key=lambda region: (region == self.primary, region)):
            if self.states[region] is KeyState.PENDING_DELETION and self.until[region] <= now:
                del self.states[region]
                rest = self.states.get(self.primary)
                if rest is KeyState.PENDING_REPLICA_DELETION and len(self.states) == 1:
                    self.states[self.primary] = KeyState.PENDING_DELETION
                    self.until[self.primary] = now + WINDOW_DAYS * DAY

    def refusal(
        self, region: str, *, disabled: Refusal = DisabledException, updating: Refusal = None
    ) -> Refusal:
        """Return how an operation is refused that takes enabled keys only."""
        return {
            KeyState.ENABLED: None,
            KeyState.DISABLED: disabled,
            KeyState.UPDATING: updating,
        }.get(self.states[region], KMSInvalidStateException)

    def call(self, operation: str, region: str, target: str, now: float) -> Refusal:
        """Do one step; return the exception that it must end with."""
        if region not in self.states:
            return NotFoundException
        refusal: Refusal = getattr(self, f"_{operation}")(region, target, now)
        return refusal

    def _replicate(self, region: str, target: str, now: float) -> Refusal:
        if region != self.primary:
            return UnsupportedOperationException
        if target == region:
            return ValidationException
        refusal = self.refusal(region, updating=KMSInvalidStateException)
        if refusal is None and target in self.states:
            refusal = AlreadyExistsException
        if refusal is None:
            self.states[target], self.until[target] = KeyState.CREATING, now + 2
        return refusal

    def _promote(self, region: str, target: str, now: float) -> Refusal:
        if region != self.primary:
            return UnsupportedOperationException
        refusal = self.refusal(region)
        if refusal is None and target == region:
            refusal = UnsupportedOperationException
        if refusal is None and target not in self.states:
            refusal = NotFoundException
        refusal = refusal or self.refusal(target)
        if refusal is None:
            self.primary = target
            for moved in (region, target):
                self.states[moved], self.until[moved] = KeyState.UPDATING, now + 2
        return refusal

    def _schedule(self, region: str, _target: str, now: float) -> Refusal:
        if self.states[region] in PENDING | {KeyState.UPDATING}:
            return KMSInvalidStateException
        waits = region == self.primary and len(self.states) > 1
        self.states[region] = KeyState.PENDING_REPLICA_DELETION if waits else KeyState.PENDING_DELETION
        self.until[region] = now + WINDOW_DAYS * DAY
        return None

    def _cancel(self, region: str, _target: str, _now: float) -> Refusal:
        if self.states[region] not in PENDING:
            return KMSInvalidStateException
        self.states[region] = KeyState.DISABLED
        return None

    def _enable(self, region: str, _target: str, _now: float) -> Refusal:
        return self._switch(region, KeyState.ENABLED)

    def _disable(self, region: str, _target: str, _now: float) -> Refusal:
        return self._switch(region, KeyState.DISABLED)

    def _switch(self, region: str, state: KeyState) -> Refusal:
        refusal = self.refusal(region, disabled=None, updating=KMSInvalidStateException)
        if refusal is None:
            self.states[region] = state
        return refusal

    def _rotate(self, region: str, _target: str, _now: float) -> Refusal:
        refusal = self.refusal(region) or self._replica(region)
        self.generations += refusal is None
        return refusal

    def _auto_rotate(self, region: str, _target: str, _now: float) -> Refusal:
        refusal = self.refusal(region) or self._replica(region)
        self.rotating |= refusal is None
        return refusal

    def _replica(self, region: str) -> Refusal:
        return None if region == self.primary else UnsupportedOperationException


OPERATIONS: Final[dict[str, tuple[str, dict[str, Any], str | None]]] = {
    "replicate": ("ReplicateKey", {}, "replica_region"),
    "promote": ("UpdatePrimaryRegion", {}, "primary_region"),
    "schedule": ("ScheduleKeyDeletion", {"pending_window_in_days": WINDOW_DAYS}, None),
    "cancel": ("CancelKeyDeletion", {}, None),
    "enable": ("EnableKey", {}, None),
    "disable": ("DisableKey", {}, None),
    "rotate": ("RotateKeyOnDemand", {}, None),
    "auto_rotate": ("EnableKeyRotation", {"rotation_period_in_days": 2560}, None),
}
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(OPERATIONS)), st.sampled_from(REGIONS), st.sampled_from(REGIONS)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 3.0, 3 * DAY, 7 * DAY]), st.just("")),
    ),
    max_size=24,
)


@dataclass
class World:
    """The service, the model, and what was encrypted so far."""

    service: Service
    key_id: str
    model: Model
    blobs: list[bytes] = field(default_factory=list)

    async def step(self, name: str, where: Any, target: str) -> None:  # noqa: ANN401 -- a Region, or seconds
        """Do one step here and in the model."""
        if name == "wait":
            self.service.clock.advance(seconds=where)
        else:
            await self._call(name, where, target)
        # What rotates on demand goes on in the background.
        await jobs.run_due(self.service.kms, self.service.audit)
        now = self.service.clock()
        self.model.settle(now)
        self.model.delete_due(now)

    async def _call(self, name: str, region: str, target: str) -> None:
        operation, members, target_member = OPERATIONS[name]
        if target_member is not None:
            members = members | {target_member: target}
        expected = self.model.call(name, region, target, self.service.clock())
        with contextlib.nullcontext() if expected is None else pytest.raises(expected):
            await self.there(region).call(operation, key_id=self.key_id, **members)

    def there(self, region: str) -> Service:
        """The service as asked for a Region."""
        service = self.service
        return Service(service.kms.in_region(region), service.audit, service.clock, service.directory)

    async def check(self) -> None:
        """Compare every Region with the model, and use the key in each where that is possible."""
        found = {region: self.service.kms.in_region(region).key(self.key_id) for region in REGIONS}
        keys = {region: key for region, key in found.items() if key is not None}
        assert {region: key.key_state for region, key in keys.items()} == self.model.states
        assert {key.primary_region for key in keys.values()} <= {self.model.primary}
        assert not keys or self.model.primary in keys
        materials = {region: self.materials(region) for region in keys}
        assert all(material == materials[self.model.primary] for material in materials.values())
        assert all(len(material) == self.model.generations for material in materials.values())
        assert len({key.current_material_id for key in keys.values()}) <= 1
        for region, key in keys.items():
            await self._check_region(region, key)

    def materials(self, region: str) -> list[tuple[str, bytes, int]]:
        """Return what the store has of the key's materials in a Region."""
        found = self.service.kms.store.materials(region, self.key_id)
        return [(material.material_id, material.wrapped, material.generation) for material in found]

    async def _check_region(self, region: str, key: Key) -> None:
        service = self.there(region)
        relatives = (
            await service.call("DescribeKey", key_id=self.key_id)
        ).key_metadata.multi_region_configuration
        assert relatives.primary_key.region == self.model.primary
        assert [replica.region for replica in relatives.replica_keys] == sorted(
            set(self.model.states) - {self.model.primary}
        )
        status = await service.call("GetKeyRotationStatus", key_id=self.key_id)
        pending = key.key_state is KeyState.PENDING_DELETION
        assert status.key_rotation_enabled == (self.model.rotating and not pending)
        if key.key_state in USABLE:
            made = await service.call("Encrypt", key_id=self.key_id, plaintext=b"t")
            self.blobs.append(made.ciphertext_blob)
            for blob in self.blobs:
                assert (await service.call("Decrypt", ciphertext_blob=blob)).key_id == key.arn


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(begin=st.sampled_from(REGIONS), replicas=st.sets(st.sampled_from(REGIONS)), steps=STEPS)
async def test_any_order_of_steps(begin: str, replicas: set[str], steps: list[tuple[str, Any, str]]) -> None:
    """Whatever is asked of whichever Region: outcome, states, relatives and material are as they must be."""
    with tempfile.TemporaryDirectory(prefix="kms-") as directory:
        async with open_service(Path(directory)) as service:
            world = World(service, "", Model(begin, {begin: KeyState.ENABLED}))
            world.key_id = (await world.there(begin).create_key(multi_region=True)).key_id
            made = [("replicate", begin, region) for region in sorted(replicas)]
            for step in (*made, ("wait", 3, ""), *steps):
                await world.step(*step)
                await world.check()


@contextlib.contextmanager
def failing_after(puts: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the disk fail after so many records of each transaction."""
    real = _Transaction.put
    done = 0

    def put(self: _Transaction, record: Record) -> None:
        nonlocal done
        if done == puts:
            raise OSError("no space left on device")
        done += 1
        real(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(_Transaction, "put", put)
        yield


def contents(store: KeyStore) -> list[Any]:
    """Return the keys of all Regions, and their materials."""
    keys = [key for region in REGIONS for key in store.keys(region)]
    return [*keys, *(store.materials(key.region, key.key_id) for key in keys)]


async def a_family(service: Service) -> tuple[Service, str]:
    """Return a primary in us-east-1 that has a replica and was rotated, as asked for there."""
    east = Service(service.kms.in_region("us-east-1"), service.audit, service.clock, service.directory)
    key = (await east.create_key(multi_region=True)).key_id
    await east.call("ReplicateKey", key_id=key, replica_region="eu-west-1")
    service.clock.advance(seconds=2)
    await east.call("RotateKeyOnDemand", key_id=key)
    await jobs.run_due(service.kms, service.audit)
    return east, key


@pytest.mark.parametrize(
    ("operation", "members", "records"),
    [
        ("ReplicateKey", {"replica_region": "local"}, 3),
        ("UpdatePrimaryRegion", {"primary_region": "eu-west-1"}, 2),
        ("RotateKeyOnDemand", {}, 2),
        ("EnableKeyRotation", {}, 2),
    ],
)
async def test_all_regions_or_none(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    members: dict[str, Any],
    records: int,
) -> None:
    """Wherever a change of several Regions breaks off, none of them has changed, in memory and on disk."""
    east, key = await a_family(service)
    store = service.kms.store
    before = contents(store)
    for puts in range(records):
        with failing_after(puts, monkeypatch), pytest.raises(KMSInternalException):
            await east.call(operation, key_id=key, **members)
        assert contents(store) == before
    await east.call(operation, key_id=key, **members)
    after = contents(store)
    assert after != before
    assert isinstance(store, SqliteStore)
    store.close()
    with SqliteStore.open(service.directory / "keys.db") as reopened:
        assert contents(reopened) == after


async def test_all_regions_rotate_or_none(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rotation breaks off, no Region has the new material; the next round rotates them all."""
    east, key = await a_family(service)
    await east.call("RotateKeyOnDemand", key_id=key)
    store = service.kms.store
    before = contents(store)
    for puts in range(4):
        with failing_after(puts, monkeypatch), pytest.raises(OSError, match="no space"):
            await jobs.run_due(service.kms, service.audit)
        assert contents(store) == before
    await jobs.run_due(service.kms, service.audit)
    for region in ("us-east-1", "eu-west-1"):
        materials = store.materials(region, key)
        found = store.key(region, key)
        assert found is not None
        assert (len(materials), found.current_material_id) == (3, materials[-1].material_id)
