"""Owns the table of handlers: the checks, the targets and the deed of every operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.api import operations as api
from agent.api.shapes.base import Shape
from agent.operations import aliases, creation, cryptographic, keys, policies, rotation
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.targets import AccountTarget, KeyTarget, Target

Targets = Callable[[Any], tuple[Target, ...]]


def _no_further_checks(_request: Shape) -> None:
    """Leave a request to its model."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How one operation is carried out, in the order of the fields.

    Attributes:
        check: refuses what the model allows and the operation does not; looks at the request only.
        targets: what the request touches and by which action; looks at the request only.
        run: does it, once every target is found and permitted.
        mutates: whether it changes keys, and so must run in a worker thread.
        created: the ARN of the key that the response tells to have been made.
    """

    operation: api.Operation[Any, Any]
    targets: Targets
    run: Callable[[Kms, Caller, Keys, Any], Shape]
    check: Callable[[Any], None] = _no_further_checks
    mutates: bool = False
    created: Callable[[Any], str] | None = None


def _account(operation: api.Operation[Any, Any]) -> Targets:
    targets = (AccountTarget(operation.action),)
    return lambda _request: targets


def _key(operation: api.Operation[Any, Any]) -> Targets:
    return lambda request: (KeyTarget(operation.action, request.key_id),)


def _key_or_alias(operation: api.Operation[Any, Any]) -> Targets:
    return lambda request: (KeyTarget(operation.action, request.key_id, takes_alias=True),)


_ALL: Final = (
    Handler(
        api.CREATE_KEY,
        _account(api.CREATE_KEY),
        creation.create_key,
        creation.check_create_key,
        mutates=True,
        created=lambda response: str(response.key_metadata.arn),
    ),
    Handler(api.DESCRIBE_KEY, _key_or_alias(api.DESCRIBE_KEY), keys.describe_key),
    Handler(api.LIST_KEYS, _account(api.LIST_KEYS), keys.list_keys),
    Handler(api.ENABLE_KEY, _key(api.ENABLE_KEY), keys.enable_key, mutates=True),
    Handler(api.DISABLE_KEY, _key(api.DISABLE_KEY), keys.disable_key, mutates=True),
    Handler(
        api.UPDATE_KEY_DESCRIPTION,
        _key(api.UPDATE_KEY_DESCRIPTION),
        keys.update_key_description,
        mutates=True,
    ),
    Handler(
        api.SCHEDULE_KEY_DELETION,
        _key(api.SCHEDULE_KEY_DELETION),
        keys.schedule_key_deletion,
        keys.check_schedule_key_deletion,
        mutates=True,
    ),
    Handler(api.CANCEL_KEY_DELETION, _key(api.CANCEL_KEY_DELETION), keys.cancel_key_deletion, mutates=True),
    Handler(
        api.GENERATE_DATA_KEY,
        _key_or_alias(api.GENERATE_DATA_KEY),
        cryptographic.generate_data_key,
        cryptographic.check_data_key,
    ),
    Handler(
        api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
        _key_or_alias(api.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT),
        cryptographic.generate_data_key_without_plaintext,
        cryptographic.check_data_key,
    ),
    Handler(api.ENCRYPT, _key_or_alias(api.ENCRYPT), cryptographic.encrypt),
    Handler(api.DECRYPT, cryptographic.decrypt_targets, cryptographic.decrypt, cryptographic.check_decrypt),
    Handler(
        api.RE_ENCRYPT,
        cryptographic.re_encrypt_targets,
        cryptographic.re_encrypt,
        cryptographic.check_re_encrypt,
    ),
    Handler(
        api.GENERATE_RANDOM,
        _account(api.GENERATE_RANDOM),
        cryptographic.generate_random,
        cryptographic.check_generate_random,
    ),
    Handler(
        api.CREATE_ALIAS,
        aliases.create_alias_targets,
        aliases.create_alias,
        aliases.check_alias_name,
        mutates=True,
    ),
    Handler(
        api.UPDATE_ALIAS,
        aliases.update_alias_targets,
        aliases.update_alias,
        aliases.check_alias_name,
        mutates=True,
    ),
    Handler(
        api.DELETE_ALIAS,
        aliases.delete_alias_targets,
        aliases.delete_alias,
        aliases.check_alias_name,
        mutates=True,
    ),
    Handler(api.LIST_ALIASES, _account(api.LIST_ALIASES), aliases.list_aliases, aliases.check_list_aliases),
    Handler(api.GET_KEY_POLICY, _key(api.GET_KEY_POLICY), policies.get_key_policy),
    Handler(
        api.PUT_KEY_POLICY,
        _key(api.PUT_KEY_POLICY),
        policies.put_key_policy,
        policies.check_put_key_policy,
        mutates=True,
    ),
    Handler(
        api.ENABLE_KEY_ROTATION,
        _key(api.ENABLE_KEY_ROTATION),
        rotation.enable_key_rotation,
        mutates=True,
    ),
    Handler(
        api.DISABLE_KEY_ROTATION,
        _key(api.DISABLE_KEY_ROTATION),
        rotation.disable_key_rotation,
        mutates=True,
    ),
    Handler(api.GET_KEY_ROTATION_STATUS, _key(api.GET_KEY_ROTATION_STATUS), rotation.get_key_rotation_status),
    Handler(
        api.ROTATE_KEY_ON_DEMAND,
        _key(api.ROTATE_KEY_ON_DEMAND),
        rotation.rotate_key_on_demand,
        mutates=True,
    ),
    Handler(api.LIST_KEY_ROTATIONS, _key(api.LIST_KEY_ROTATIONS), rotation.list_key_rotations),
)

HANDLERS: Final[Mapping[str, Handler]] = {handler.operation.name: handler for handler in _ALL}
"""Every operation of this version, by name."""
