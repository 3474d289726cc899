"""Owns the value of a grant. Knows nothing of when one counts or of how tokens are made."""

from dataclasses import dataclass
from typing import TypeAlias

from agent.api.enums import GrantOperation

Context: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of an encryption context, sorted by key."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission on one key for one principal, kept apart from the key policy.

    Attributes:
        grant_id: 64 hexadecimal digits, unique over all keys.
        name: what CreateGrant was told to make the request idempotent; None if nothing.
        grantee_principal: ARN, or None where `grantee_service_principal` is given.
        grantee_id: the grantee's unique id when the grant was made; "" where it has none.
        issuing_account: account id of whoever created it.
        operations: sorted by name.
        context_equals: what the encryption context must be; None if it does not matter.
        context_subset: what the encryption context must contain; None if it does not matter.
        source_arn: on whose behalf a service must be asking; None if it does not matter.
    """

    grant_id: str
    key_id: str
    region: str
    creation_date: float
    issuing_account: str
    operations: tuple[GrantOperation, ...]
    name: str | None = None
    grantee_principal: str | None = None
    grantee_id: str = ""
    retiring_principal: str | None = None
    grantee_service_principal: str | None = None
    retiring_service_principal: str | None = None
    context_equals: Context | None = None
    context_subset: Context | None = None
    source_arn: str | None = None
