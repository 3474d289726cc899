"""Attestation documents: what is believed, and each way in which one can be wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.crypto import attestation
from agent.crypto.attestation import AttestationError, RootError, load_root, verify
from enclaves import ES384, IMAGE, MODULE_ID, PCRS, Authority, certify, enclave_key, spki
from services import START

HOUR = 3600


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Return one authority for all tests."""
    return Authority()


def refusal(document: bytes, authority: Authority, now: float = START) -> str:
    """Return why a document is refused."""
    with pytest.raises(AttestationError) as caught:
        verify(document, authority.trusted, now)
    return str(caught.value)


def test_a_good_document(authority: Authority) -> None:
    """It tells the enclave's name and measurements, and the key that answers are encrypted to."""
    proven = verify(authority.document(), authority.trusted, START)
    assert (proven.module_id, dict(proven.pcrs)) == (MODULE_ID, PCRS)
    assert proven.image_sha384 == IMAGE.hex()
    assert proven.public_key.public_numbers() == enclave_key().public_key().public_numbers()


@pytest.mark.parametrize(
    "changes",
    [
        {"user_data": b"", "nonce": b""},
        {"user_data": bytes(512), "nonce": bytes(512)},
        {"user_data": ..., "nonce": ...},
        {"pcrs": {index: bytes(48) for index in range(32)}},
        {"pcrs": {31: bytes(32), 0: bytes(64)}},
    ],
    ids=["empty", "longest", "absent", "all registers", "other digests"],
)
def test_what_a_document_may_have(authority: Authority, changes: dict[str, Any]) -> None:
    """Optional fields may be absent, null, empty, or as long as they may be."""
    verify(authority.document(**changes), authority.trusted, START)


def test_forms_of_the_message(authority: Authority) -> None:
    """COSE's tag may stand before the message; the payload's map may be of definite length."""
    document = authority.document()
    verify(b"\xd2" + document, authority.trusted, START)
    verify(authority.sign(cbor2.dumps(authority.fields())), authority.trusted, START)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"module_id": ""}, "module_id"),
        ({"module_id": 1}, "module_id"),
        ({"module_id": None}, "module_id"),
        ({"digest": "SHA256"}, "digest"),
        ({"timestamp": 0}, "timestamp"),
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"timestamp": 1.5}, "timestamp"),
        ({"pcrs": {}}, "pcrs"),
        ({"pcrs": {32: bytes(48)}}, "pcrs"),
        ({"pcrs": {-1: bytes(48)}}, "pcrs"),
        ({"pcrs": {"0": bytes(48)}}, "pcrs"),
        ({"pcrs": {0: bytes(47)}}, "pcrs"),
        ({"pcrs": {0: "0" * 48}}, "pcrs"),
        ({"pcrs": [bytes(48)]}, "pcrs"),
        ({"cabundle": []}, "cabundle"),
        ({"cabundle": [b""]}, "cabundle"),
        ({"cabundle": [bytes(1025)]}, "cabundle"),
        ({"cabundle": [b"x"] * 9}, "cabundle"),
        ({"certificate": b""}, "certificate"),
        ({"certificate": bytes(1025)}, "certificate"),
        ({"certificate": b"x"}, "certificate"),
        ({"cabundle": [b"x"]}, "certificate"),
        ({"user_data": bytes(513)}, "user_data"),
        ({"nonce": bytes(513)}, "nonce"),
        ({"public_key": b""}, "public_key"),
        ({"public_key": bytes(1025)}, "public_key"),
        ({"public_key": None}, "no public_key"),
        ({"public_key": ...}, "no public_key"),
        ({"public_key": b"dummy"}, "no RSA key"),
        ({"public_key": spki(ec.generate_private_key(ec.SECP384R1()))}, "no RSA key"),
        ({"public_key": spki(rsa.generate_private_key(65537, 1024))}, "no RSA key"),  # noqa: S505 - refused for that
        ({"module_id": ...}, "lacks a field"),
        ({"pcrs": ...}, "lacks a field"),
        ({"cabundle": ...}, "lacks a field"),
        ({"more": 1}, "lacks a field, or has one that is unknown"),
        ({"nitrotpm_pcrs": PCRS, "pcrs": ...}, "lacks a field"),
        ({"user_data": cbor2.CBORTag(1, 0)}, "CBOR"),
        ({"user_data": [[[[[]]]]]}, "CBOR"),
        ({"nonce": cbor2.undefined}, "nonce"),
    ],
)
def test_fields_that_are_wrong(authority: Authority, changes: dict[str, Any], reason: str) -> None:
    """Every field is of its type and size; none is missing, none is unknown, whoever signed it."""
    assert reason in refusal(authority.document(**changes), authority)


def test_payloads_that_are_none(authority: Authority) -> None:
    """A signed payload that is no map, is too long, or is followed by something proves nothing."""
    good = cbor2.dumps(authority.fields())
    twice = b"\xa2" + cbor2.dumps("digest") + cbor2.dumps("SHA384") + cbor2.dumps("digest") + b"\xf6"
    for payload in (
        b"",
        b"\xa0",
        b"\x80",
        b"\x01",
        good + b"\0",
        good[:-1],
        twice,
        bytes(attestation.MAX_PAYLOAD_BYTES + 1),
        b"\xbf",
    ):
        refusal(authority.sign(payload), authority)


