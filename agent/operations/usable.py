"""Owns whether a key may serve a cryptographic operation: usage, then state, then algorithm, as AWS checks.

DryRun comes after everything else, the cryptography included: a dry run of what would fail fails in the same
way.
"""

from agent.api.enums import KeySpec, KeyUsage
from agent.api.errors import DryRunOperationException, InvalidKeyUsageException
from agent.crypto import specs
from agent.crypto.specs import Algorithm
from agent.keys.key import Key
from agent.keys.states import require_state


def require_usable(key: Key, operation_name: str, usage: KeyUsage, algorithm: Algorithm | None) -> None:
    """Refuse a key that cannot serve.

    Args:
        key: the key.
        operation_name: what it is to serve for.
        usage: the usage that this takes.
        algorithm: what it is to serve with; None where the request names none.

    Raises:
        InvalidKeyUsageException: made for another usage, or not for this algorithm.
        DisabledException: its state does not allow the operation.
        KMSInvalidStateException: its state does not allow the operation.
    """
    if key.key_usage is not usage:
        raise InvalidKeyUsageException(
            f"{key.arn} key usage is {key.key_usage} which is not valid for {operation_name}."
        )
    require_state(key, operation_name)
    if algorithm is not None and algorithm not in specs.algorithms(key.key_spec, usage):
        raise InvalidKeyUsageException(f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}.")


def require_symmetric(key: Key, operation_name: str) -> None:
    """Refuse a key that data keys cannot be encrypted under.

    Raises:
        InvalidKeyUsageException: made for another usage, or a key pair.
        DisabledException: its state does not allow the operation.
        KMSInvalidStateException: its state does not allow the operation.
    """
    require_usable(key, operation_name, KeyUsage.ENCRYPT_DECRYPT, None)
    if key.key_spec is not KeySpec.SYMMETRIC_DEFAULT:
        raise InvalidKeyUsageException("You cannot generate a data key with an asymmetric CMK")


def end_dry_run(dry_run: bool | None) -> None:  # noqa: FBT001 -- the member as it was sent
    """End a dry run that has come this far."""
    if dry_run:
        raise dry_run_succeeded()


def dry_run_succeeded() -> DryRunOperationException:
    """Return what a dry run of what would succeed is told."""
    return DryRunOperationException("The request would have succeeded, but the DryRun option is set.")
