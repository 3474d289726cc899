"""A whole service without its doors: real store, barrier and audit log in a directory of the test's own."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import trio

from agent import dispatch, jobs
from agent.api import codec
from agent.api.enums import KeyState
from agent.api.operations import CREATE_KEY, OPERATIONS, ROTATE_KEY_ON_DEMAND, Operation
from agent.api.shapes.keys import KeyMetadata
from agent.audit.log import AuditLog
from agent.audit.reading import lines
from agent.keys.identity import IdentityPolicy
from agent.keys.key import Key
from agent.keys.principal import Principal
from agent.operations.kms import Kms
from agent.seal.barrier import Barrier
from agent.store.sqlite import SqliteStore

ACCOUNT: Final = "000000000000"
REGION: Final = "local"
REGIONS: Final = frozenset({REGION, "us-east-1", "eu-west-1"})
START: Final = 1_800_000_000.0
OWNER_UID: Final = 990
_AUDIT_NAME: Final = "audit.jsonl"


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        """Move forward."""
        self.seconds += days * 86_400 + seconds


@dataclass
class Callers:
    """One caller of each kind."""

    root: Principal = field(
        default_factory=lambda: Principal(
            f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, ACCOUNT, 0, "Account", administrator=True
        )
    )
    owner: Principal = field(default_factory=lambda: _user("kms", OWNER_UID))
    alice: Principal = field(default_factory=lambda: _user("alice", 1001))
    bob: Principal = field(default_factory=lambda: _user("bob", 1002))
    foreigner: Principal = field(
        default_factory=lambda: Principal(
            "arn:aws:iam::999999999999:root", "999999999999", "999999999999", kind="Account"
        )
    )


def _user(login: str, uid: int) -> Principal:
    arn = f"arn:aws:iam::{ACCOUNT}:user/{login}"
    return Principal(arn, ACCOUNT, f"AIDA{uid}", uid, administrator=uid == OWNER_UID)


class Service:
    """Calls operations the way a door does: bytes in, bytes out."""

    def __init__(self, kms: Kms, audit: AuditLog, clock: Clock, directory: Path) -> None:
        self.kms = kms
        self.audit = audit
        self.clock = clock
        self.callers = Callers()
        self.directory = directory
        self._count = 0

    async def call(
        self, operation: Operation[Any, Any] | str, caller: Principal | None = None, /, **members: object
    ) -> Any:  # noqa: ANN401 -- the response of whichever operation
        """Call an operation as root or as `caller`; members are named as in the request's shape."""
        if isinstance(operation, str):
            operation = OPERATIONS[operation]
        body = codec.encode_request(operation.request(**members))
        return codec.decode_response(operation, await self.send(operation.name, body, caller))

    async def send(self, name: str, body: bytes, caller: Principal | None = None) -> bytes:
        """Send raw bytes."""
        self._count += 1
        return await dispatch.handle(
            self.kms, self.audit, caller or self.callers.root, name, body, f"request-{self._count}", "test"
        )

    async def create_key(self, caller: Principal | None = None, **members: object) -> KeyMetadata:
        """Make a key."""
        response = await self.call(CREATE_KEY, caller, **members)
        metadata: KeyMetadata = response.key_metadata
        return metadata

    async def do_jobs(self) -> None:
        """Do what is due, as the jobs would have by now."""
        await jobs.run_due(self.kms, self.audit)

    async def rotate(self, key_id: str, caller: Principal | None = None) -> None:
        """Rotate a key on demand, to the end."""
        await self.call(ROTATE_KEY_ON_DEMAND, caller, key_id=key_id)
        await self.do_jobs()

    def key(self, key_id: str) -> Key:
        """Look straight into the store."""
        key = self.kms.store.key(REGION, key_id)
        assert key is not None
        return key

    def force(self, key_id: str, state: KeyState | None = None, **changes: Any) -> Key:  # noqa: ANN401 -- fields
        """Put a key into a state that no operation of this version leads to."""
        if state is not None:
            changes["key_state"] = state
        key = replace(self.key(key_id), **changes)
        with self.kms.store.write() as transaction:
            transaction.put(key)
        return key

    def allow(self, principal: Principal, *statements: dict[str, Any], name: str = "test") -> None:
        """Give a user or role an identity policy, straight into the store."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        with self.kms.store.write() as transaction:
            transaction.put(IdentityPolicy(principal.role_arn or principal.arn, name, document))

    async def put_policy(self, key_id: str, *statements: dict[str, Any]) -> None:
        """Give a key another policy, as root."""
        await self.call(
            "PutKeyPolicy",
            key_id=key_id,
            policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
            bypass_policy_lockout_safety_check=True,
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records so far."""
        return [json.loads(line) for line in lines(self.directory / _AUDIT_NAME)]


@asynccontextmanager
async def open_service(directory: Path) -> AsyncIterator[Service]:
    """A service that is ready to be called, its files in `directory`."""
    clock = Clock()
    audit = AuditLog.open(
        directory / _AUDIT_NAME, digest_seed=os.urandom(32), region=REGION, account_id=ACCOUNT, now=clock
    )
    with SqliteStore.open(directory / "keys.db") as store:
        async with trio.open_nursery() as nursery:
            await nursery.start(audit.run)
            kms = Kms(store, Barrier(os.urandom(32)), REGION, REGIONS, ACCOUNT, clock, audit.usage)
            yield Service(kms, audit, clock, directory)
            nursery.cancel_scope.cancel()
