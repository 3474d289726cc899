"""Brings key material from outside into a service under test."""

from dataclasses import replace

from agent.api.enums import KeySpec, KeyState, KeyUsage
from agent.api.shapes.keys import KeyMetadata
from agent.backends import local
from agent.crypto import keypairs
from agent.crypto.specs import WITHOUT_PUBLIC_KEY
from services import REGION, START, Service


async def adopt(service: Service, spec: KeySpec, usage: KeyUsage, plaintext: bytes) -> KeyMetadata:
    """Make a key of given material, as it is kept: PKCS#8 DER, or the bytes of a secret."""
    made = await service.create_key(key_spec=spec, key_usage=usage, origin="EXTERNAL")
    public_key = b""
    if spec not in WITHOUT_PUBLIC_KEY:
        private_key = keypairs.load_private(plaintext, trusted=False)
        public_key = keypairs.encode_public(private_key.public_key())
    blank = local.new_material(
        service.kms.barrier, made.key_id, region=REGION, generation=0, rotation_type=None, now=START
    )
    wrapped = service.kms.barrier.wrap_material(blank.material_id, made.key_id, plaintext)
    with service.kms.store.write() as transaction:
        transaction.put(replace(blank, wrapped=wrapped, public_key=public_key))
        transaction.put(
            replace(
                service.key(made.key_id),
                key_state=KeyState.ENABLED,
                current_material_id=blank.material_id,
            )
        )
    return made
