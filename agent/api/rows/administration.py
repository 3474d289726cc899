"""Owns the table of the agent's own operations, which no AWS service has: `KmsAgent.<Name>` on the wire.

They administer what AWS keeps in IAM: access keys, identity policies, principals; and tell the audit log what
only those who keep data under a key can see.
"""

from collections.abc import Mapping
from typing import Any, Final

from agent.api.rows.access_keys import (
    CREATE_ACCESS_KEY,
    CREATE_SESSION,
    DELETE_ACCESS_KEY,
    LIST_ACCESS_KEYS,
    UPDATE_ACCESS_KEY,
)
from agent.api.rows.identity import (
    DELETE_IDENTITY_POLICY,
    DELETE_PERMISSIONS_BOUNDARY,
    EXPLAIN_ACCESS,
    GET_IDENTITY_POLICY,
    LIST_IDENTITY_POLICIES,
    PUT_IDENTITY_POLICY,
    PUT_PERMISSIONS_BOUNDARY,
    TAG_PRINCIPAL,
    UNTAG_PRINCIPAL,
)
from agent.api.rows.integrity import REPORT_INTEGRITY_FAILURE
from agent.api.rows.operation import Operation

_ALL: Final[tuple[Operation[Any, Any], ...]] = (
    CREATE_ACCESS_KEY,
    LIST_ACCESS_KEYS,
    UPDATE_ACCESS_KEY,
    DELETE_ACCESS_KEY,
    CREATE_SESSION,
    PUT_IDENTITY_POLICY,
    GET_IDENTITY_POLICY,
    DELETE_IDENTITY_POLICY,
    LIST_IDENTITY_POLICIES,
    PUT_PERMISSIONS_BOUNDARY,
    DELETE_PERMISSIONS_BOUNDARY,
    TAG_PRINCIPAL,
    UNTAG_PRINCIPAL,
    EXPLAIN_ACCESS,
    REPORT_INTEGRITY_FAILURE,
)

ADMINISTRATION: Final[Mapping[str, Operation[Any, Any]]] = {operation.name: operation for operation in _ALL}
"""The agent's own operations, by name."""
