"""Reads the published vectors of the package cryptography-vectors: blocks of `name = value` lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cryptography_vectors
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_ROOT: Final = Path(cryptography_vectors.__file__).parent

Case = dict[str, str]


def text(name: str) -> str:
    """Return a file of vectors."""
    return (_ROOT / name).read_text(encoding="ascii")


def cases(name: str, *, last: str) -> Iterator[tuple[str, Case]]:
    """Yield each case under its section (`[…]`, without the brackets).

    Args:
        name: the file, in the layout of NIST's response files.
        last: the name whose value ends a case; the other values stay until they are replaced.
    """
    section, case = "", Case()
    for raw in text(name).splitlines():
        line = raw.strip()
        if line.startswith("["):
            section, case = line.strip("[]"), Case()
        elif "=" in line and not line.startswith("#"):
            key, value = (part.strip() for part in line.split("=", 1))
            case[key] = value
            if key == last:
                yield section, dict(case)


def labelled(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield what stands under each label (`# Label:`) of a file in RSA Laboratories' layout, in order."""
    label, digits = "", ""
    for line in text(name).splitlines():
        if line.startswith(("#", "=")):
            if digits:
                yield label, bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
            label, digits = line.strip("#=: "), ""
        elif label:
            digits += line.replace(" ", "")
    if digits:
        yield label, bytes.fromhex(digits)


def rsa_pkcs8(values: dict[str, bytes]) -> bytes:
    """Return the RSA key whose parts stand under these labels, as PKCS#8 DER."""
    whole = {label: int.from_bytes(value) for label, value in values.items()}
    key = RSAPrivateNumbers(
        whole["prime 1"],
        whole["prime 2"],
        whole["exponent"],
        whole["prime exponent 1"],
        whole["prime exponent 2"],
        whole["coefficient"],
        RSAPublicNumbers(whole.get("public exponent", 65537), whole["modulus"]),
    ).private_key()
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
