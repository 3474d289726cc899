"""Imported material against a model, step by step: import, deletion, expiry, rotation, the key's states."""

import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.api.enums import ImportType, KeyState
from agent.api.errors import (
    DisabledException,
    IncorrectKeyMaterialException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
)
from importing import FOREVER, Parameters, create_external_key, materials, parameters
from services import Service, open_service

DAY: Final = 86_400
LETTERS: Final = "abc"
NEW, EXISTING = ImportType.NEW_KEY_MATERIAL, ImportType.EXISTING_KEY_MATERIAL
SERVING: Final = {KeyState.ENABLED, KeyState.DISABLED}
INVALID: Final = KMSInvalidStateException

Refusal = type[ServiceError] | None


@dataclass
class Piece:
    """One material in the model."""

    letter: str
    waiting: bool
    present: bool = True
    valid_to: float | None = None


@dataclass
class Model:
    """What must be so."""

    state: KeyState = KeyState.PENDING_IMPORT
    pieces: dict[str, Piece] = field(default_factory=dict)
    current: str | None = None
    rotating: bool = False
    rotations: int = 0

    def permanent(self) -> list[Piece]:
        return [piece for piece in self.pieces.values() if not piece.waiting]

    def waiting(self) -> Piece | None:
        return next((piece for piece in self.pieces.values() if piece.waiting), None)

    def is_complete(self) -> bool:
        return bool(self.permanent()) and all(piece.present for piece in self.permanent())

    def settle(self, now: float) -> None:
        """Let what has expired serve no more."""
        if self.state in SERVING and any(expired(piece, now) for piece in self.permanent()):
            self.state = KeyState.PENDING_IMPORT

    def bring(self, letter: str, kind: ImportType | None, valid_to: float | None) -> Refusal:
        if self.state is KeyState.PENDING_DELETION:
            return INVALID
        known = self.pieces.get(letter)
        if (kind or (EXISTING if self.pieces else NEW)) is EXISTING:
            if known is None:
                return IncorrectKeyMaterialException
        elif known is not None:
            return IncorrectKeyMaterialException
        elif self.waiting() is not None:
            return INVALID
        if known is None:
            known = self.pieces[letter] = Piece(letter, waiting=bool(self.pieces))
            self.current = self.current or letter
        known.present, known.valid_to = True, valid_to
        if self.state is KeyState.PENDING_IMPORT and self.is_complete():
            self.state = KeyState.ENABLED
        return None

    def remove(self, letter: str | None) -> Refusal:
        if letter is None and self.current is None:
            return None
        piece = self.pieces.get(letter or self.current or "")
        if piece is None:
            return NotFoundException
        if piece.waiting:
            del self.pieces[piece.letter]
            return None
        piece.present, piece.valid_to = False, None
        if self.state in SERVING:
            self.state = KeyState.PENDING_IMPORT
        return None

    def rotate(self, now: float) -> Refusal:
        refusals: dict[KeyState, type[ServiceError]] = {
            KeyState.DISABLED: DisabledException,
            KeyState.PENDING_DELETION: INVALID,
            KeyState.PENDING_IMPORT: INVALID,
        }
        if self.state in refusals:
            return refusals[self.state]
        waiting = self.waiting()
        if not self.rotating and (waiting is None or expired(waiting, now)):
            return INVALID
        self.rotating = True
        return None

    def do_jobs(self, now: float) -> None:
        for piece in [piece for piece in self.pieces.values() if expired(piece, now)]:
            self.remove(piece.letter)
        waiting = self.waiting()
        if self.rotating and waiting is not None:
            waiting.waiting, self.current = False, waiting.letter
            self.rotations += 1
        self.rotating = False

    def switch(self, state: KeyState) -> Refusal:
        if self.state not in SERVING:
            return INVALID
        self.state = state
        return None

    def schedule(self) -> Refusal:
        if self.state is KeyState.PENDING_DELETION:
            return INVALID
        self.state = KeyState.PENDING_DELETION
        return None

    def cancel(self) -> Refusal:
        if self.state is not KeyState.PENDING_DELETION:
            return INVALID
        self.state = KeyState.DISABLED if self.is_complete() else KeyState.PENDING_IMPORT
        return None


def expired(piece: Piece, now: float) -> bool:
    """Whether a material's time has come."""
    return piece.present and piece.valid_to is not None and piece.valid_to <= now