def test_messages_that_are_none(authority: Authority) -> None:
    """What is no COSE_Sign1 with ES384 is refused before anything in it is looked at."""
    protected, unprotected, payload, signature = cbor2.loads(authority.document())
    for parts in (
        [protected, unprotected, payload],
        [protected, unprotected, payload, signature, b""],
        [protected, {1: 1}, payload, signature],
        [protected, [], payload, signature],
        [protected, unprotected, None, signature],
        [cbor2.dumps({1: -7}), unprotected, payload, signature],
        [cbor2.dumps({1: -35, 4: b"k"}), unprotected, payload, signature],
        [b"", unprotected, payload, signature],
        [ES384, unprotected, payload, signature],
        [protected, unprotected, payload, signature[:-1]],
        [protected, unprotected, payload, b""],
        {0: protected},
    ):
        refusal(cbor2.dumps(parts), authority)
    for document in (b"", b"\xd2", b"\xff", b"\x9f", bytes(16_896), b"\x81" * 16_896, bytes(16_897)):
        refusal(document, authority)
    refusal(authority.document() + b"\0", authority)
    refusal(b"\xd2" + cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature])), authority)


def test_signatures_that_do_not_verify(authority: Authority) -> None:
    """A changed payload, another's signature, and a signature of zeros are all refused."""
    protected, _, payload, signature = cbor2.loads(authority.document())
    changed = payload.replace(b"i-0123", b"i-0124")
    assert changed != payload
    other = ec.generate_private_key(ec.SECP384R1())
    for document in (
        cbor2.dumps([protected, {}, changed, signature]),
        cbor2.dumps([protected, {}, payload, bytes(96)]),
        cbor2.dumps([protected, {}, payload, b"\xff" * 96]),
        cbor2.dumps([protected, {}, payload, signature[48:] + signature[:48]]),
        authority.sign(payload, key=other),
        authority.sign(payload, key=authority.root.key),
    ):
        assert refusal(document, authority) == "has a signature that does not verify"


@pytest.mark.parametrize("hours", [-1.01, 3.01, 99], ids=["before", "after", "long after"])
def test_certificates_out_of_time(authority: Authority, hours: float) -> None:
    """Every certificate on the way must be valid at the time of the request."""
    assert "lead" in refusal(authority.document(), authority, START + hours * HOUR)


def _self_signed(authority: Authority) -> None:
    authority.leaf = certify("enclave", authority=False)


def _of_another_root(authority: Authority) -> None:
    other = Authority()
    authority.leaf, authority.bundle = other.leaf, other.bundle


def _issuer_missing(authority: Authority) -> None:
    del authority.bundle[2]


def _issuer_expired(authority: Authority) -> None:
    zone = certify("zone", authority.bundle[1], path_length=1, hours=(-2, -1))
    instance = certify("instance", zone, path_length=0)
    authority.bundle[2:] = [zone, instance]
    authority.leaf = certify("enclave", instance, authority=False)


def _issuer_not_for_certificates(authority: Authority) -> None:
    instance = certify("instance", authority.bundle[2], path_length=0, usage="crl_sign")
    authority.bundle[3] = instance
    authority.leaf = certify("enclave", instance, authority=False)


def _issued_by_an_enclave(authority: Authority) -> None:
    authority.bundle.append(authority.leaf)
    authority.leaf = certify("another", authority.leaf, authority=False)


def _path_too_long(authority: Authority) -> None:
    below = certify("below", authority.bundle[3])
    authority.bundle.append(below)
    authority.leaf = certify("enclave", below, authority=False)


def _not_for_signatures(authority: Authority) -> None:
    authority.leaf = certify("enclave", authority.bundle[3], authority=False, usage="key_agreement")


def _forged(authority: Authority) -> None:
    forger = replace(authority.bundle[3], key=ec.generate_private_key(ec.SECP384R1()))
    authority.leaf = certify("enclave", forger, authority=False)


@pytest.mark.parametrize(
    "tamper",
    [
        _self_signed,
        _of_another_root,
        _issuer_missing,
        _issuer_expired,
        _issuer_not_for_certificates,
        _issued_by_an_enclave,
        _path_too_long,
        _not_for_signatures,
        _forged,
    ],
)
def test_chains_that_do_not_lead_to_the_root(tamper: Callable[[Authority], None]) -> None:
    """Nobody but the root's own authorities can vouch for an enclave, each for what it may."""
    authority = Authority()
    tamper(authority)
    assert refusal(authority.document(), authority) == (
        "does not lead to the attestation root, or a certificate on the way is not valid now"
    )


def test_a_signer_on_another_curve() -> None:
    """ES384 is of P-384: a certificate for another curve signs nothing."""
    authority = Authority()
    authority.leaf = certify("enclave", authority.bundle[3], authority=False, curve=ec.SECP256R1())
    document = authority.sign(cbor2.dumps(authority.fields()), key=ec.generate_private_key(ec.SECP384R1()))
    assert "P-384" in refusal(document, authority)


def test_an_expired_root() -> None:
    """The root itself must be valid, too."""
    authority = Authority(certify("test.nitro-enclaves", hours=(-2, -1)))
    assert "lead" in refusal(authority.document(), authority)


def test_roots(authority: Authority) -> None:
    """A root is one certificate of an authority, in PEM."""
    assert isinstance(load_root(authority.pem), attestation.Root)
    leaf = authority.leaf.pem
    der = authority.root.der
    assert isinstance(x509.load_der_x509_certificate(der), x509.Certificate)
    for wrong in (b"", b"x", der, leaf, authority.pem + leaf, authority.pem + bytes(65_536)):
        with pytest.raises(RootError):
            load_root(wrong)
