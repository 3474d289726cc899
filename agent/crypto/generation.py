"""Owns how new key material of each spec is made, and that no key pair leaves untested. No I/O.

A pair is written out, read back in both halves, and must verify its own signature, or decapsulate its own
secret, before anything else is done with it (the conditional pair-wise consistency test of FIPS 140-3).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agent.api.enums import KeySpec, MessageType
from agent.api.errors import KMSInvalidSignatureException
from agent.crypto import ecc, ed25519, keypairs, mac, mldsa, mlkem, rsa
from agent.crypto.keypairs import KeyPair, KeyPairError, PrivateKey
from agent.crypto.signatures import SCHEMES
from agent.crypto.specs import SIGNING_ALGORITHMS, require_supported

_SYMMETRIC_SIZE: Final = 32
_PROOF: Final = b"kms-agent pair-wise consistency"


class ConsistencyError(Exception):
    """The halves of a new key pair do not fit together: the machine computes wrongly."""

    def __init__(self, spec: KeySpec) -> None:
        super().__init__(
            f"A new {spec} key pair failed its consistency test and was thrown away. "
            "Do not trust this machine's cryptography: restart the agent, then check the hardware."
        )


@dataclass(frozen=True, slots=True)
class NewMaterial:
    """Key material that was just generated.

    Attributes:
        plaintext: PKCS#8 DER for key pairs, else the key's bytes.
        public_key: SPKI DER; empty for symmetric and HMAC keys.
    """

    plaintext: bytes = field(repr=False)
    public_key: bytes


def generate(spec: KeySpec) -> NewMaterial:
    """Return new key material. RSA_4096 takes seconds: call it where that holds nobody up.

    Raises:
        UnsupportedOperationException: a spec that this agent has not.
        ConsistencyError: a pair that does not fit together.
    """
    require_supported(spec)
    return _GENERATORS[spec]()


def prove(spec: KeySpec, pair: KeyPair) -> None:
    """Refuse a key pair whose halves do not fit together: what one does, the other must undo or confirm.

    Raises:
        ConsistencyError: they do not.
    """
    try:
        fits = _agrees(pair) if spec in mlkem.PRIVATE_KEYS else _signs(spec, pair)
    except KeyPairError:
        fits = False
    if not fits:
        raise ConsistencyError(spec)


def _secret(size: int) -> NewMaterial:
    return NewMaterial(secrets.token_bytes(size), b"")


def _pair(spec: KeySpec, make: Callable[[], PrivateKey]) -> NewMaterial:
    pair = keypairs.encode(make())
    prove(spec, pair)
    return NewMaterial(pair.private_key, pair.public_key)


def _signs(spec: KeySpec, pair: KeyPair) -> bool:
    scheme = SCHEMES[SIGNING_ALGORITHMS[spec][0]]
    private_key = keypairs.load_private(pair.private_key, trusted=True)
    signature = scheme.sign(private_key, MessageType.RAW, _PROOF)
    try:
        scheme.verify(keypairs.load_public(pair.public_key), MessageType.RAW, _PROOF, signature)
    except KMSInvalidSignatureException:
        return False
    return True


def _agrees(pair: KeyPair) -> bool:
    secret, ciphertext = mlkem.encapsulate(keypairs.load_public(pair.public_key))
    private_key = keypairs.load_private(pair.private_key, trusted=True)
    return hmac.compare_digest(mlkem.decapsulate(private_key, ciphertext), secret)


_GENERATORS: Final[Mapping[KeySpec, Callable[[], NewMaterial]]] = {
    KeySpec.SYMMETRIC_DEFAULT: partial(_secret, _SYMMETRIC_SIZE),
    **{spec: partial(_secret, size) for spec, size in mac.KEY_SIZES.items()},
    **{spec: partial(_pair, spec, partial(rsa.generate, spec)) for spec in rsa.KEY_BITS},
    **{spec: partial(_pair, spec, partial(ecc.generate, spec)) for spec in ecc.CURVES},
    **{spec: partial(_pair, spec, partial(mldsa.generate, spec)) for spec in mldsa.PRIVATE_KEYS},
    **{spec: partial(_pair, spec, partial(mlkem.generate, spec)) for spec in mlkem.PRIVATE_KEYS},
    KeySpec.ECC_NIST_EDWARDS25519: partial(_pair, KeySpec.ECC_NIST_EDWARDS25519, ed25519.generate),
}
