"""Signs and verifies outside of the agent: the openssl command, Ed25519ph and ML-DSA's mu by the book."""

import hashlib
import subprocess
from pathlib import Path
from typing import Final

from agent.api.enums import SigningAlgorithmSpec

PSS: Final = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")


def openssl(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run the openssl command."""
    return subprocess.run(["openssl", *map(str, arguments)], check=check, capture_output=True)


def read_public_key(directory: Path, public_key: bytes) -> tuple[Path, str]:
    """Have openssl read an SPKI DER; return it as PEM, and openssl's text about it."""
    der, pem = directory / "public.der", directory / "public.pem"
    der.write_bytes(public_key)
    read = ("pkey", "-pubin", "-inform", "DER", "-in", der)
    openssl(*read, "-out", pem)
    return pem, openssl(*read, "-noout", "-text").stdout.decode()


def new_private_key(directory: Path, *generation: str) -> tuple[Path, bytes]:
    """Have openssl make a key pair; return it as PEM, and as PKCS#8 DER."""
    pem = directory / "private.pem"
    openssl("genpkey", *generation, "-out", pem)
    return pem, openssl("pkcs8", "-topk8", "-nocrypt", "-in", pem, "-outform", "DER").stdout


def sign(directory: Path, private_key: Path, algorithm: SigningAlgorithmSpec, message: bytes) -> bytes:
    """Sign with the openssl command."""
    path = directory / "message"
    path.write_bytes(message)
    if algorithm is SigningAlgorithmSpec.ED25519_SHA_512:
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", private_key, "-in", path).stdout
    return openssl("dgst", *_digest(algorithm), "-sign", private_key, path).stdout


def verifies(
    directory: Path, public_key: Path, algorithm: SigningAlgorithmSpec, message: bytes, signature: bytes
) -> bool:
    """Verify with the openssl command."""
    path, signed = directory / "message", directory / "signature"
    path.write_bytes(message)
    signed.write_bytes(signature)
    if algorithm is SigningAlgorithmSpec.ED25519_SHA_512:
        command = ("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public_key, "-in", path, "-sigfile")
        return openssl(*command, signed, check=False).returncode == 0
    command = ("dgst", *_digest(algorithm), "-verify", public_key, "-signature", signed, path)
    return openssl(*command, check=False).returncode == 0


def _digest(algorithm: SigningAlgorithmSpec) -> tuple[str, ...]:
    digest = f"-sha{algorithm.rpartition('_')[2]}"
    return (digest, *PSS) if algorithm.startswith("RSASSA_PSS") else (digest,)


def external_mu(public_key: bytes, message: bytes, context: bytes = b"") -> bytes:
    """Return mu as FIPS 204, algorithm 7, line 6 with algorithm 2 says."""
    tr = hashlib.shake_256(public_key).digest(64)
    return hashlib.shake_256(tr + b"\0" + bytes([len(context)]) + context + message).digest(64)


# Ed25519ph, which openssl 3.0 lacks: the group of RFC 8032, section 5.1, in affine coordinates.
_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_M1: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int]


def verifies_ed25519ph(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Verify a signature of Ed25519ph with an empty context: 8 S B = 8 R + 8 k A."""
    prefix = b"SigEd25519 no Ed25519 collisions" + b"\x01" + b"\x00"
    prehash = hashlib.sha512(message).digest()
    digest = hashlib.sha512(prefix + signature[:32] + public_key + prehash).digest()
    factor, scalar = int.from_bytes(digest, "little") % _ORDER, int.from_bytes(signature[32:], "little")
    base = _point(int.to_bytes(4 * pow(5, -1, _P) % _P, 32, "little"))
    left = _times(8 * scalar, base)
    right = _plus(_times(8, _point(signature[:32])), _times(8 * factor, _point(public_key)))
    return scalar < _ORDER and left == right


def _point(encoded: bytes) -> _Point:
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_M1 % _P
    assert (x * x - square) % _P == 0
    return (x if x % 2 == sign else _P - x), y


def _plus(one: _Point, other: _Point) -> _Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2 % _P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P)
    return x % _P, y % _P


def _times(factor: int, point: _Point) -> _Point:
    result: _Point = (0, 1)
    while factor:
        if factor & 1:
            result = _plus(result, point)
        point = _plus(point, point)
        factor >>= 1
    return result
