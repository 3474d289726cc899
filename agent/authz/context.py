"""Owns the condition keys of a request: one row says where each comes from.

A parameter that the request leaves out counts with its default, or with the value that is in force. A
condition key without a row, or whose source is absent, is missing from the request. Source: KMS Developer
Guide, "AWS KMS condition keys"; IAM User Guide, "AWS global condition context keys".
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

from agent.api.enums import EncryptionAlgorithmSpec, ExpirationModel, KeySpec, KeyUsage, MessageType, Origin
from agent.api.shapes.keys import CreateKeyRequest
from agent.authz.facts import Facts
from agent.keys.rotation import DEFAULT_PERIOD_DAYS

Values: TypeAlias = tuple[str, ...]
Source: TypeAlias = Callable[[Facts], Values | None]

_DEFAULT_PENDING_WINDOW_DAYS: Final = 30
_DEFAULT_POLICY_NAME: Final = "default"
_TAGS: Final = "aws:principaltag/"
_RESOURCE_TAGS: Final = "aws:resourcetag/"
_REQUEST_TAGS: Final = "aws:requesttag/"
_ENCRYPTION_CONTEXT: Final = "kms:encryptioncontext:"


class RequestContext(NamedTuple):
    """The condition keys of a request, each looked up when a policy asks for it."""

    facts: Facts

    def get(self, key: str, /) -> Values | None:
        """Return the values of a condition key, named in lower case; None if the request has no such key."""
        source = _SOURCES.get(key)
        if source is not None:
            return source(self.facts)
        for prefix, pairs in _FAMILIES.items():
            if key.startswith(prefix):
                return _named(pairs(self.facts), key.removeprefix(prefix))
        return None


def encryption_context(facts: Facts) -> Mapping[str, str] | None:
    """Return the encryption context that an action is about; None if it takes none."""
    request: Any = facts.request
    if facts.action == "kms:ReEncryptFrom":
        return request.source_encryption_context or {}
    if facts.action == "kms:ReEncryptTo":
        return request.destination_encryption_context or {}
    if facts.action == "kms:CreateGrant":
        constraints = request.constraints
        if constraints is None:
            return {}
        return constraints.encryption_context_equals or constraints.encryption_context_subset or {}
    if not hasattr(request, "encryption_context"):
        return None
    return request.encryption_context or {}


def _named(pairs: Iterable[tuple[str, str]], name: str) -> Values | None:
    """Return the value of a name whose case does not count; several if names differ by case only."""
    return tuple(value for each, value in pairs if each.lower() == name) or None


def _text(value: object) -> Values | None:
    """Return one value as policies write it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (str(value),)


def _parameter(name: str, default: object = None, *, of: str = "") -> Source:
    """Return the source that is a parameter of the request, for requests that have it."""

    def source(facts: Facts) -> Values | None:
        if not hasattr(facts.request, name) or (of and facts.action not in of.split()):
            return None
        value = getattr(facts.request, name)
        return _text(default if value is None else value)

    return source


def _list(name: str) -> Source:
    """Return the source that is a list in the request."""
    return lambda facts: tuple(str(item) for item in getattr(facts.request, name, None) or ()) or None


def _of_key(name: str, parameters: tuple[str, ...], default: object) -> Source:
    """Return the source that is a property of the key: the one used, or the one that is to be made."""

    def source(facts: Facts) -> Values | None:
        key = facts.key or facts.model
        if key is not None:
            return _text(getattr(key, name))
        if not isinstance(facts.request, CreateKeyRequest):
            return None
        given = (getattr(facts.request, parameter) for parameter in parameters)
        return _text(next((value for value in given if value is not None), default))

    return source


def _multi_region_key_type(facts: Facts) -> Values | None:
    key = facts.key
    if key is not None:
        return ("REPLICA" if key.replica else "PRIMARY",) if key.multi_region else None
    if facts.model is not None:
        return ("REPLICA",)
    return ("PRIMARY",) if getattr(facts.request, "multi_region", False) else None


