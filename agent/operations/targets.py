"""Owns what a request can touch, and how names in requests lead to keys. Knows nothing of permissions.

A key is named by its id or ARN, and by alias or alias ARN where the operation takes aliases; Decrypt and
ReEncrypt may leave the name out, then the ciphertext names the key.
"""

import re
from dataclasses import dataclass
from typing import Final

from agent.api import arn as arns
from agent.api.errors import AccessDeniedException, InvalidArnException, NotFoundException
from agent.backends import local
from agent.keys.grant import Grant
from agent.keys.key import Key
from agent.operations.kms import Kms
from agent.operations.tokens import grant_of_token, grant_with_id

ALIAS_PREFIX: Final = "alias/"
_KEY_PREFIX: Final = "key/"
_KEY_ID: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32}"
)
_CIPHERTEXT_REFUSED: Final = (
    "The ciphertext refers to a customer master key that does not exist, "
    "does not exist in this region, or you are not allowed to access."
)


@dataclass(frozen=True, slots=True)
class AccountTarget:
    """No key in particular: the account's keys as a whole, in a Region that is the request's unless named."""

    action: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class AliasTarget:
    """An alias as a resource of its own; `name` includes "alias/" and need not exist."""

    action: str
    name: str


@dataclass(frozen=True, slots=True)
class KeyTarget:
    """A key that the request names."""

    action: str
    key_id: str
    takes_alias: bool = False


@dataclass(frozen=True, slots=True)
class AliasedKeyTarget:
    """The key that an alias points to, named by the alias as a resource."""

    action: str
    alias_name: str


@dataclass(frozen=True, slots=True)
class CiphertextTarget:
    """The key that a ciphertext names."""

    action: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class ReplicaTarget:
    """The multi-Region key in `region` that shares its id with the key that `key_id` names, if any."""

    action: str
    key_id: str
    region: str


@dataclass(frozen=True, slots=True)
class GrantTarget:
    """The grant that a token names, or a key's ARN and the grant's id."""

    action: str
    token: str | None
    key_arn: str | None = None
    grant_id: str | None = None


Target = (
    AccountTarget
    | AliasTarget
    | KeyTarget
    | AliasedKeyTarget
    | CiphertextTarget
    | ReplicaTarget
    | GrantTarget
)


def resolve(kms: Kms, target: Target) -> Key | None:
    """Return the key that a target is about; None for targets that are about none.

    Raises:
        NotFoundException: there is no such key or alias, or the name cannot be one.
        InvalidArnException: an alias where the operation takes none.
        InvalidCiphertextException: the ciphertext names no key.
        AccessDeniedException: the ciphertext's key does not exist; who may not use it is told the same.
        InvalidGrantTokenException: the token names no grant in force.
        InvalidGrantIdException: no grant can have that id.
    """
    if isinstance(target, KeyTarget):
        return find_key(kms, target.key_id, takes_alias=target.takes_alias)
    if isinstance(target, CiphertextTarget):
        found = local.key_of(kms.store, kms.region, target.blob)
        key = None if found is None else kms.key(found.key_id)
        if key is None:
            raise ciphertext_refused()
        return key
    if isinstance(target, AliasedKeyTarget):
        return _aliased_key(kms, target.alias_name)
    if isinstance(target, GrantTarget):
        return find_key(kms, find_grant(kms, target).key_id)
    if isinstance(target, ReplicaTarget) and target.region in kms.regions:
        return kms.in_region(target.region).key(find_key(kms, target.key_id).key_id)
    return None


def find_grant(kms: Kms, target: GrantTarget) -> Grant:
    """Return the grant that a target names.

    Raises:
        InvalidGrantTokenException: the token names no grant in force.
        InvalidGrantIdException: no grant can have that id.
        NotFoundException: there is no such key or grant, or the key is not named by its ARN.
    """
    if target.token is not None:
        return grant_of_token(kms, target.token)
    assert target.key_arn is not None
    assert target.grant_id is not None
    if not target.key_arn.startswith("arn:"):
        raise NotFoundException(f"Invalid arn {target.key_arn}")
    return grant_with_id(kms, find_key(kms, target.key_arn), target.grant_id)


def ciphertext_refused() -> AccessDeniedException:
    """Return the refusal that does not tell an absent key from a forbidden one."""
    return AccessDeniedException(_CIPHERTEXT_REFUSED)


def find_key(kms: Kms, key_id: str, *, takes_alias: bool = False) -> Key:
    """Return the key that a request names in one of AWS's four forms.

    Raises:
        NotFoundException: there is no such key or alias, or the name cannot be one.
        InvalidArnException: an alias where the operation takes none.
    """
    resource = _local_resource(kms, key_id) if key_id.startswith("arn:") else key_id
    if resource.startswith(ALIAS_PREFIX):
        if not takes_alias:
            raise InvalidArnException("Key Aliases are not supported for this operation.")
        return _aliased_key(kms, resource)
    if resource is not key_id:
        resource = resource.removeprefix(_KEY_PREFIX)
    key = kms.key(resource)
    if key is None:
        if _KEY_ID.fullmatch(resource) is None:
            # As on AWS: quoted where the request named it so, bare where it comes out of an ARN.
            shown = f"'{resource}'" if resource is key_id else resource
            raise NotFoundException(f"Invalid keyId {shown}")
        raise key_not_found(kms, resource)
    return key


def alias_name(kms: Kms, key_id: str) -> str | None:
    """Return the alias in a KeyId given as alias or alias ARN of this account and Region; None for others."""
    name = key_id.removeprefix(kms.alias_arn(""))
    return name if name.startswith(ALIAS_PREFIX) else None


def key_not_found(kms: Kms, key_id: str) -> NotFoundException:
    """Return the error for a well-formed key id that names no key."""
    return NotFoundException(f"Key '{kms.key_arn(key_id)}' does not exist")


def alias_not_found(kms: Kms, name: str) -> NotFoundException:
    """Return the error for an alias that does not exist."""
    return NotFoundException(f"Alias {kms.alias_arn(name)} is not found.")


def present(kms: Kms, key: Key) -> Key:
    """Return a key as it is now: what was read before a transaction began may have changed since.

    Raises:
        NotFoundException: it has been deleted.
    """
    found = kms.in_region(key.region).key(key.key_id)
    if found is None:
        raise key_not_found(kms, key.key_id)
    return found


def _aliased_key(kms: Kms, name: str) -> Key:
    alias = kms.store.alias(kms.region, name)
    key = None
    if alias is not None and alias.target_key_id is not None:
        key = kms.key(alias.target_key_id)
    if key is None:
        raise alias_not_found(kms, name)
    return key


def _local_resource(kms: Kms, text: str) -> str:
    try:
        arn = arns.parse(text)
    except InvalidArnException as error:
        raise NotFoundException(error.message) from None
    if arn.partition != "aws" or arn.service != "kms":
        raise NotFoundException(f"Invalid arn {text}")
    if arn.region != kms.region:
        raise NotFoundException(f"Invalid arn {arn.region}")
    if not arn.resource.startswith((_KEY_PREFIX, ALIAS_PREFIX)):
        raise NotFoundException(f"Invalid arn {text}")
    if arn.account_id != kms.account_id:
        what = (
            "Alias {} is not found." if arn.resource.startswith(ALIAS_PREFIX) else "Key '{}' does not exist"
        )
        raise NotFoundException(what.format(text))
    return arn.resource
