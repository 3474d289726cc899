"""Owns the values a key consists of: the key, generations of its material, its aliases. No I/O, no rules."""

from dataclasses import dataclass, field

from agent.api import arn as arns
from agent.api.enums import (
    ExpirationModel,
    ImportState,
    KeyManager,
    KeySpec,
    KeyState,
    KeyUsage,
    Origin,
    RotationType,
)


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
        on_demand_rotation_start: when a rotation that is still under way was asked for; else None.
        current_material_id: hexadecimal id of the material that encrypts now; "" before any was imported.
        primary_region: where the primary of a multi-Region key is; None for single-Region keys.
        transition_date: when the passing state that it is in ends, see `states.settled`; else None.
        tags: pairs, sorted by tag key.
        custom_key_store_id: where the material is, if not here.
        xks_key_id: its name in an external key store.
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
    primary_region: str | None = None
    transition_date: float | None = None
    deletion_date: float | None = None
    pending_window_days: int | None = None
    rotation_period_days: int | None = None
    next_rotation_date: float | None = None
    on_demand_rotation_count: int = 0
    on_demand_rotation_start: float | None = None
    tags: tuple[tuple[str, str], ...] = ()
    custom_key_store_id: str | None = None
    xks_key_id: str | None = None

    @property
    def arn(self) -> str:
        """The key ARN."""
        return arns.key_arn(self.region, self.account_id, self.key_id)

    @property
    def multi_region(self) -> bool:
        """Whether this is a multi-Region key, primary or replica."""
        return self.primary_region is not None

    @property
    def replica(self) -> bool:
        """Whether this is a multi-Region key whose primary is in another Region."""
        return self.primary_region not in (None, self.region)


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """One generation of a key's material, wrapped under the root key.

    Replicas of a multi-Region key have records of their own of the same material.

    Attributes:
        material_id: 64 hexadecimal digits, unique over all keys; named in every CiphertextBlob.
        generation: 0 for the first, then one more for each that follows.
        creation_date: when it was made; of imported material, when it came, or else became current.
        rotation_type: what started the rotation that made it current; None for the first.
        wrapped: the material as `agent.seal.barrier` wrapped it; b"" once it was deleted or has expired.
        public_key: SubjectPublicKeyInfo in DER; b"" for symmetric and HMAC keys.
        import_state: None where the material was made here.
        pending_rotation: whether it was imported and has yet to become current.
        description: as ImportKeyMaterial was told.
        expiration_model: None where the material was made here.
        valid_to: when it expires; None if it does not.
        fingerprint: keyed digest of imported material, by which the same material is known again.
    """

    material_id: str
    key_id: str
    region: str
    generation: int
    creation_date: float
    rotation_type: RotationType | None
    wrapped: bytes = field(repr=False)
    public_key: bytes = field(default=b"", repr=False)
    import_state: ImportState | None = None
    pending_rotation: bool = False
    description: str = ""
    expiration_model: ExpirationModel | None = None
    valid_to: float | None = None
    fingerprint: bytes = field(default=b"", repr=False)


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
