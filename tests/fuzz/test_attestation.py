"""Fuzz target: any bytes are an attestation document that leads to the root, or an AttestationError.

The target can be given to a coverage-guided fuzzer as it is. Here Hypothesis drives it, with whole, cut and
damaged documents in between, and with payloads that were signed rightly and say anything.
"""

from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.crypto.attestation import AttestationError, verify
from agent.crypto.cose import CoseError, decode
from enclaves import MODULE_ID, Authority
from fuzzing import examples
from services import START

AUTHORITY = Authority()
ROOT = AUTHORITY.trusted
GOOD = AUTHORITY.document()
FIELDS = AUTHORITY.fields()
MAX_REASON = 200

NAMES = st.sampled_from([*FIELDS, "nitrotpm_pcrs", ""])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=80)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES | st.builds(cbor2.CBORTag, st.integers(0, 70_000), LEAVES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers() | NAMES, inner, max_size=4),
    max_leaves=12,
)


def fuzz_document(document: bytes) -> None:
    """Any bytes: an error that fits into the audit log, or what the authority signed."""
    try:
        proven = verify(document, ROOT, START)
    except AttestationError as error:
        if not 0 < len(str(error)) <= MAX_REASON:
            raise AssertionError("a reason must be told, and fit into the audit log") from error
        return
    assert proven.module_id == MODULE_ID
    assert proven.pcrs


def fuzz_cbor(encoded: bytes) -> None:
    """Any bytes: one item, or an error; never more memory than the bytes account for, and no hang."""
    try:
        decode(encoded)
    except CoseError:
        return


@given(st.binary(max_size=512))
@example(b"")
@example(b"\xd2" * 1000)
@example(b"\x9f" * 100_000)
@example(b"\x5b\x7f" + b"\xff" * 7)
@example(b"\x9b\x7f" + b"\xff" * 7)
@example(b"\xbb\x7f" + b"\xff" * 7)
@example(b"\xc2\x5a\x00\x03\xff\xff" + bytes(262_143))
@example(b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01")
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
@example(b"\xf7")
def test_any_bytes(document: bytes) -> None:
    """Bytes that nobody signed."""
    fuzz_cbor(document)
    fuzz_document(document)


@examples(300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
def test_damaged_documents(at: int, byte: int, cut: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
    """A good document with one byte replaced, or cut off there."""
    fuzz_document(GOOD[:at] if cut else GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@examples(500)
@example(4, 12, 3, False)  # noqa: FBT003 - as above
@given(st.integers(0, 4), st.integers(0, 799), st.integers(0, 255), st.booleans())
def test_damaged_certificates(which: int, at: int, byte: int, cut: bool) -> None:  # noqa: FBT001 - as above
    """A document that its enclave signed, a byte of a certificate changed: only the root's copy may be."""
    good = [*(each.der for each in AUTHORITY.bundle), AUTHORITY.leaf.der]
    at %= len(good[which])
    ders = list(good)
    ders[which] = ders[which][:at] + (b"" if cut else bytes([byte]) + ders[which][at + 1 :])
    document = AUTHORITY.document(cabundle=ders[:-1], certificate=ders[-1])
    if which == 0 or ders == good:
        fuzz_document(document)
    else:
        with pytest.raises(AttestationError):
            verify(document, ROOT, START)


@examples(300)
@given(st.dictionaries(NAMES, VALUES, max_size=3), st.sets(NAMES, max_size=2))
def test_signed_nonsense(changes: dict[str, Any], absent: set[str]) -> None:
    """Payloads with any fields, signed by an enclave: those that say less than they must prove nothing."""
    fields = {name: value for name, value in (FIELDS | changes).items() if name not in absent}
    try:
        payload = cbor2.dumps(fields)
    except cbor2.CBOREncodeError:
        return
    try:
        verify(AUTHORITY.sign(payload), ROOT, START)
    except AttestationError:
        return
    assert FIELDS.keys() - fields.keys() <= {"public_key", "user_data", "nonce"}


@examples(200)
@given(VALUES | st.binary(max_size=200))
def test_signed_payloads_of_any_kind(payload: Any) -> None:  # noqa: ANN401 - any value
    """A signature over something that is no document."""
    try:
        encoded = payload if isinstance(payload, bytes) else cbor2.dumps(payload)
    except cbor2.CBOREncodeError:
        return
    fuzz_document(AUTHORITY.sign(encoded))
