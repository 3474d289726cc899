"""Owns the shapes of the operations on message authentication codes."""

from typing import ClassVar

from agent.api.enums import MacAlgorithmSpec
from agent.api.shapes.base import Ciphertext, GrantTokens, KeyId, Plaintext, Shape


class GenerateMacRequest(Shape, frozen=True, kw_only=True):
    """Request of GenerateMac."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"message"})

    message: Plaintext
    key_id: KeyId
    mac_algorithm: MacAlgorithmSpec
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class GenerateMacResponse(Shape, frozen=True, kw_only=True):
    """Response of GenerateMac."""

    mac: Ciphertext
    mac_algorithm: MacAlgorithmSpec
    key_id: KeyId


class VerifyMacRequest(Shape, frozen=True, kw_only=True):
    """Request of VerifyMac."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"message"})

    message: Plaintext
    key_id: KeyId
    mac_algorithm: MacAlgorithmSpec
    mac: Ciphertext
    grant_tokens: GrantTokens | None = None
    dry_run: bool | None = None


class VerifyMacResponse(Shape, frozen=True, kw_only=True):
    """Response of VerifyMac."""

    key_id: KeyId
    mac_valid: bool
    mac_algorithm: MacAlgorithmSpec
