"""A key source in this process, in the place of an agent's client: thousands of volumes are opened here."""

from __future__ import annotations

import os
from typing import Any, cast

from agent.api import errors as kms
from agent.api.operations import Operation
from agent.api.shapes.cryptographic import (
    DecryptRequest,
    DecryptResponse,
    GenerateDataKeyRequest,
    GenerateDataKeyResponse,
    ReEncryptRequest,
    ReEncryptResponse,
)
from agent.api.shapes.keys import DescribeKeyRequest, DescribeKeyResponse, KeyMetadata
from agent.client import AgentClient

KEY_ARN = "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class LocalKeys:
    """One KMS key; what it has encrypted it remembers, with the context."""

    def __init__(self) -> None:
        self._given: dict[bytes, tuple[bytes, dict[str, str] | None]] = {}
        self.rotate()

    def rotate(self) -> None:
        """Give the key new material."""
        self._material = os.urandom(32).hex()

    def client(self) -> AgentClient:
        """Return this as what the filesystem takes."""
        return cast("AgentClient", self)

    def call(self, operation: Operation[Any, Any], request: object) -> object:
        """Answer one request."""
        if isinstance(request, GenerateDataKeyRequest):
            plaintext, blob = os.urandom(32), os.urandom(184)
            self._given[blob] = plaintext, request.encryption_context
            return GenerateDataKeyResponse(
                ciphertext_blob=blob, plaintext=plaintext, key_id=KEY_ARN, key_material_id=self._material
            )
        if isinstance(request, DecryptRequest):
            plaintext, context = self._given.get(request.ciphertext_blob or b"", (b"", None))
            if not plaintext or context != request.encryption_context:
                raise kms.InvalidCiphertextException
            return DecryptResponse(key_id=KEY_ARN, plaintext=plaintext, key_material_id=self._material)
        if isinstance(request, ReEncryptRequest):
            blob = os.urandom(184)
            plaintext, context = self._given[request.ciphertext_blob or b""]
            assert context == request.source_encryption_context == request.destination_encryption_context
            self._given[blob] = plaintext, context
            return ReEncryptResponse(
                ciphertext_blob=blob, key_id=KEY_ARN, destination_key_material_id=self._material
            )
        assert isinstance(request, DescribeKeyRequest), operation.name
        return DescribeKeyResponse(
            key_metadata=KeyMetadata(key_id=KEY_ARN, arn=KEY_ARN, current_key_material_id=self._material)
        )
