"""Owns the values a key consists of: the key, generations of its material, its aliases. No I/O, no rules."""

from dataclasses import dataclass, field

from agent.api import arn as arns
from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin, RotationType


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key's description; its material is kept apart.

    Attributes:
        key_id: a UUID, or `mrk-` and 32 hexadecimal digits.
        creation_date: seconds since the epoch, as all dates here.
        creator_arn: the principal that called CreateKey.
        policy: the key policy named `default`, as JSON text.
        deletion_date: when the key will be deleted; None unless its deletion is scheduled.
        pending_window_days: the waiting period that ScheduleKeyDeletion was called with.
        rotation_period_days: None while automatic rotation is off.
        next_rotation_date: when automatic rotation is due; None while it is off.
        on_demand_rotation_count: on-demand rotations in the key's life.
        current_material_id: hexadecimal id of the material that encrypts now.
    """

    key_id: str
    region: str
    account_id: str
    creation_date: float
    creator_arn: str
    description: str
    key_state: KeyState
    key_spec: KeySpec
    key_usage: KeyUsage
    origin: Origin
    key_manager: KeyManager
    policy: str
    current_material_id: str
    multi_region: bool = False
    deletion_date: float | None = None
    pending_window_days: int | None = None
    rotation_period_days: int | None = None
    next_rotation_date: float | None = None
    on_demand_rotation_count: int = 0

    @property
    def arn(self) -> str:
        """The key ARN."""
        return arns.key_arn(self.region, self.account_id, self.key_id)


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """One generation of a key's material, wrapped under the root key.

    Attributes:
        material_id: 64 hexadecimal digits, unique over all keys; named in every CiphertextBlob.
        generation: 0 for the first, then one more at each rotation.
        rotation_type: what started the rotation that made it; None for the first.
        wrapped: the material as `agent.seal.barrier` wrapped it.
    """

    material_id: str
    key_id: str
    region: str
    generation: int
    creation_date: float
    rotation_type: RotationType | None
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a key, unique in its account and Region.

    Attributes:
        name: begins with `alias/`.
        target_key_id: None for a predefined `alias/aws/…` whose key has not been made yet.
    """

    name: str
    region: str
    account_id: str
    target_key_id: str | None
    creation_date: float
    last_updated_date: float
