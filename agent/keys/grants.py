"""Owns the rules of grants: what one may hold, whom it can name, and which may be derived from which.

Source: AWS KMS Developer Guide, "Grants in AWS KMS"; API Reference, "CreateGrant" and "GrantConstraints". One
rule is stricter than AWS's: keys of an encryption context in a constraint are compared with regard to case,
like the context itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from agent.api.enums import GrantOperation, KeySpec, KeyUsage
from agent.api.errors import InvalidArnException, ValidationException
from agent.crypto.specs import WITHOUT_PUBLIC_KEY
from agent.keys.grant import Context, Grant
from agent.keys.key import Key
from agent.policy.errors import PolicyError
from agent.policy.principals import ANYONE, Caller, Principals, Reach, reach, read_aws, read_service

MAX_CONTEXT_PAIRS: Final = 8
MAX_CONTEXT_VALUE_LENGTH: Final = 384

_EVERY_KEY: Final = (GrantOperation.CREATE_GRANT, GrantOperation.RETIRE_GRANT, GrantOperation.DESCRIBE_KEY)
_DATA_KEYS: Final = (
    GrantOperation.GENERATE_DATA_KEY,
    GrantOperation.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
    GrantOperation.GENERATE_DATA_KEY_PAIR,
    GrantOperation.GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
)
_BY_USAGE: Final[Mapping[KeyUsage, tuple[GrantOperation, ...]]] = {
    KeyUsage.ENCRYPT_DECRYPT: (
        GrantOperation.ENCRYPT,
        GrantOperation.DECRYPT,
        GrantOperation.RE_ENCRYPT_FROM,
        GrantOperation.RE_ENCRYPT_TO,
    ),
    KeyUsage.SIGN_VERIFY: (GrantOperation.SIGN, GrantOperation.VERIFY),
    KeyUsage.GENERATE_VERIFY_MAC: (GrantOperation.GENERATE_MAC, GrantOperation.VERIFY_MAC),
    KeyUsage.KEY_AGREEMENT: (GrantOperation.DERIVE_SHARED_SECRET,),
    KeyUsage.ENCAPSULATE_DECAPSULATE: (GrantOperation.ENCAPSULATE, GrantOperation.DECAPSULATE),
}


class Terms(Protocol):
    """What a grant permits, apart from whom."""

    @property
    def operations(self) -> Iterable[GrantOperation]:
        """The operations."""

    @property
    def context_equals(self) -> Context | None:
        """What the encryption context must be, if that matters."""

    @property
    def context_subset(self) -> Context | None:
        """What the encryption context must contain, if that matters."""

    @property
    def source_arn(self) -> str | None:
        """On whose behalf a request must be made, if that matters."""


@dataclass(frozen=True, slots=True)
class ProposedGrant:
    """The terms of a grant that is asked for and does not exist yet."""

    operations: tuple[GrantOperation, ...]
    context_equals: Context | None = None
    context_subset: Context | None = None
    source_arn: str | None = None


class Grantee(Caller, Protocol):
    """Who makes a request, with what only grants ask for."""

    @property
    def uid(self) -> int | None:
        """The user id on this machine, where the kernel told it."""

    @property
    def via_service(self) -> str | None:
        """The service that asks on somebody's behalf, if one does."""


def valid_operations(key_spec: KeySpec, key_usage: KeyUsage) -> tuple[GrantOperation, ...]:
    """Return what a grant on such a key can permit, in the order in which AWS lists it."""
    public = () if key_spec in WITHOUT_PUBLIC_KEY else (GrantOperation.GET_PUBLIC_KEY,)
    data_keys = _DATA_KEYS if key_spec is KeySpec.SYMMETRIC_DEFAULT else ()
    return (*_EVERY_KEY, *public, *_BY_USAGE[key_usage], *data_keys)


def require_fitting(key: Key, terms: Terms) -> None:
    """Refuse terms that no use of the key could ever meet.

    Raises:
        ValidationException: an operation that does not go with the key, or a constraint on an encryption
            context where there is none.
    """
    if key.key_spec is not KeySpec.SYMMETRIC_DEFAULT and (
        terms.context_equals is not None or terms.context_subset is not None
    ):
        raise ValidationException(
            "EncryptionContext is supported only when creating a grant for a symmetric encryption KMS key."
        )
    valid = valid_operations(key.key_spec, key.key_usage)
    wrong = [operation for operation in terms.operations if operation not in valid]
    if wrong:
        kind = "a symmetric" if key.key_spec in WITHOUT_PUBLIC_KEY else "an asymmetric"
        raise ValidationException(
            f"Operations [{', '.join(wrong)}] are not supported when creating a grant for {kind} KMS key "
            f"with key usage {key.key_usage}. Valid operations are [{', '.join(valid)}]"
        )


def read_principal(text: str) -> str:
    """Return whom a grant names: an account by the ARN of its root, others and services as they are.

    Raises:
        InvalidArnException: nobody can be called that.
    """
    for read in () if text == ANYONE else (read_aws, read_service):
        try:
            return read(text)
        except PolicyError:
            continue
    raise InvalidArnException(f"ARN does not refer to a valid principal: {text}")


def is_within(proposed: Terms, parent: Terms) -> bool:
    """Tell whether a grant permits nothing that another does not, so that it may be derived from it."""
    if not set(proposed.operations) <= set(parent.operations):
        return False
    if parent.source_arn is not None and proposed.source_arn != parent.source_arn:
        return False
    if parent.context_equals is not None and proposed.context_equals != parent.context_equals:
        return False
    if parent.context_subset is None:
        return True
    demanded = proposed.context_subset if proposed.context_equals is None else proposed.context_equals
    return demanded is not None and set(parent.context_subset) <= set(demanded)


def reach_of_retiring(grant: Grant, caller: Grantee) -> Reach:
    """Tell how closely a grant lets somebody retire it.

    The retiring principal may, the grantee if the grant says so, and the account that made it. Policies may
    not let anybody else; but what only the account may do needs a policy of the caller's, too.
    """
    named = [grant.retiring_principal, grant.retiring_service_principal]
    if GrantOperation.RETIRE_GRANT in grant.operations and is_same_holder(grant, caller):
        named += [grant.grantee_principal, grant.grantee_service_principal]
    closest = Reach.ACCOUNT if caller.account_id == grant.issuing_account else Reach.NOBODY
    return max((closest, *(_reach(name, caller) for name in named if name is not None)))


def is_same_holder(grant: Grant, caller: Grantee) -> bool:
    """Tell whether a caller of the grantee's name is not known to be somebody else of that name."""
    return not grant.grantee_id or caller.uid is None or grant.grantee_id == unique_id(caller.uid)


def unique_id(uid: int) -> str:
    """Return what tells users of this machine apart who had the same name one after the other."""
    return f"uid-{uid}"


def _reach(name: str, caller: Grantee) -> Reach:
    if name == caller.via_service:
        return Reach.CALLER
    return reach(Principals(aws=(name,)), caller) or Reach.NOBODY
