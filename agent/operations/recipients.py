"""Owns answers to attested recipients: who gets one must prove it first, and nobody else can read it.

The document is verified before permission is asked for, since policies ask what it says.
"""

from dataclasses import dataclass, field, replace

from agent.api.errors import UnsupportedOperationException, ValidationException
from agent.api.shapes.base import Shape
from agent.api.shapes.cryptographic import RecipientInfo
from agent.crypto import attestation, enveloped
from agent.operations.kms import Caller, Kms


@dataclass(frozen=True, slots=True)
class Addressed:
    """An answer, in one of two forms; the other is None."""

    plaintext: bytes | None = field(default=None, repr=False)
    ciphertext_for_recipient: bytes | None = None


def check(recipient: RecipientInfo | None) -> None:
    """Refuse half a recipient.

    Raises:
        ValidationException: without its document or its algorithm, of which there is but one.
    """
    if recipient is None:
        return
    if recipient.attestation_document is None or recipient.key_encryption_algorithm is None:
        raise ValidationException(
            "Recipient must contain an AttestationDocument and the KeyEncryptionAlgorithm RSAES_OAEP_SHA_256."
        )


def has_document(request: Shape) -> bool:
    """Tell whether a request has an attestation document, which takes milliseconds to verify."""
    recipient: RecipientInfo | None = getattr(request, "recipient", None)
    return recipient is not None and recipient.attestation_document is not None


def attested(kms: Kms, caller: Caller, request: Shape) -> Caller:
    """Return the caller with what the request's attestation document proves.

    Raises:
        UnsupportedOperationException: this agent was not told whose documents to believe.
        ValidationException: the document proves nothing.
    """
    document = getattr(request, "recipient").attestation_document  # noqa: B009 -- whatever `has_document`
    if kms.attestation_root is None:
        raise UnsupportedOperationException(
            "Recipient is not supported: this agent does not know whose attestation documents to believe. "
            "Set attestation_root in its configuration to the root certificate of AWS Nitro Enclaves, or "
            "leave Recipient out."
        )
    try:
        proven = attestation.verify(document, kms.attestation_root, kms.now())
    except attestation.AttestationError as error:
        raise ValidationException(f"The attestation document {error}.") from None
    return replace(caller, attestation=proven)


def address(caller: Caller, recipient: RecipientInfo | None, plaintext: bytes) -> Addressed:
    """Return an answer in plain, or if there is a recipient, encrypted to the enclave that was attested."""
    if recipient is None:
        return Addressed(plaintext=plaintext)
    if caller.attestation is None:
        raise AssertionError("a recipient must be attested before it is answered")
    return Addressed(ciphertext_for_recipient=enveloped.seal(caller.attestation.public_key, plaintext))
