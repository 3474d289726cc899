"""What many grants on a key cost: finding the one for a request, making and ending one, opening the store.

Works on a store of its own in a scratch directory, without an agent around it. Run it as ``python -P
bench/grants.py [--grants N] [--directory DIR]``; without ``-P``, Python would take the file beside this one
for the package ``agent``.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.api.enums import GrantOperation, KeyManager, KeySpec, KeyState, KeyUsage, Origin
from agent.keys.grant import Context, Grant
from agent.keys.grantindex import Use
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT: Final = "000000000000"
REGION: Final = "local"
KEY_ID: Final = "1234abcd-12ab-34cd-56ef-1234567890ab"
CALLER: Final = Principal(f"arn:aws:iam::{ACCOUNT}:user/mailer", ACCOUNT, "uid-1000", 1000)
LOOKS: Final = 20_000
CHANGES: Final = 10

# How the grants differ: by number, the grantee, and the constraint on the encryption context.
KINDS: Final[dict[str, Callable[[int], tuple[str, Context | None]]]] = {
    "one grantee, a context for each": lambda number: (CALLER.arn, (("volume", str(number)),)),
    "a grantee for each": lambda number: (CALLER.arn + (str(number) if number else ""), None),
    "all alike": lambda _number: (CALLER.arn, None),
}


def main() -> None:
    """Measure one grant and many, of each kind, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grants", type=int, default=50_000, help="how many are many")
    parser.add_argument("--directory", type=Path, help="where the scratch directory is made")
    arguments = parser.parse_args()
    print("| grants on the key | how they differ | find, µs | make, ms | end, ms | open, s |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for count in (1, arguments.grants):
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="kms-bench-", dir=arguments.directory) as scratch:
                find, make, end, opened = measure(Path(scratch) / "keys.sqlite", kind, count)
            print(f"| {count:,} | {kind} | {find:.1f} | {make:.1f} | {end:.1f} | {opened:.2f} |")


def measure(path: Path, kind: str, count: int) -> tuple[float, float, float, float]:
    """Return microseconds to find a grant, milliseconds to make and to end one, seconds to open the store."""
    with SqliteStore.open(path) as store:
        with store.write() as transaction:
            transaction.put(a_key())
            for number in range(count):
                transaction.put(a_grant(kind, number))
        make, end = change(store, kind)
    start = time.perf_counter()
    with SqliteStore.open(path) as store:
        opened = time.perf_counter() - start
        return find(store, kind) * 1e6, make * 1e3, end * 1e3, opened


def find(store: SqliteStore, kind: str) -> float:
    """Return the seconds that a request takes to find its grant."""
    context = KINDS[kind](0)[1] or ()
    start = time.perf_counter()
    for _ in range(LOOKS):
        index = store.grant_index(REGION, KEY_ID)
        if index.matching(CALLER, Use(GrantOperation.DECRYPT, context)) is None:
            raise SystemExit("there should be a grant")
    return (time.perf_counter() - start) / LOOKS


def change(store: SqliteStore, kind: str) -> tuple[float, float]:
    """Return the seconds that it takes to make a grant, and to end one."""
    made = [a_grant(kind, 0) for _ in range(CHANGES)]
    start = time.perf_counter()
    for grant in made:
        with store.write() as transaction:
            transaction.put(grant)
    middle = time.perf_counter()
    for grant in made:
        with store.write() as transaction:
            transaction.delete(grant)
    return (middle - start) / CHANGES, (time.perf_counter() - middle) / CHANGES


def a_grant(kind: str, number: int) -> Grant:
    """Return a new grant."""
    grantee, context = KINDS[kind](number)
    return Grant(
        grant_id=secrets.token_hex(32),
        key_id=KEY_ID,
        region=REGION,
        creation_date=0.0,
        issuing_account=ACCOUNT,
        operations=(GrantOperation.DECRYPT, GrantOperation.GENERATE_DATA_KEY),
        grantee_principal=grantee,
        context_equals=context,
    )


def a_key() -> Key:
    """Return a key without material: nothing is encrypted here."""
    return Key(
        key_id=KEY_ID,
        region=REGION,
        account_id=ACCOUNT,
        creation_date=0.0,
        creator_arn=CALLER.arn,
        description="",
        key_state=KeyState.ENABLED,
        key_spec=KeySpec.SYMMETRIC_DEFAULT,
        key_usage=KeyUsage.ENCRYPT_DECRYPT,
        origin=Origin.AWS_KMS,
        key_manager=KeyManager.CUSTOMER,
        policy="{}",
        current_material_id="",
    )


if __name__ == "__main__":
    main()
