"""The SQLite store against a model in plain dictionaries, and what it promises of each commit."""

import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.api.enums import AccessKeyStatus, GrantOperation, KeyState, RotationType
from agent.keys.grant import Grant
from agent.keys.identity import AccessKey, IdentityPolicy, PrincipalProfile
from agent.keys.key import Alias, Key, KeyMaterial
from agent.store.errors import StoreInUseError, StoreUnavailableError
from agent.store.protocol import Store, StoreTransaction
from agent.store.sqlite import SqliteStore
from samples import ACCOUNT_ID, REGION, a_key, a_material, an_alias, material_id

KEY_IDS = st.sampled_from(["k1", "k2", "k3"])
REGIONS = st.sampled_from([REGION, "eu-south-9"])
NAMES = st.sampled_from(["alias/a", "alias/b", "alias/c"])


class _AbandonedError(Exception):
    pass


class Model(RuleBasedStateMachine):
    """The store and three dictionaries, under the same transactions, with reopening as a step."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="kms-store-"))
        self.store = SqliteStore.open(self.directory / "keys.sqlite")
        self.keys: dict[tuple[str, str], Key] = {}
        self.materials: dict[tuple[str, str], KeyMaterial] = {}
        self.aliases: dict[tuple[str, str], Alias] = {}
        self.grants: dict[tuple[str, str, str], Grant] = {}
        self.policies: dict[tuple[str, str], IdentityPolicy] = {}
        self.profiles: dict[str, PrincipalProfile] = {}
        self.access_keys: dict[str, AccessKey] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    @rule(region=REGIONS, key_id=KEY_IDS, description=st.text(max_size=5), state=st.sampled_from(KeyState))
    def put_key(self, region: str, key_id: str, description: str, state: KeyState) -> None:
        key = replace(a_key(key_id, region), description=description, key_state=state)
        with self.store.write() as transaction:
            transaction.put(key)
        self.keys[region, key_id] = key

    @rule(region=REGIONS, key_id=KEY_IDS, kind=st.sampled_from([None, *RotationType]))
    def add_material(self, region: str, key_id: str, kind: RotationType | None) -> None:
        if (region, key_id) not in self.keys:
            return
        key = self.keys[region, key_id]
        generation = len(self.expected_materials(region, key_id))
        number = ["k1", "k2", "k3"].index(key_id) * 1000 + generation  # the same in every Region
        material = replace(a_material(number, key, generation), rotation_type=kind)
        changed = replace(key, current_material_id=material.material_id)
        with self.store.write() as transaction:
            transaction.put(material)
            transaction.put(changed)
        self.materials[region, material.material_id] = material
        self.keys[region, key_id] = changed

    @rule(region=REGIONS, name=NAMES, key_id=KEY_IDS | st.none())
    def put_alias(self, region: str, name: str, key_id: str | None) -> None:
        alias = an_alias(name, key_id, region)
        if key_id is not None and (region, key_id) not in self.keys:
            with pytest.raises(AssertionError), self.store.write() as transaction:
                transaction.put(alias)
            return
        with self.store.write() as transaction:
            transaction.put(alias)
        self.aliases[region, name] = alias

    @rule(region=REGIONS, name=NAMES)
    def delete_alias(self, region: str, name: str) -> None:
        with self.store.write() as transaction:
            transaction.delete(an_alias(name, None, region))
        self.aliases.pop((region, name), None)

    @rule(region=REGIONS, key_id=KEY_IDS)
    def delete_key(self, region: str, key_id: str) -> None:
        with self.store.write() as transaction:
            transaction.delete(a_key(key_id, region))
        self.keys.pop((region, key_id), None)
        for material in self.expected_materials(region, key_id):
            del self.materials[region, material.material_id]
        self.grants = {place: grant for place, grant in self.grants.items() if place[:2] != (region, key_id)}
        target = (region, key_id)
        self.aliases = {
            place: alias
            for place, alias in self.aliases.items()
            if (alias.region, alias.target_key_id) != target
        }

    @rule(
        region=REGIONS,
        key_id=KEY_IDS,
        grant_id=st.sampled_from(["g1", "g2"]),
        operations=st.sets(st.sampled_from(GrantOperation)),
        context=st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    )
    def put_grant(
        self,
        region: str,
        key_id: str,
        grant_id: str,
        operations: set[GrantOperation],
        context: dict[str, str] | None,
    ) -> None:
        if (region, key_id) not in self.keys:
            return
        grant = Grant(
            grant_id,
            key_id,
            region,
            1.5,
            ACCOUNT_ID,
            tuple(sorted(operations)),
            grantee_principal="arn:a",
            context_equals=None if context is None else tuple(sorted(context.items())),
        )
        with self.store.write() as transaction:
            transaction.put(grant)
        self.grants[region, key_id, grant_id] = grant

    @rule(data=st.data())
    def delete_grant(self, data: st.DataObject) -> None:
        if self.grants:
            place = data.draw(st.sampled_from(sorted(self.grants)))
            with self.store.write() as transaction:
                transaction.delete(self.grants.pop(place))

    @rule(
        arn=st.sampled_from(["arn:a", "arn:b"]),
        name=st.sampled_from(["p", "q"]),
        document=st.none() | st.text(max_size=5),
        tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    )
    def change_identities(self, arn: str, name: str, document: str | None, tags: dict[str, str]) -> None:
        policy = IdentityPolicy(arn, name, document or "")
        profile = PrincipalProfile(arn, tuple(sorted(tags.items())), document)
        access_key = AccessKey(name, arn, ACCOUNT_ID, AccessKeyStatus.ACTIVE, 2.5, b"wrapped")
        with self.store.write() as transaction:
            transaction.put(profile)
            transaction.put(access_key)
            if document is None:
                transaction.delete(policy)
            else:
                transaction.put(policy)
        self.profiles[arn] = profile
        self.access_keys[name] = access_key
        self.policies.pop((arn, name), None)
        if document is not None:
            self.policies[arn, name] = policy

    @rule(region=REGIONS, key_id=KEY_IDS)
    def abandon(self, region: str, key_id: str) -> None:
        with pytest.raises(_AbandonedError):
            self.write_and_abandon(region, key_id)

    def write_and_abandon(self, region: str, key_id: str) -> None:
        """Leave a transaction with an exception, after every kind of change."""
        with self.store.write() as transaction:
            transaction.put(a_key(key_id, region))
            transaction.put(an_alias("alias/never", key_id, region))
            transaction.delete(a_key("k1", region))
            raise _AbandonedError

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore.open(self.directory / "keys.sqlite")

    @invariant()
    def reads_agree(self) -> None:
        for region in (REGION, "eu-south-9"):
            keys = [key for place, key in sorted(self.keys.items()) if place[0] == region]
            aliases = [alias for place, alias in sorted(self.aliases.items()) if place[0] == region]
            assert list(self.store.keys(region)) == keys
            assert list(self.store.aliases(region)) == aliases
            assert all(self.store.alias(region, alias.name) == alias for alias in aliases)
            for key_id in ("k1", "k2", "k3", "k4"):
                assert self.store.key(region, key_id) == self.keys.get((region, key_id))
                assert list(self.store.materials(region, key_id)) == self.expected_materials(region, key_id)
        for place, material in self.materials.items():
            assert self.store.material(*place) == material
        assert self.store.material(REGION, "0" * 64) is None
        assert self.store.alias(REGION, "alias/never") is None

    @invariant()
    def grants_and_identities_agree(self) -> None:
        for region in (REGION, "eu-south-9"):
            grants = [grant for place, grant in sorted(self.grants.items()) if place[0] == region]
            assert list(self.store.all_grants(region)) == grants
            for key_id in ("k1", "k2", "k3"):
                own = [grant for grant in grants if grant.key_id == key_id]
                assert list(self.store.grants(region, key_id)) == own
                assert list(self.store.grant_index(region, key_id).grants) == own
        assert all(self.store.grant(*place) == grant for place, grant in self.grants.items())
        for arn in ("arn:a", "arn:b"):
            own_policies = [policy for place, policy in sorted(self.policies.items()) if place[0] == arn]
            assert list(self.store.identity_policies(arn)) == own_policies
            assert self.store.profile(arn) == self.profiles.get(arn)
        assert list(self.store.principals()) == sorted(self.profiles)
        assert list(self.store.access_keys()) == [key for _, key in sorted(self.access_keys.items())]
        assert all(self.store.access_key(name) == key for name, key in self.access_keys.items())

    def expected_materials(self, region: str, key_id: str) -> list[KeyMaterial]:
        """Return the model's materials of a key."""
        chosen = [
            material
            for material in self.materials.values()
            if (material.region, material.key_id) == (region, key_id)
        ]
        return sorted(chosen, key=lambda material: material.generation)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is made."""
    return tmp_path / "state" / "keys.sqlite"


def test_it_fulfils_the_protocol(path: Path) -> None:
    """The SQLite store is a Store, and its transactions are what the protocol says."""
    with SqliteStore.open(path) as opened:
        store: Store = opened
        with store.write() as begun:
            transaction: StoreTransaction = begun
            transaction.put(a_key())
        assert store.key(REGION, a_key().key_id) == a_key()


def test_everything_is_private(path: Path) -> None:
    """The directory, the store and its log are readable by their owner alone."""
    with SqliteStore.open(path) as store, store.write() as transaction:
        transaction.put(a_key())
        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in (path.parent, *path.parent.iterdir())}
    assert modes == {"state": 0o700, "keys.sqlite": 0o600, "keys.sqlite-wal": 0o600}


def test_every_commit_is_synchronous(path: Path) -> None:
    """The settings that make a commit durable are in force."""
    with SqliteStore.open(path) as store:
        ask = store._connection.exec_driver_sql
        assert ask("PRAGMA journal_mode").scalar_one() == "wal"
        assert ask("PRAGMA synchronous").scalar_one() == 2
        assert ask("PRAGMA locking_mode").scalar_one() == "exclusive"
        assert ask("PRAGMA foreign_keys").scalar_one() == 1
        assert ask("PRAGMA secure_delete").scalar_one() == 1


def test_one_process_only(path: Path) -> None:
    """A second agent on the same store is refused, in this process and in another, again and again."""
    program = (
        "import sys; from pathlib import Path; from agent.store.sqlite import SqliteStore\n"
        "SqliteStore.open(Path(sys.argv[1]))"
    )
    with SqliteStore.open(path):
        for _ in range(2):
            with pytest.raises(StoreInUseError, match="stop it first"):
                SqliteStore.open(path)
            other = subprocess.run(
                [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
            )
            assert "StoreInUseError" in other.stderr
    SqliteStore.open(path).close()


def test_readers_see_all_or_nothing(path: Path) -> None:
    """While a transaction is open readers see the state before it, and afterwards all of it."""
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())
            transaction.put(a_material())
            assert store.key(REGION, a_key().key_id) is None
            assert store.material(REGION, material_id(0)) is None
        assert store.key(REGION, a_key().key_id) is not None
        assert store.material(REGION, material_id(0)) is not None


def test_one_writer_at_a_time(path: Path) -> None:
    """Threads that read, add one and write inside a transaction lose no update."""
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())

        def add() -> None:
            for _ in range(20):
                with store.write() as transaction:
                    key = store.key(REGION, a_key().key_id)
                    assert key is not None
                    count = key.on_demand_rotation_count + 1
                    transaction.put(replace(key, on_demand_rotation_count=count))

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        key = store.key(REGION, a_key().key_id)
        assert key is not None
        assert key.on_demand_rotation_count == 80


def test_a_full_disk_changes_nothing(path: Path) -> None:
    """A transaction that the disk does not take raises, and neither readers nor the file see any of it."""
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())
        pages = store._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        store._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        large = replace(a_key("large"), description="x" * 100_000)
        with pytest.raises(StoreUnavailableError, match="free space"):
            put(store, replace(a_key(), description="changed"), large)
        assert list(store.keys(REGION)) == [a_key()]
        store._connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        with store.write() as transaction:
            transaction.put(large)
    with SqliteStore.open(path) as store:
        assert list(store.keys(REGION)) == [a_key(), large]


def test_deleted_material_is_not_left_behind(path: Path) -> None:
    """After a key is deleted its wrapped material is neither in the store nor in its log."""
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())
            transaction.put(replace(a_material(), wrapped=b"wrapped material that must go"))
        with store.write() as transaction:
            transaction.delete(a_key())
        assert all(b"must go" not in entry.read_bytes() for entry in path.parent.iterdir())


def put(store: SqliteStore, *keys: Key) -> None:
    """Write keys in one transaction."""
    with store.write() as transaction:
        for key in keys:
            transaction.put(key)