def _encryption_algorithm(facts: Facts) -> Values | None:
    names = {
        "kms:Encrypt": "encryption_algorithm",
        "kms:Decrypt": "encryption_algorithm",
        "kms:ReEncryptFrom": "source_encryption_algorithm",
        "kms:ReEncryptTo": "destination_encryption_algorithm",
    }
    name = names.get(facts.action)
    if name is None:
        return (
            _text(EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT)
            if facts.action.startswith("kms:GenerateDataKey")
            else None
        )
    return _text(getattr(facts.request, name, None) or EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT)


def _resource_aliases(facts: Facts) -> Values | None:
    if facts.key is None:
        return None
    aliases = facts.kms.store.aliases(facts.key.region)
    return tuple(alias.name for alias in aliases if alias.target_key_id == facts.key.key_id) or None


def _rotation_period(facts: Facts) -> Values | None:
    if not hasattr(facts.request, "rotation_period_in_days") or facts.key is None:
        return None
    given = getattr(facts.request, "rotation_period_in_days", None)
    return _text(given or facts.key.rotation_period_days or DEFAULT_PERIOD_DAYS)


def _grant_constraint_types(facts: Facts) -> Values | None:
    constraints = getattr(facts.request, "constraints", None)
    kinds = {
        "EncryptionContextEquals": "encryption_context_equals",
        "EncryptionContextSubset": "encryption_context_subset",
    }
    return tuple(kind for kind, name in kinds.items() if getattr(constraints, name, None)) or None


def _is_for_service(facts: Facts) -> Values | None:
    if facts.action not in {"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"}:
        return None
    return _text(facts.principal.via_service is not None)


def _measurement(index: int) -> Source:
    """Return the source that is a register of the enclave that the answer goes to."""

    def source(facts: Facts) -> Values | None:
        attestation = facts.principal.attestation
        pcr = None if attestation is None else attestation.pcrs.get(index)
        return None if pcr is None else (pcr.hex(),)

    return source


def _tag_keys(facts: Facts) -> Values | None:
    names = getattr(facts.request, "tag_keys", None) or (name for name, _ in _request_tags(facts))
    return tuple(names) or None


def _request_tags(facts: Facts) -> Iterable[tuple[str, str]]:
    return ((tag.tag_key, tag.tag_value) for tag in getattr(facts.request, "tags", None) or ())


def _user_name(facts: Facts) -> Values | None:
    principal = facts.principal
    return (principal.arn.rpartition("/")[2],) if principal.kind == "User" else None


def _source_account(facts: Facts) -> Values | None:
    source_arn = facts.principal.source_arn
    return None if source_arn is None else (source_arn.split(":", 5)[4],)


