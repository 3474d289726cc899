"""Owns grant tokens as operations meet them: issuing one, and finding the grant that one names.

Here a grant counts from the moment in which CreateGrant is answered, so a token gives nobody anything that
the grant has not given yet. It is checked all the same: a request with a token that names no grant fails.
"""

import re
import secrets
from typing import Final

from agent.api.errors import InvalidGrantIdException, InvalidGrantTokenException, NotFoundException
from agent.api.shapes.base import Shape
from agent.crypto.grant_tokens import NONCE_SIZE, GrantTokenError, TokenOf, make_token, read_token
from agent.keys.grant import Grant
from agent.keys.key import Key
from agent.operations.kms import Kms

_LABEL: Final = b"kms-agent grant tokens 1"
_GRANT_ID: Final = re.compile(r"[0-9a-f]{64}")


def issue_token(kms: Kms, grant: Grant) -> str:
    """Return a new token of a grant; all its tokens mean the same."""
    named = TokenOf(grant.region, grant.key_id, grant.grant_id)
    return make_token(kms.barrier.derive(_LABEL), named, secrets.token_bytes(NONCE_SIZE))


def grant_of_token(kms: Kms, token: str) -> Grant:
    """Return the grant that a token names.

    Raises:
        InvalidGrantTokenException: no token of this agent and Region, or its grant was retired or revoked.
    """
    try:
        named = read_token(kms.barrier.derive(_LABEL), token)
    except GrantTokenError:
        raise InvalidGrantTokenException("Invalid grant token.") from None
    grant = None
    if named.region == kms.region:
        grant = kms.store.grant(named.region, named.key_id, named.grant_id)
    if grant is None:
        raise InvalidGrantTokenException("The grant token names no grant that is in force in this Region.")
    return grant


def grant_with_id(kms: Kms, key: Key, grant_id: str) -> Grant:
    """Return a grant of a key.

    Raises:
        InvalidGrantIdException: no grant can have that id.
        NotFoundException: the key has no such grant, or not any more.
    """
    require_grant_id(grant_id)
    grant = kms.store.grant(key.region, key.key_id, grant_id)
    if grant is None:
        raise NotFoundException(f"Grant ID {grant_id} not found")
    return grant


def require_grant_id(grant_id: str) -> None:
    """Refuse what no grant can be called.

    Raises:
        InvalidGrantIdException: it is not 64 hexadecimal digits.
    """
    if _GRANT_ID.fullmatch(grant_id) is None:
        raise InvalidGrantIdException(f"Invalid grant ID {grant_id}")


def require_valid_tokens(kms: Kms, request: Shape) -> None:
    """Refuse a request with a grant token that names no grant.

    Raises:
        InvalidGrantTokenException: it has one.
    """
    for token in getattr(request, "grant_tokens", None) or ():
        grant_of_token(kms, token)
