"""Keys, materials and aliases that tests start from."""

import hashlib

from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin
from agent.keys.key import Alias, Key, KeyMaterial
from agent.keys.principal import Principal

REGION = "local"
ACCOUNT_ID = "111122223333"
ALICE = Principal(f"arn:aws:iam::{ACCOUNT_ID}:user/alice", ACCOUNT_ID, "AIDAALICE", 1000)
ROOT = Principal(f"arn:aws:iam::{ACCOUNT_ID}:root", ACCOUNT_ID, ACCOUNT_ID, 0, "Account", administrator=True)


def material_id(number: int) -> str:
    """Return the id of the sample material with that number."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def a_key(key_id: str = "1234abcd-12ab-34cd-56ef-1234567890ab", region: str = REGION) -> Key:
    """Return an enabled symmetric key."""
    return Key(
        key_id=key_id,
        region=region,
        account_id=ACCOUNT_ID,
        creation_date=1_700_000_000.5,
        creator_arn=ALICE.arn,
        description="a key",
        key_state=KeyState.ENABLED,
        key_spec=KeySpec.SYMMETRIC_DEFAULT,
        key_usage=KeyUsage.ENCRYPT_DECRYPT,
        origin=Origin.AWS_KMS,
        key_manager=KeyManager.CUSTOMER,
        policy="{}",
        current_material_id=material_id(0),
    )


def a_material(number: int = 0, key: Key | None = None, generation: int = 0) -> KeyMaterial:
    """Return a material of `key`; its wrapped bytes are made up."""
    key = key or a_key()
    return KeyMaterial(
        material_id=material_id(number),
        key_id=key.key_id,
        region=key.region,
        generation=generation,
        creation_date=1_700_000_000.5,
        rotation_type=None,
        wrapped=b"wrapped %d" % number,
    )


def an_alias(name: str = "alias/a", target_key_id: str | None = None, region: str = REGION) -> Alias:
    """Return an alias."""
    return Alias(
        name=name,
        region=region,
        account_id=ACCOUNT_ID,
        target_key_id=target_key_id,
        creation_date=1_700_000_000.5,
        last_updated_date=1_700_000_001.5,
    )
