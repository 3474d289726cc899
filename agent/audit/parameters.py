"""Owns which request parameters may be recorded: an allow-list, so a new field is left out until named here.

Left out on purpose: plaintexts, ciphertexts, messages, signatures and MACs, attestation documents, key
material, import and grant tokens, passwords and credentials of key stores.
"""

from typing import Final

_NAMES: Final = """
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


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


RECORDED: Final = {name: _camel(name) for name in _NAMES.split()}


def request_parameters(request: object) -> dict[str, object] | None:
    """Return the parameters of a request shape as CloudTrail spells them; None if it has none to show.

    Blobs are left out whatever their name.
    """
    shown = {}
    for name in getattr(request, "__struct_fields__", ()):
        recorded = RECORDED.get(name)
        if recorded is not None:
            value = getattr(request, name)
            if value is not None and not isinstance(value, bytes | bytearray | memoryview):
                shown[recorded] = value
    return shown or None
