"""What was answered of imports and rotations is true after kill -9, and what was begun is ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.api import operations
from agent.api.enums import AlgorithmSpec, ExpirationModel, ImportType, Origin, WrappingKeySpec
from agent.api.shapes.cryptographic import DecryptRequest, EncryptRequest
from agent.api.shapes.keys import CreateKeyRequest, DescribeKeyRequest
from agent.api.shapes.material import (
    DeleteImportedKeyMaterialRequest,
    GetParametersForImportRequest,
    ImportKeyMaterialRequest,
)
from agent.api.shapes.rotation import ListKeyRotationsRequest, RotateKeyOnDemandRequest
from agent.crypto import keywrap
from rotations import wait_until_rotated

if TYPE_CHECKING:
    from agent.api.shapes.keys import KeyMetadata
    from agents import RunningAgent

ALGORITHM = AlgorithmSpec.RSAES_OAEP_SHA_256
FIRST, SECOND = bytes(32), bytes([1]) * 32


class Mortal:
    """An agent that is killed as soon as it has answered, each time."""

    def __init__(self, agent: RunningAgent) -> None:
        self._agent = agent
        with agent.client() as client:
            made = client.call(operations.CREATE_KEY, CreateKeyRequest(origin=Origin.EXTERNAL))
            self.key_id = made.key_metadata.key_id
            request = GetParametersForImportRequest(
                key_id=self.key_id, wrapping_algorithm=ALGORITHM, wrapping_key_spec=WrappingKeySpec.RSA_2048
            )
            self._parameters = client.call(operations.GET_PARAMETERS_FOR_IMPORT, request)
        self._die()

    def _die(self) -> None:
        self._agent.kill()
        self._agent.start()

    def bring(self, material: bytes, kind: ImportType) -> str:
        """Import material with the token of an earlier life; return its id."""
        request = ImportKeyMaterialRequest(
            key_id=self.key_id,
            import_token=self._parameters.import_token,
            encrypted_key_material=keywrap.wrap(ALGORITHM, self._parameters.public_key, material),
            expiration_model=ExpirationModel.KEY_MATERIAL_DOES_NOT_EXPIRE,
            import_type=kind,
        )
        with self._agent.client() as client:
            identifier = client.call(operations.IMPORT_KEY_MATERIAL, request).key_material_id
        assert identifier is not None
        self._die()
        return identifier

    def take(self) -> None:
        """Delete the present material."""
        with self._agent.client() as client:
            request = DeleteImportedKeyMaterialRequest(key_id=self.key_id)
            client.call(operations.DELETE_IMPORTED_KEY_MATERIAL, request)
        self._die()

    def rotate(self) -> None:
        """Begin a rotation, and wait for its end in the next life."""
        with self._agent.client() as client:
            client.call(operations.ROTATE_KEY_ON_DEMAND, RotateKeyOnDemandRequest(key_id=self.key_id))
        self._die()
        with self._agent.client() as client:
            wait_until_rotated(client, self.key_id)

    def seal(self) -> bytes:
        """Encrypt something."""
        with self._agent.client() as client:
            request = EncryptRequest(key_id=self.key_id, plaintext=b"t")
            return client.call(operations.ENCRYPT, request).ciphertext_blob

    def opens(self, blob: bytes) -> bool:
        """Decrypt it."""
        with self._agent.client() as client:
            return client.call(operations.DECRYPT, DecryptRequest(ciphertext_blob=blob)).plaintext == b"t"

    def key(self) -> KeyMetadata:
        """Describe the key."""
        with self._agent.client() as client:
            request = DescribeKeyRequest(key_id=self.key_id)
            return client.call(operations.DESCRIBE_KEY, request).key_metadata

    def rotations(self) -> list[str | None]:
        """Return the materials that were rotated to."""
        with self._agent.client() as client:
            request = ListKeyRotationsRequest(key_id=self.key_id)
            listed = client.call(operations.LIST_KEY_ROTATIONS, request).rotations
        return [entry.key_material_id for entry in listed]


def test_a_life_in_many_lives(running_agent: RunningAgent) -> None:
    """Import, deletion, return, new material and rotation, with kill -9 right after every answer."""
    agent = Mortal(running_agent)
    first = agent.bring(FIRST, ImportType.NEW_KEY_MATERIAL)
    assert (agent.key().key_state, agent.key().current_key_material_id) == ("Enabled", first)
    sealed = agent.seal()
    agent.take()
    assert agent.key().key_state == "PendingImport"
    assert agent.bring(FIRST, ImportType.EXISTING_KEY_MATERIAL) == first
    assert agent.opens(sealed)
    second = agent.bring(SECOND, ImportType.NEW_KEY_MATERIAL)
    assert (agent.key().current_key_material_id, agent.rotations()) == (first, [])
    agent.rotate()
    assert (agent.key().current_key_material_id, agent.rotations()) == (second, [second])
    assert agent.opens(sealed)
    assert agent.opens(agent.seal())
