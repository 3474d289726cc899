"""Owns what CreateKey and DescribeKey tell about a key: members appear by need, as on AWS."""

from typing import Final

from agent.api.enums import CustomerMasterKeySpec, KeySpec, KeyState, KeyUsage, Origin
from agent.api.shapes.keys import KeyMetadata
from agent.crypto import specs
from agent.keys import imports
from agent.keys.key import Key
from agent.operations.kms import Kms
from agent.operations.related import configuration

_OLD_SPECS: Final[frozenset[str]] = frozenset(CustomerMasterKeySpec)


def metadata(kms: Kms, key: Key) -> KeyMetadata:
    """Return a key's metadata; only the algorithms of its usage are listed."""
    spec, usage = key.key_spec, key.key_usage
    state = key.key_state
    imported = kms.store.materials(key.region, key.key_id) if key.origin is Origin.EXTERNAL else ()
    return KeyMetadata(
        aws_account_id=key.account_id,
        key_id=key.key_id,
        arn=key.arn,
        creation_date=key.creation_date,
        enabled=state is KeyState.ENABLED,
        description=key.description,
        key_usage=usage,
        key_state=state,
        deletion_date=key.deletion_date,
        valid_to=imports.earliest_expiry(imported),
        origin=key.origin,
        custom_key_store_id=key.custom_key_store_id,
        expiration_model=imports.expiration_model(imported),
        key_manager=key.key_manager,
        customer_master_key_spec=old_spec(spec),
        key_spec=spec,
        encryption_algorithms=(
            specs.ENCRYPTION_ALGORITHMS[spec] if usage is KeyUsage.ENCRYPT_DECRYPT else None
        ),
        signing_algorithms=specs.SIGNING_ALGORITHMS[spec] if usage is KeyUsage.SIGN_VERIFY else None,
        key_agreement_algorithms=(
            specs.KEY_AGREEMENT_ALGORITHMS[spec] if usage is KeyUsage.KEY_AGREEMENT else None
        ),
        encapsulation_algorithms=(
            specs.ENCAPSULATION_ALGORITHMS[spec] if usage is KeyUsage.ENCAPSULATE_DECAPSULATE else None
        ),
        mac_algorithms=specs.MAC_ALGORITHMS[spec] if usage is KeyUsage.GENERATE_VERIFY_MAC else None,
        multi_region=key.multi_region,
        multi_region_configuration=configuration(kms, key),
        pending_deletion_window_in_days=(
            key.pending_window_days if state is KeyState.PENDING_REPLICA_DELETION else None
        ),
        current_key_material_id=_material_id(key),
    )


def _material_id(key: Key) -> str | None:
    """Return what encrypts now; other specs have one material only, and AWS does not show it."""
    if key.key_spec is not KeySpec.SYMMETRIC_DEFAULT or key.key_state is KeyState.CREATING:
        return None
    return key.current_material_id or None


def old_spec(spec: KeySpec) -> CustomerMasterKeySpec | None:
    """Return a spec under its deprecated name; None for those that came after it."""
    return CustomerMasterKeySpec(spec) if spec in _OLD_SPECS else None
