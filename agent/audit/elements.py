"""Owns what a record tells of a request and of its answer: allow-lists, so a new member is left out at first.

Left out on purpose: plaintexts, ciphertexts, messages, signatures and MACs, attestation documents, key
material, import and grant tokens, passwords and credentials of key stores, access key secrets.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final

import msgspec

from agent.crypto.attestation import Attestation

_REQUEST_NAMES: Final = """
alias_name bypass_policy_lockout_safety_check cloud_hsm_cluster_id constraints custom_key_store_id
custom_key_store_name custom_key_store_type customer_master_key_spec description
destination_encryption_algorithm destination_encryption_context destination_key_id dry_run dry_run_modifiers
encapsulation_algorithm encryption_algorithm encryption_context expiration_model grant_id grantee_principal
grantee_service_principal import_type include_key_material key_agreement_algorithm key_id
key_material_description key_material_id key_pair_spec key_spec key_usage limit mac_algorithm marker
message_type multi_region name new_custom_key_store_name number_of_bytes operations origin
pending_window_in_days policy policy_name primary_region replica_region resource_owners retiring_principal
retiring_service_principal rotation_period_in_days signing_algorithm source_encryption_algorithm
source_encryption_context source_key_id tag_keys tags target_key_id valid_to wrapping_algorithm
wrapping_key_spec xks_key_id xks_proxy_connectivity xks_proxy_uri_endpoint xks_proxy_uri_path
xks_proxy_vpc_endpoint_service_name xks_proxy_vpc_endpoint_service_owner
"""
_OWN_REQUEST_NAMES: Final = """
access_key_id action duration_seconds permissions_boundary policy_document principal_arn role_session_name
status
"""
_KEY_ID: Final = "keyId"
_ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "CreateAccessKey": ("access_key_id", "principal_arn", "status"),
    "CreateGrant": (_KEY_ID, "grant_id"),
    "CreateKey": ("key_metadata",),
    "CreateSession": ("access_key_id", "principal_arn", "expiration"),
    "DeleteImportedKeyMaterial": (_KEY_ID, "key_material_id"),
    "ImportKeyMaterial": (_KEY_ID, "key_material_id"),
    "ReplicateKey": ("replica_key_metadata", "replica_policy"),
    "ScheduleKeyDeletion": (_KEY_ID, "key_state", "deletion_date", "pending_window_in_days"),
}
"""What is told of an answer, by operation; of others that change something, only the key."""

_MATERIALS: Final = (
    ("key_material_id", "keyMaterialId"),
    ("source_key_material_id", "sourceKeyMaterialId"),
    ("destination_key_material_id", "destinationKeyMaterialId"),
)
_RECORDED_PCRS: Final = (1, 2, 3, 4, 8)
_DATES: Final = frozenset({"creation_date", "deletion_date", "expiration", "valid_to"})


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


RECORDED: Final = {name: _camel(name) for name in _REQUEST_NAMES.split()}
"""Which members of AWS's requests are recorded, and as what."""

OWN_RECORDED: Final = {name: _camel(name) for name in _OWN_REQUEST_NAMES.split()}
"""Which members of the agent's own requests are recorded, and as what."""

_ALL_RECORDED: Final = RECORDED | OWN_RECORDED


def request_parameters(request: object) -> dict[str, object] | None:
    """Return the parameters of a request shape as CloudTrail spells them; None if it has none to show.

    Blobs are left out whatever their name.
    """
    shown = {}
    for name, recorded in _recorded_members(type(request)):  # type: ignore[arg-type] # classes can be hashed
        value = getattr(request, name)
        if value is not None and not isinstance(value, bytes | bytearray | memoryview):
            shown[recorded] = value if isinstance(value, str | int | dict) else _plain(value)
    return shown or None


@cache
def _recorded_members(shape: type) -> tuple[tuple[str, str], ...]:
    """Return which members of a shape are recorded, and as what; there are as many shapes as operations."""
    names = getattr(shape, "__struct_fields__", ())
    return tuple((name, _ALL_RECORDED[name]) for name in names if name in _ALL_RECORDED)


def response_elements(event_name: str, response: object, key_arn: str | None) -> dict[str, object] | None:
    """Return what is recorded of the answer to a request that changed something; None if nothing is.

    Args:
        event_name: the operation.
        response: the answer's shape.
        key_arn: the key concerned; CloudTrail has it even where the answer has not.
    """
    shown: dict[str, object] = {}
    for name in _ANSWERS.get(event_name, (_KEY_ID,)):
        value = key_arn if name == _KEY_ID else getattr(response, name, None)
        if value is not None:
            shown[_camel(name)] = _date(value) if name in _DATES else _plain(value)
    return shown or None


def materials(response: object) -> dict[str, object] | None:
    """Return which key material served, as CloudTrail's `additionalEventData` has it; None if none did."""
    shown: dict[str, object] = {}
    for name, recorded in _MATERIALS:
        value = getattr(response, name, None)
        if value:
            shown[recorded] = value
    return shown or None


def recipient(attestation: Attestation) -> dict[str, object]:
    """Return what CloudTrail's `additionalEventData` tells of an attested enclave."""
    shown: dict[str, object] = {"attestationDocumentModuleId": attestation.module_id}
    if attestation.image_sha384 is not None:
        shown["attestationDocumentEnclaveImageDigest"] = attestation.image_sha384
    for index in _RECORDED_PCRS:
        if index in attestation.pcrs:
            shown[f"attestationDocumentEnclavePCR{index}"] = attestation.pcrs[index].hex()
    return shown


def _plain(value: object) -> object:
    """Return a value with the members of shapes in CloudTrail's spelling; absent ones are left out."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        shown = ((name, wire, getattr(value, name)) for name, wire in names)
        return {
            _lower_first(wire): _date(member) if name in _DATES else _plain(member)
            for name, wire, member in shown
            if member is not None
        }
    if isinstance(value, tuple | list):
        return [_plain(member) for member in value]
    return value


def _lower_first(name: str) -> str:
    return name if name.startswith("AWS") else name[0].lower() + name[1:]


def _date(value: object) -> object:
    """Return a date in answers as CloudTrail writes it: `Aug 10, 2022, 10:38:27 PM`."""
    if not isinstance(value, int | float):
        return value
    return datetime.fromtimestamp(int(value), UTC).strftime("%b %-d, %Y, %-I:%M:%S %p")