def _now(facts: Facts) -> Values | None:
    return (datetime.fromtimestamp(facts.kms.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)


_KEY_SPEC: Final = _of_key("key_spec", ("key_spec", "customer_master_key_spec"), KeySpec.SYMMETRIC_DEFAULT)
_KEY_USAGE: Final = _of_key("key_usage", ("key_usage",), KeyUsage.ENCRYPT_DECRYPT)

_SOURCES: Final[Mapping[str, Source]] = {
    name.lower(): source
    for name, source in {
        "aws:CalledVia": lambda facts: _text(facts.principal.via_service),
        "aws:CalledViaFirst": lambda facts: _text(facts.principal.via_service),
        "aws:CalledViaLast": lambda facts: _text(facts.principal.via_service),
        "aws:CurrentTime": _now,
        "aws:EpochTime": lambda facts: _text(int(facts.kms.now())),
        "aws:PrincipalAccount": lambda facts: _text(facts.principal.account_id),
        "aws:PrincipalArn": lambda facts: _text(facts.principal.role_arn or facts.principal.arn),
        "aws:PrincipalIsAWSService": lambda _facts: ("false",),
        "aws:PrincipalType": lambda facts: _text(facts.principal.kind),
        "aws:RequestedRegion": lambda facts: _text(facts.kms.region),
        "aws:ResourceAccount": lambda facts: _text(facts.kms.account_id),
        "aws:SecureTransport": lambda facts: _text(facts.principal.secure_transport),
        "aws:SourceAccount": _source_account,
        "aws:SourceArn": lambda facts: _text(facts.principal.source_arn),
        "aws:SourceIp": lambda facts: _text(facts.principal.source_ip),
        "aws:TagKeys": _tag_keys,
        "aws:userid": lambda facts: _text(facts.principal.principal_id),
        "aws:username": _user_name,
        "aws:ViaAWSService": lambda facts: _text(facts.principal.via_service is not None),
        "kms:BypassPolicyLockoutSafetyCheck": _parameter(
            "bypass_policy_lockout_safety_check", default=False, of="kms:CreateKey kms:PutKeyPolicy"
        ),
        "kms:CallerAccount": lambda facts: _text(facts.principal.account_id),
        "kms:CustomerMasterKeySpec": _KEY_SPEC,
        "kms:CustomerMasterKeyUsage": _KEY_USAGE,
        "kms:DataKeyPairSpec": _parameter("key_pair_spec"),
        "kms:EncryptionAlgorithm": _encryption_algorithm,
        "kms:EncryptionContextKeys": lambda facts: tuple(encryption_context(facts) or ()) or None,
        "kms:ExpirationModel": _parameter("expiration_model", ExpirationModel.KEY_MATERIAL_EXPIRES),
        "kms:GrantConstraintType": _grant_constraint_types,
        "kms:GrantIsForAWSResource": _is_for_service,
        "kms:GrantOperations": _list("operations"),
        "kms:GranteePrincipal": _parameter("grantee_principal", of="kms:CreateGrant"),
        "kms:KeyAgreementAlgorithm": _parameter("key_agreement_algorithm"),
        "kms:KeyOrigin": _of_key("origin", ("origin",), Origin.AWS_KMS),
        "kms:KeySpec": _KEY_SPEC,
        "kms:KeyUsage": _KEY_USAGE,
        "kms:MacAlgorithm": _parameter("mac_algorithm"),
        "kms:MessageType": _parameter("message_type", MessageType.RAW),
        "kms:MultiRegion": _of_key("multi_region", ("multi_region",), default=False),
        "kms:MultiRegionKeyType": _multi_region_key_type,
        "kms:PolicyName": _parameter("policy_name", _DEFAULT_POLICY_NAME),
        "kms:PrimaryRegion": _parameter("primary_region"),
        "kms:ReEncryptOnSameKey": lambda facts: (
            _text(facts.both_keys_alike) if facts.action.startswith("kms:ReEncrypt") else None
        ),
        "kms:RecipientAttestation:ImageSha384": _measurement(0),
        **{f"kms:RecipientAttestation:PCR{index}": _measurement(index) for index in range(32)},
        "kms:ReplicaRegion": _parameter("replica_region"),
        "kms:RequestAlias": lambda facts: _text(facts.request_alias),
        "kms:ResourceAliases": _resource_aliases,
        "kms:RetiringPrincipal": _parameter("retiring_principal", of="kms:CreateGrant"),
        "kms:RotationPeriodInDays": _rotation_period,
        "kms:ScheduleKeyDeletionPendingWindowInDays": _parameter(
            "pending_window_in_days", _DEFAULT_PENDING_WINDOW_DAYS
        ),
        "kms:SigningAlgorithm": _parameter("signing_algorithm"),
        "kms:ValidTo": _parameter("valid_to"),
        "kms:ViaService": lambda facts: _text(facts.principal.via_service),
        "kms:WrappingAlgorithm": _parameter("wrapping_algorithm"),
        "kms:WrappingKeySpec": _parameter("wrapping_key_spec"),
    }.items()
}
_FAMILIES: Final[Mapping[str, Callable[[Facts], Iterable[tuple[str, str]]]]] = {
    _TAGS: lambda facts: facts.principal.tags.items(),
    _RESOURCE_TAGS: lambda facts: () if facts.key is None else facts.key.tags,
    _REQUEST_TAGS: _request_tags,
    _ENCRYPTION_CONTEXT: lambda facts: (encryption_context(facts) or {}).items(),
}
