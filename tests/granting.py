"""Making grants and trying what they permit, through the pipeline."""

from typing import Final

from agent.api.enums import GrantOperation
from agent.api.errors import AccessDeniedException
from agent.api.shapes.grants import CreateGrantResponse, GrantConstraints, GrantListEntry
from agent.keys.principal import Principal
from services import ACCOUNT, Service

USER: Final = f"arn:aws:iam::{ACCOUNT}:user/"
ROOT: Final = f"arn:aws:iam::{ACCOUNT}:root"
BOB: Final = USER + "bob"
SERVICE: Final = "kmsfs.local.local"
VOLUME: Final = f"arn:aws:kmsfs:local:{ACCOUNT}:volume/v1"
DECRYPT: Final = (GrantOperation.DECRYPT,)
DESCRIBE: Final = (GrantOperation.DESCRIBE_KEY,)


def equals(**pairs: str) -> GrantConstraints:
    """Return the constraint that the context is exactly this."""
    return GrantConstraints(encryption_context_equals=pairs)


def subset(**pairs: str) -> GrantConstraints:
    """Return the constraint that the context contains this."""
    return GrantConstraints(encryption_context_subset=pairs)


async def grant(
    service: Service, key_id: str, caller: Principal | None = None, **members: object
) -> CreateGrantResponse:
    """Make a grant, to bob to decrypt unless something else is said."""
    members = {"grantee_principal": BOB, "operations": DECRYPT} | members
    answer: CreateGrantResponse = await service.call("CreateGrant", caller, key_id=key_id, **members)
    return answer


async def listed(service: Service, key_id: str, **filters: object) -> list[GrantListEntry]:
    """Return all grants of a key."""
    answer = await service.call("ListGrants", key_id=key_id, **filters)
    assert answer.truncated is False
    return list(answer.grants)


async def may(service: Service, caller: Principal, operation: str, **members: object) -> bool:
    """Tell whether a request is permitted."""
    try:
        await service.call(operation, caller, **members)
    except AccessDeniedException:
        return False
    return True
