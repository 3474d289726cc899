"""Owns what all shapes share: their base class, and the scalars as AWS's model constrains them."""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

# AWS's patterns match whole values in ASCII; msgspec searches, and Python's $ lets a final newline through.
WHOLE_MATCH: Final = (r"\A(?a:", r")\Z")


def pattern(aws: str) -> Meta:
    """Return the constraint of a pattern as AWS's model writes it."""
    return Meta(pattern=aws.join(WHOLE_MATCH))


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """A structure of the API: absent optional members are None, blobs are bytes, dates epoch seconds.

    Members that AWS marks as sensitive stay out of every representation.
    """

    sensitive_members: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = (name for name in self.__struct_fields__ if name not in self.sensitive_members)
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Empty(Shape, frozen=True, kw_only=True):
    """The answer of an operation that answers nothing: an empty body."""


KeyId = Annotated[str, Meta(min_length=1, max_length=2048)]
ArnText = Annotated[str, Meta(min_length=20, max_length=2048)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Marker = Annotated[str, Meta(min_length=1, max_length=1024), pattern(r"[\u0020-\u00FF]*")]
GrantToken = Annotated[str, Meta(min_length=1, max_length=8192)]
GrantTokens = Annotated[tuple[GrantToken, ...], Meta(min_length=0, max_length=10)]
EncryptionContext = dict[str, str]
Ciphertext = Annotated[bytes, Meta(min_length=1, max_length=6144)]
Plaintext = Annotated[bytes, Meta(min_length=1, max_length=4096, extra={"sensitive": True})]
NumberOfBytes = Annotated[int, Meta(ge=1, le=1024)]
KeyMaterialId = Annotated[str, Meta(min_length=64, max_length=64), pattern(r"^[a-f0-9]+$")]
CustomKeyStoreId = Annotated[str, Meta(min_length=1, max_length=64)]
Policy = Annotated[str, Meta(min_length=1, max_length=131072), pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+")]
PolicyName = Annotated[str, Meta(min_length=1, max_length=128), pattern(r"[\w]+")]
AliasName = Annotated[str, Meta(min_length=1, max_length=256), pattern(r"^[a-zA-Z0-9:/_-]+$")]
Description = Annotated[str, Meta(min_length=0, max_length=8192)]
RotationPeriodInDays = Annotated[int, Meta(ge=90, le=2560)]
PendingWindowInDays = Annotated[int, Meta(ge=1, le=365)]
XksKeyId = Annotated[str, Meta(min_length=1, max_length=128), pattern(r"^[a-zA-Z0-9-_.]+$")]
