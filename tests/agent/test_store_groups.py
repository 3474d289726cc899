"""Records that belong to a key: kept in order and indexed, however many, and however they come and go."""

from dataclasses import replace
from pathlib import Path

from agent.api.enums import GrantOperation
from agent.keys.grant import Grant
from agent.keys.grantindex import Use
from agent.keys.key import KeyMaterial
from agent.store.protocol import Store
from agent.store.snapshot import Draft, Snapshot
from agent.store.sqlite import SqliteStore
from samples import ACCOUNT_ID, ALICE, REGION, a_key, a_material


def test_many_grants_keep_their_order_and_index(tmp_path: Path) -> None:
    """However grants of a key come and go, one by one or all at once, they are in order and indexed."""
    path = tmp_path / "keys.sqlite"
    grants = [
        Grant(
            f"{number * 7 % 601:03}", a_key().key_id, REGION, 1.5, ACCOUNT_ID, (), grantee_principal="arn:a"
        )
        for number in range(601)
    ]
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())
            for grant in grants:
                transaction.put(grant)
        check_grants(store, grants)
        before = store.grants(REGION, a_key().key_id)
        changed = replace(grants[300], operations=(GrantOperation.DECRYPT,))
        with store.write() as transaction:
            transaction.delete(grants[100])
            transaction.put(changed)
            transaction.put(replace(changed, name="again"))
        grants[300] = replace(changed, name="again")
        del grants[100]
        check_grants(store, grants)
        assert len(before) == 601
    with SqliteStore.open(path) as store:
        check_grants(store, grants)


def test_a_bulk_of_records_counts_as_each_by_itself() -> None:
    """Many records put at once, some of them twice, replace each other in their turn."""
    older = [a_material(number, generation=number) for number in range(30)]
    newer = [replace(material, wrapped=b"newer") for material in older[::3]]
    draft = Draft(Snapshot())
    draft.put(KeyMaterial, older[:10])
    draft.put(KeyMaterial, [*older, *newer])
    expected = tuple(newer[place // 3] if place % 3 == 0 else older[place] for place in range(30))
    assert draft.publish().group(KeyMaterial, REGION, a_key().key_id) == expected


def check_grants(store: Store, grants: list[Grant]) -> None:
    """See that the sample key has these grants."""
    key_id = a_key().key_id
    expected = sorted(grants, key=lambda grant: grant.grant_id)
    assert list(store.grants(REGION, key_id)) == expected
    assert list(store.grant_index(REGION, key_id).grants) == expected
    caller = replace(ALICE, arn="arn:a")
    match = store.grant_index(REGION, key_id).matching(caller, Use(GrantOperation.DECRYPT, ()))
    decrypting = [grant for grant in expected if grant.operations]
    assert (match and match.grant) == (decrypting[0] if decrypting else None)
