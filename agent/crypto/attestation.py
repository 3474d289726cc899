"""Owns AWS Nitro Enclaves' attestation documents: their layout, and their verification against a root.

Source: "Verifying the root of trust", AWS Nitro Enclaves User Guide, and the attestation process of
aws-nitro-enclaves-nsm-api. A document is a COSE_Sign1 whose certificate leads to the root; it tells which
image an enclave runs (PCRs), and brings the public key that answers to the enclave are encrypted to. Only
enclaves' documents are known, not NitroTPM's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from agent.crypto import cose
from agent.crypto.keypairs import KeyPairError, load_public

MAX_PAYLOAD_BYTES: Final = 16_384
MAX_DOCUMENT_BYTES: Final = MAX_PAYLOAD_BYTES + 512  # the API takes more, which no enclave has to say
MAX_ROOT_BYTES: Final = 65_536

_MAX_CHAIN: Final = 8
_MAX_MODULE_ID: Final = 256
_MAX_CERTIFICATE: Final = 1024
_MAX_PUBLIC_KEY: Final = 1024
_MAX_TEXT: Final = 512
_PCRS: Final = 32
_PCR_SIZES: Final = frozenset({32, 48, 64})
_RSA_BITS: Final = range(2048, 8193)
_UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
"""How the library says that bytes are no certificate; not all of these are one another's kind."""


class AttestationError(Exception):
    """The document proves nothing; the message says why and fits after "The attestation document"."""


class RootError(Exception):
    """The bytes are not one certificate of an authority."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a verified document says of an enclave.

    Attributes:
        module_id: the enclave's name, chosen by the hypervisor.
        pcrs: the platform configuration registers by number, each 32, 48 or 64 bytes.
        public_key: what answers are encrypted to.
    """

    module_id: str
    pcrs: Mapping[int, bytes]
    public_key: RSAPublicKey

    @property
    def image_sha384(self) -> str | None:
        """PCR0, the measurement of the enclave's image, in hexadecimal; None if the document has none."""
        image = self.pcrs.get(0)
        return None if image is None else image.hex()


@dataclass(frozen=True, slots=True)
class Root:
    """The authority that documents must lead to."""

    certificate: x509.Certificate


def load_root(pem: bytes) -> Root:
    """Read the root certificate from PEM.

    Raises:
        RootError: it is not one certificate of an authority.
    """
    if len(pem) > MAX_ROOT_BYTES:
        raise RootError("is too long for a certificate")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        (certificate,) = certificates
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (*_UNREADABLE, x509.ExtensionNotFound):
        raise RootError("is not one certificate of an authority, in PEM") from None
    if not constraints.ca:
        raise RootError("is not the certificate of an authority")
    return Root(certificate)


def verify(document: bytes, root: Root, now: float) -> Attestation:
    """Return what a document says, once it is certain who says so.

    Args:
        document: COSE_Sign1, tagged or not.
        root: whom to believe.
        now: the time at which every certificate must be valid, in seconds since the epoch.

    Raises:
        AttestationError: it is no attestation document, has no RSA public key, or does not lead to the root.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise AttestationError("is too long")
    try:
        message = cose.parse(document)
        fields = _fields(message.payload)
        leaf = _chained(fields["certificate"], fields["cabundle"], root, now)
        cose.verify(message, leaf.public_key())
    except cose.CoseError as error:
        raise AttestationError(str(error)) from None
    except _UNREADABLE:
        raise AttestationError("has a certificate that cannot be read") from None
    return Attestation(
        fields["module_id"], MappingProxyType(fields["pcrs"]), _recipient_key(fields.get("public_key"))
    )


def _fields(payload: bytes) -> dict[str, Any]:
    """Return the document's fields, of which each has the type and the size that it must have."""
    fields = cose.decode(payload) if len(payload) <= MAX_PAYLOAD_BYTES else None
    if not isinstance(fields, dict):
        raise AttestationError("has no map of fields for its payload")
    # Optional fields that an enclave did not ask for are there, and null.
    present = {
        name: value for name, value in fields.items() if value is not None or name not in _OPTIONAL_FIELDS
    }
    if not present.keys() <= _FIELDS.keys() or not present.keys() >= _FIELDS.keys() - _OPTIONAL_FIELDS:
        raise AttestationError("lacks a field, or has one that is unknown")
    for name, value in present.items():
        if not _FIELDS[name](value):
            raise AttestationError(f"has a {name} that is not as it must be")
    return present


def _chained(leaf: bytes, bundle: list[bytes], root: Root, now: float) -> x509.Certificate:
    """Return the signer's certificate, once it leads to the root with every certificate valid now."""
    certificate = x509.load_der_x509_certificate(leaf)
    authorities = [x509.load_der_x509_certificate(each) for each in bundle]
    verifier = (
        PolicyBuilder()
        .store(Store([root.certificate]))
        .time(datetime.fromtimestamp(now, UTC))
        .max_chain_depth(_MAX_CHAIN)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_SIGNER)
        .build_client_verifier()
    )
    try:
        verifier.verify(certificate, authorities)
    except VerificationError:
        raise AttestationError(
            "does not lead to the attestation root, or a certificate on the way is not valid now"
        ) from None
    return certificate


def _recipient_key(encoded: bytes | None) -> RSAPublicKey:
    if encoded is None:
        raise AttestationError("has no public_key to encrypt the answer to")
    try:
        key = load_public(encoded)
    except KeyPairError:
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size not in _RSA_BITS:
        raise AttestationError("has a public_key that is no RSA key of 2048 bits or more in SPKI DER")
    return key


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bytes_of(least: int, most: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, bytes) and least <= len(value) <= most


def _are_pcrs(value: object) -> bool:
    return (
        isinstance(value, dict)
        and 1 <= len(value) <= _PCRS
        and all(_is_integer(index) and 0 <= index < _PCRS for index in value)
        and all(isinstance(pcr, bytes) and len(pcr) in _PCR_SIZES for pcr in value.values())
    )


def _is_bundle(value: object) -> bool:
    is_certificate = _FIELDS["certificate"]
    return isinstance(value, list) and 1 <= len(value) <= _MAX_CHAIN and all(map(is_certificate, value))


_OPTIONAL_FIELDS: Final = frozenset({"public_key", "user_data", "nonce"})

_FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "module_id": lambda value: isinstance(value, str) and 1 <= len(value) <= _MAX_MODULE_ID,
    "digest": lambda value: value == "SHA384",
    "timestamp": lambda value: _is_integer(value) and value > 0,
    "pcrs": _are_pcrs,
    "certificate": _bytes_of(1, _MAX_CERTIFICATE),
    "cabundle": _is_bundle,
    "public_key": _bytes_of(1, _MAX_PUBLIC_KEY),
    "user_data": _bytes_of(0, _MAX_TEXT),
    "nonce": _bytes_of(0, _MAX_TEXT),
}


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.key_cert_sign:
        raise ValueError("not for certificates")


def _signs(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.digital_signature:
        raise ValueError("not for signatures")


def _is_authority(
    _policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")


_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.CRITICAL, _is_authority)
    .require_present(x509.KeyUsage, Criticality.CRITICAL, _signs_certificates)
)
_SIGNER: Final = ExtensionPolicy.permit_all().require_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
