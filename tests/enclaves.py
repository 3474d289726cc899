"""An attestation authority of the tests' own, and enclaves' documents as the Nitro hypervisor writes them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from agent.crypto.attestation import Root, load_root
from outsiders import openssl
from services import START

ES384: Final = {1: -35}
IMAGE: Final = bytes(range(48))
PCRS: Final = {0: IMAGE, 1: b"\1" * 48, 2: b"\2" * 48, 3: b"\3" * 48, 4: b"\4" * 48, 8: bytes(48)}
MODULE_ID: Final = "i-0123456789abcdef0-enc0123456789abcde"
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Certified:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def certify(
    name: str,
    issuer: Certified | None = None,
    *,
    authority: bool = True,
    path_length: int | None = None,
    hours: tuple[float, float] = (-1, 3),
    curve: ec.EllipticCurve | None = None,
    usage: str | None = None,
    critical_usage: bool = True,
    now: float = START,
) -> Certified:
    """Issue a certificate, valid for `hours` from `now` on; without an issuer it signs itself."""
    moment = datetime.fromtimestamp(now, UTC)
    key = ec.generate_private_key(curve or ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = usage or ("key_cert_sign" if authority else "digital_signature")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment + hours[0] * _HOUR)
        .not_valid_after(moment + hours[1] * _HOUR)
        .add_extension(x509.BasicConstraints(authority, path_length if authority else None), critical=True)
        .add_extension(x509.KeyUsage(**_usages(usage)), critical=critical_usage)
    )
    return Certified(builder.sign(key if issuer is None else issuer.key, SHA384()), key)


def _usages(one: str) -> dict[str, bool]:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
        "crl_sign encipher_only decipher_only"
    )
    return {name: name == one for name in names.split()}


@lru_cache(maxsize=1)
def enclave_key() -> rsa.RSAPrivateKey:
    """Return the enclave's own key, always the same: making one takes long."""
    return rsa.generate_private_key(65537, 2048)


def spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half as documents have it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def opened(directory: Path, envelope: bytes) -> bytes:
    """Open an envelope as the enclave would, with the openssl command."""
    key, message = directory / "enclave.pem", directory / "envelope"
    key.write_bytes(enclave_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    message.write_bytes(envelope)
    return openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", message, "-inkey", key).stdout


class Authority:
    """A root and what is below it: as with AWS, three authorities and then the enclave's own certificate."""

    def __init__(self, root: Certified | None = None, *, now: float = START) -> None:
        self.root = root or certify("test.nitro-enclaves", hours=(-100, 100), now=now)
        region = certify("region", self.root, path_length=2, now=now)
        zone = certify("zone", region, path_length=1, now=now)
        instance = certify("instance", zone, path_length=0, now=now)
        self.bundle = [self.root, region, zone, instance]
        self.leaf = certify("enclave", instance, authority=False, critical_usage=False, now=now)

    @property
    def trusted(self) -> Root:
        """The root as the agent is configured with it."""
        return load_root(self.pem)

    @property
    def pem(self) -> bytes:
        return self.root.pem

    def fields(self, **changes: object) -> dict[str, Any]:
        """Return the fields of a good document, with changes; a field set to ... is left out."""
        fields = {
            "module_id": MODULE_ID,
            "digest": "SHA384",
            "timestamp": int(START * 1000),
            "pcrs": PCRS,
            "certificate": self.leaf.der,
            "cabundle": [each.der for each in self.bundle],
            "public_key": spki(enclave_key()),
            "user_data": None,
            "nonce": None,
        } | changes
        return {name: value for name, value in fields.items() if value is not ...}

    def document(self, **changes: object) -> bytes:
        """Return a signed document, whose payload is a map of indefinite length as the hypervisor's are."""
        return self.sign(indefinite(self.fields(**changes)))

    def sign(self, payload: bytes, *, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """Return a COSE_Sign1 of any payload."""
        protected = cbor2.dumps(ES384)
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        r, s = decode_dss_signature((key or self.leaf.key).sign(signed, ec.ECDSA(SHA384())))
        signature = r.to_bytes(48) + s.to_bytes(48)
        return cbor2.dumps([protected, {}, payload, signature])


def indefinite(fields: dict[str, Any]) -> bytes:
    """Return a CBOR map that says only at its end that it ends."""
    out = BytesIO()
    out.write(b"\xbf")
    for pair in fields.items():
        for part in pair:
            out.write(cbor2.dumps(part))
    out.write(b"\xff")
    return out.getvalue()