class World:
    """A service with one key, and the model of it."""

    def __init__(self, service: Service, got: Parameters) -> None:
        self.service = service
        self.key_id = got.key_id
        self.model = Model()
        self._got = got
        self._got_at = service.clock()
        self._ids: dict[str, str] = {}
        self._sealed: deque[bytes] = deque(maxlen=6)

    async def step(self, name: str, letter: str, kind: ImportType | None, days: int) -> None:
        """Do something to both; they must agree on whether it is refused, and how."""
        now = self.service.clock()
        self.model.settle(now)
        expected: Refusal = None
        if name == "wait":
            self.service.clock.advance(days=days / 2)
        elif name == "jobs":
            await self.service.do_jobs()
            self.model.do_jobs(now)
        elif name == "import":
            await self._import(letter, kind, now + days * DAY / 2 if days else None)
        elif name == "delete":
            chosen = letter if kind else None
            expected = self.model.remove(chosen)
            members = {} if chosen is None else {"key_material_id": self._ids.get(chosen, "0" * 64)}
            await self._ask("DeleteImportedKeyMaterial", expected, **members)
        else:
            operation, change = {
                "rotate": ("RotateKeyOnDemand", lambda: self.model.rotate(now)),
                "enable": ("EnableKey", lambda: self.model.switch(KeyState.ENABLED)),
                "disable": ("DisableKey", lambda: self.model.switch(KeyState.DISABLED)),
                "schedule": ("ScheduleKeyDeletion", self.model.schedule),
                "cancel": ("CancelKeyDeletion", self.model.cancel),
            }[name]
            await self._ask(operation, change())
        self.model.settle(self.service.clock())

    async def _import(self, letter: str, kind: ImportType | None, valid_to: float | None) -> None:
        if self.model.state is not KeyState.PENDING_DELETION and self.service.clock() >= self._got_at + DAY:
            self._got, self._got_at = await parameters(self.service, self.key_id), self.service.clock()
        expected = self.model.bring(letter, kind, valid_to)
        members: dict[str, Any] = {**self._got.members(letter.encode() * 32), "import_type": kind}
        members |= {"expiration_model": FOREVER} if valid_to is None else {"valid_to": valid_to}
        answer = await self._ask("ImportKeyMaterial", expected, **members)
        if expected is None:
            assert self._ids.setdefault(letter, answer.key_material_id) == answer.key_material_id

    async def _ask(self, operation: str, expected: Refusal, **members: Any) -> Any:  # noqa: ANN401 -- any answer
        members.setdefault("key_id", self.key_id)
        answer, refusal = None, None
        try:
            answer = await self.service.call(operation, **members)
        except ServiceError as error:
            refusal = type(error)
        assert refusal is expected, (operation, members, self.model)
        return answer

    async def check(self) -> None:
        """Compare what the service tells with the model, and use the key."""
        model, service = self.model, self.service
        described = (await service.call("DescribeKey", key_id=self.key_id)).key_metadata
        assert described.key_state is model.state
        assert described.current_key_material_id == self._ids.get(model.current or "")
        dates = [piece.valid_to for piece in model.permanent() if piece.valid_to is not None]
        assert described.valid_to == min(dates, default=None)
        status = await service.call("GetKeyRotationStatus", key_id=self.key_id)
        assert (status.on_demand_rotation_start_date is not None) == model.rotating
        listed = await materials(service, self.key_id)
        assert [*listed] == [self._ids[letter] for letter in model.pieces]
        for letter, piece in model.pieces.items():
            entry = listed[self._ids[letter]]
            assert (entry.import_state == "IMPORTED") == piece.present
            assert (entry.key_material_state == "PENDING_ROTATION") == piece.waiting
            assert (entry.key_material_state == "CURRENT") == (letter == model.current)
            assert entry.valid_to == piece.valid_to
            assert bool(service.kms.store.material("local", self._ids[letter]).wrapped) == piece.present
        rotated = (await service.call("ListKeyRotations", key_id=self.key_id)).rotations
        assert len(rotated) == model.rotations == service.key(self.key_id).on_demand_rotation_count
        if model.state is KeyState.ENABLED:
            made = await service.call("Encrypt", key_id=self.key_id, plaintext=b"t")
            self._sealed.append(made.ciphertext_blob)
            for blob in self._sealed:
                assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"


KINDS = st.sampled_from([None, None, NEW, NEW, EXISTING])
NAMES = ("import", "import", "import", "delete", "rotate", "jobs", "jobs", "wait", "disable", "enable")
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, "schedule", "cancel"]),
        st.sampled_from(LETTERS),
        KINDS,
        st.integers(0, 4),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
async def test_any_order_of_steps(steps: list[tuple[str, str, ImportType | None, int]]) -> None:
    """Whatever is asked: outcome, states, materials and their use are as they must be."""
    with tempfile.TemporaryDirectory(prefix="kms-") as directory:
        async with open_service(Path(directory)) as service:
            key = await create_external_key(service)
            world = World(service, await parameters(service, key.key_id))
            for step in (("import", "a", None, 0), *steps):
                await world.step(*step)
                await world.check()
