"""Owns the shapes of ReportIntegrityFailure, which is the agent's own: AWS has no operation like it."""

from typing import Annotated

from msgspec import Meta

from agent.api.shapes.base import EncryptionContext, GrantTokens, KeyId, Shape, pattern

# Printable ASCII: what a report says ends up in terminals. Whoever reports escapes what a name has besides.
FailurePath = Annotated[str, Meta(min_length=1, max_length=2048), pattern(r"[ -~]+")]
FailureKind = Annotated[str, Meta(min_length=1, max_length=32), pattern(r"[a-z]+(?:-[a-z]+)*")]
FailureDetail = Annotated[str, Meta(min_length=1, max_length=256), pattern(r"[ -~]+")]
VolumeName = Annotated[str, Meta(min_length=1, max_length=128), pattern(r"[A-Za-z0-9._:-]+")]


class ReportIntegrityFailureRequest(Shape, frozen=True, kw_only=True):
    """Request of ReportIntegrityFailure: something that is stored under a key does not authenticate.

    `encryption_context` is one that the key's user decrypts with, and `volume` one of its values; `path` says
    where in the volume, as its storage has it, `observed_at` when it was seen, in seconds since the epoch.
    """

    key_id: KeyId
    encryption_context: EncryptionContext
    volume: VolumeName
    path: FailurePath
    kind: FailureKind
    detail: FailureDetail | None = None
    observed_at: float | None = None
    grant_tokens: GrantTokens | None = None
