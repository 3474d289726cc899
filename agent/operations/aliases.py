"""Owns the operations on aliases: names, uniqueness, what an alias may point to."""

import re
from dataclasses import replace
from operator import attrgetter
from typing import Final

from agent.api import operations as api
from agent.api.enums import KeyUsage
from agent.api.errors import (
    AlreadyExistsException,
    LimitExceededException,
    NotAuthorizedException,
    ValidationException,
)
from agent.api.shapes.aliases import (
    AliasListEntry,
    CreateAliasRequest,
    DeleteAliasRequest,
    ListAliasesRequest,
    ListAliasesResponse,
    UpdateAliasRequest,
)
from agent.api.shapes.base import Empty
from agent.crypto.specs import WITHOUT_PUBLIC_KEY
from agent.keys.key import Alias, Key
from agent.keys.states import require_state
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.managed import MANAGED_KEYS
from agent.operations.pages import page
from agent.operations.targets import (
    ALIAS_PREFIX,
    AliasedKeyTarget,
    AliasTarget,
    KeyTarget,
    Target,
    alias_not_found,
    find_key,
    present,
)

_LIST_LIMIT: Final = 50
_MAX_LIST_LIMIT: Final = 100
_RESERVED_PREFIX: Final = "alias/aws/"
_NAME: Final = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")


def check_alias_name(request: CreateAliasRequest | UpdateAliasRequest | DeleteAliasRequest) -> None:
    """Refuse names that the model allows and AWS does not, and targets that are aliases themselves."""
    name = request.alias_name
    if not name.startswith(ALIAS_PREFIX):
        raise ValidationException(
            'Alias must start with the prefix "alias/". Please see '
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
        )
    if name.startswith(_RESERVED_PREFIX):
        raise NotAuthorizedException
    if name == ALIAS_PREFIX:
        raise ValidationException("Invalid identifier")
    if _NAME.fullmatch(name) is None:
        raise ValidationException(f"{name} contains invalid characters for an alias")
    if not isinstance(request, DeleteAliasRequest) and (
        request.target_key_id.startswith(ALIAS_PREFIX) or f":{ALIAS_PREFIX}" in request.target_key_id
    ):
        raise ValidationException("Aliases must refer to keys. Not aliases")


def create_alias_targets(request: CreateAliasRequest) -> tuple[Target, ...]:
    """Return the key and the alias."""
    action = "kms:CreateAlias"
    return KeyTarget(action, request.target_key_id), AliasTarget(action, request.alias_name)


def create_alias(kms: Kms, _caller: Caller, keys: Keys, request: CreateAliasRequest) -> Empty:
    """Give a key another name."""
    with kms.store.write() as transaction:
        key = present(kms, keys[0])
        if kms.store.alias(kms.region, request.alias_name) is not None:
            arn = kms.alias_arn(request.alias_name)
            raise AlreadyExistsException(f"An alias with the name {arn} already exists")
        require_state(key, "CreateAlias")
        _require_room(kms, key.key_id)
        now = kms.now()
        transaction.put(
            Alias(
                name=request.alias_name,
                region=kms.region,
                account_id=kms.account_id,
                target_key_id=key.key_id,
                creation_date=now,
                last_updated_date=now,
            )
        )
    return Empty()


def update_alias_targets(request: UpdateAliasRequest) -> tuple[Target, ...]:
    """Return the key that the alias names now, the key that it shall name, and the alias."""
    action = "kms:UpdateAlias"
    return (
        AliasedKeyTarget(action, request.alias_name),
        KeyTarget(action, request.target_key_id),
        AliasTarget(action, request.alias_name),
    )


def update_alias(kms: Kms, _caller: Caller, keys: Keys, request: UpdateAliasRequest) -> Empty:
    """Have an alias name another key of the same type and usage."""
    with kms.store.write() as transaction:
        alias = kms.store.alias(kms.region, request.alias_name)
        if alias is None or alias.target_key_id != keys[0].key_id:
            raise alias_not_found(kms, request.alias_name)
        old, new = present(kms, keys[0]), present(kms, keys[1])
        require_state(new, "UpdateAlias")
        if _type(old) != _type(new):
            raise ValidationException(
                f"Alias {kms.alias_arn(alias.name)} can only be associated with a key of the same type and "
                "key usage as its present key. Delete the alias and create it again."
            )
        if new.key_id != old.key_id:
            _require_room(kms, new.key_id)
        transaction.put(replace(alias, target_key_id=new.key_id, last_updated_date=kms.now()))
    return Empty()


