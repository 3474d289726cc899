"""Keys from outside, brought into a service as their owner would: parameters, wrapping, import.

`import_key` makes a key of any spec out of given material, so that published vectors can be put through the
API. Material is raw bytes for symmetric and HMAC keys, PKCS#8 in DER for key pairs.
"""

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.api.enums import (
    AlgorithmSpec,
    ExpirationModel,
    IncludeKeyMaterial,
    KeySpec,
    KeyState,
    KeyUsage,
    Origin,
    WrappingKeySpec,
)
from agent.api.shapes.keys import KeyMetadata
from agent.api.shapes.rotation import RotationsListEntry
from agent.crypto import keywrap
from agent.keys.principal import Principal
from services import Service

FOREVER = ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE
ANY_MATERIAL = AlgorithmSpec.RSA_AES_KEY_WRAP_SHA_256


@dataclass(frozen=True, slots=True)
class Parameters:
    """What GetParametersForImport gave; good for any number of imports into that key within a day."""

    key_id: str
    algorithm: AlgorithmSpec
    public_key: bytes
    token: bytes

    def members(self, material: bytes) -> dict[str, Any]:
        """Return the members of an ImportKeyMaterial with this material, apart from its expiry."""
        return {
            "key_id": self.key_id,
            "import_token": self.token,
            "encrypted_key_material": keywrap.wrap(self.algorithm, self.public_key, material),
        }


async def parameters(
    service: Service,
    key_id: str,
    algorithm: AlgorithmSpec = ANY_MATERIAL,
    spec: WrappingKeySpec = WrappingKeySpec.RSA_2048,
    caller: Principal | None = None,
) -> Parameters:
    """Get a wrapping key and its token."""
    got = await service.call(
        "GetParametersForImport",
        caller,
        key_id=key_id,
        wrapping_algorithm=algorithm,
        wrapping_key_spec=spec,
    )
    return Parameters(key_id, algorithm, got.public_key, got.import_token)


async def create_external_key(
    service: Service,
    spec: KeySpec = KeySpec.SYMMETRIC_DEFAULT,
    usage: KeyUsage = KeyUsage.ENCRYPT_DECRYPT,
    caller: Principal | None = None,
    **members: object,
) -> KeyMetadata:
    """Make a key that waits for its material."""
    return await service.create_key(caller, key_spec=spec, key_usage=usage, origin=Origin.EXTERNAL, **members)


async def import_key(
    service: Service,
    material: bytes,
    spec: KeySpec = KeySpec.SYMMETRIC_DEFAULT,
    usage: KeyUsage = KeyUsage.ENCRYPT_DECRYPT,
    caller: Principal | None = None,
    **members: object,
) -> KeyMetadata:
    """Make a key out of material from outside, ready for use; further members are those of CreateKey."""
    made = await create_external_key(service, spec, usage, caller, **members)
    got = await parameters(service, made.key_id, caller=caller)
    await service.call("ImportKeyMaterial", caller, **got.members(material), expiration_model=FOREVER)
    described = await service.call("DescribeKey", caller, key_id=made.key_id)
    metadata: KeyMetadata = described.key_metadata
    return metadata


async def bring(service: Service, got: Parameters, material: bytes, **members: Any) -> str | None:  # noqa: ANN401 -- members
    """Import material that stays unless members say otherwise; return its id."""
    if "valid_to" not in members:
        members.setdefault("expiration_model", FOREVER)
    response = await service.call("ImportKeyMaterial", **got.members(material), **members)
    assert response.key_id == service.key(got.key_id).arn
    identifier: str | None = response.key_material_id
    return identifier


async def materials(service: Service, key_id: str) -> dict[str, RotationsListEntry]:
    """Return all there is to know about a key's materials, by id."""
    listed = await service.call(
        "ListKeyRotations", key_id=key_id, include_key_material=IncludeKeyMaterial.ALL_KEY_MATERIAL
    )
    return {entry.key_material_id: entry for entry in listed.rotations}


async def state(service: Service, key_id: str) -> KeyState:
    """Return the state that DescribeKey tells."""
    described: KeyMetadata = (await service.call("DescribeKey", key_id=key_id)).key_metadata
    assert described.key_state is not None
    return described.key_state


def pkcs8(key: Any) -> bytes:  # noqa: ANN401 -- any private key
    """Return a private key as its owner brings it."""
    encoded: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encoded


def on_disk(service: Service, content: bytes) -> bool:
    """Return whether any file of the service has this content."""
    return any(content in path.read_bytes() for path in service.directory.rglob("*") if path.is_file())