def delete_alias_targets(request: DeleteAliasRequest) -> tuple[Target, ...]:
    """Return the key that the alias names, and the alias."""
    action = "kms:DeleteAlias"
    return AliasedKeyTarget(action, request.alias_name), AliasTarget(action, request.alias_name)


def delete_alias(kms: Kms, _caller: Caller, keys: Keys, request: DeleteAliasRequest) -> Empty:
    """Forget a name; the key stays as it is."""
    with kms.store.write() as transaction:
        alias = kms.store.alias(kms.region, request.alias_name)
        if alias is None or alias.target_key_id != keys[0].key_id:
            raise alias_not_found(kms, request.alias_name)
        transaction.delete(alias)
    return Empty()


def check_list_aliases(request: ListAliasesRequest) -> None:
    """Refuse page sizes above those of ListAliases; the model has those of other listings."""
    if request.limit is not None and request.limit > _MAX_LIST_LIMIT:
        raise ValidationException(
            f"1 validation error detected: Value '{request.limit}' at 'limit' failed to satisfy "
            f"constraint: Member must have value less than or equal to {_MAX_LIST_LIMIT}"
        )


def list_aliases(kms: Kms, _caller: Caller, _keys: Keys, request: ListAliasesRequest) -> ListAliasesResponse:
    """Return a page of aliases by name, those of one key if the request names one."""
    key_id = None if request.key_id is None else find_key(kms, request.key_id).key_id
    entries = [
        _entry(alias)
        for alias in kms.store.aliases(kms.region)
        if key_id is None or alias.target_key_id == key_id
    ]
    if key_id is None:
        entries += _predefined(kms)
        entries.sort(key=attrgetter("alias_name"))
    chosen, marker = page(
        entries,
        attrgetter("alias_name"),
        request.limit or _LIST_LIMIT,
        request.marker,
        f"ListAliases {key_id or ''}",
    )
    return ListAliasesResponse(aliases=tuple(chosen), next_marker=marker, truncated=marker is not None)


def _type(key: Key) -> tuple[bool, KeyUsage]:
    """Return what must not change behind an alias; the specs of key pairs may, as on AWS."""
    return key.key_spec in WITHOUT_PUBLIC_KEY, key.key_usage


def _entry(alias: Alias) -> AliasListEntry:
    return AliasListEntry(
        alias_name=alias.name,
        alias_arn=f"arn:aws:kms:{alias.region}:{alias.account_id}:{alias.name}",
        target_key_id=alias.target_key_id,
        creation_date=alias.creation_date,
        last_updated_date=alias.last_updated_date,
    )


def _predefined(kms: Kms) -> list[AliasListEntry]:
    """Return the service's own aliases whose keys have not been made yet."""
    return [
        AliasListEntry(alias_name=name, alias_arn=kms.alias_arn(name))
        for name in MANAGED_KEYS
        if kms.store.alias(kms.region, name) is None
    ]


def _require_room(kms: Kms, key_id: str) -> None:
    held = sum(alias.target_key_id == key_id for alias in kms.store.aliases(kms.region))
    room = kms.quotas.aliases_per_key
    if held >= room:
        raise LimitExceededException(
            f"{kms.key_arn(key_id)} has {room} aliases already. Delete one that is not used."
        )


HANDLERS: Final = (
    handler.Handler(api.CREATE_ALIAS, create_alias_targets, create_alias, check_alias_name, mutates=True),
    handler.Handler(api.UPDATE_ALIAS, update_alias_targets, update_alias, check_alias_name, mutates=True),
    handler.Handler(api.DELETE_ALIAS, delete_alias_targets, delete_alias, check_alias_name, mutates=True),
    handler.Handler(api.LIST_ALIASES, handler.account(api.LIST_ALIASES), list_aliases, check_list_aliases),
)
