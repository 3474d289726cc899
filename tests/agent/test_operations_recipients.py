"""Answers to enclaves, through the pipeline: never in plain, and only for documents that hold."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from agent.api.enums import KeySpec, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    DryRunOperationException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.operations import OPERATIONS
from agent.api.shapes.cryptographic import RecipientInfo
from agent.crypto import attestation
from enclaves import IMAGE, MODULE_ID, PCRS, Authority, opened, spki
from services import ACCOUNT, Service

PLAINTEXTS = {
    "Decrypt": "plaintext",
    "GenerateDataKey": "plaintext",
    "GenerateDataKeyPair": "private_key_plaintext",
    "GenerateRandom": "plaintext",
    "DeriveSharedSecret": "shared_secret",
}
ATTESTED = sorted(PLAINTEXTS)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Return one authority for all tests."""
    return Authority()


@pytest.fixture
def trusting(service: Service, authority: Authority) -> Service:
    """A service that believes the authority."""
    service.kms = replace(service.kms, attestation_root=authority.trusted)
    return service


def recipient(document: bytes) -> RecipientInfo:
    """Return a recipient as the SDK sends it."""
    return RecipientInfo(key_encryption_algorithm="RSAES_OAEP_SHA_256", attestation_document=document)


async def request(service: Service, operation: str) -> dict[str, Any]:
    """Return the members of a request that succeeds."""
    if operation == "GenerateRandom":
        return {"number_of_bytes": 24}
    if operation == "DeriveSharedSecret":
        key = await service.create_key(key_spec=KeySpec.ECC_NIST_P256, key_usage=KeyUsage.KEY_AGREEMENT)
        peer = spki(ec.generate_private_key(ec.SECP256R1()))
        return {"key_id": key.key_id, "key_agreement_algorithm": "ECDH", "public_key": peer}
    key = await service.create_key()
    if operation == "Decrypt":
        sealed = await service.call("Encrypt", key_id=key.key_id, plaintext=b"secret")
        return {"ciphertext_blob": sealed.ciphertext_blob}
    if operation == "GenerateDataKeyPair":
        return {"key_id": key.key_id, "key_pair_spec": "RSA_2048"}
    return {"key_id": key.key_id, "key_spec": "AES_256"}


def test_these_operations_take_recipients() -> None:
    """No other operation of the API has a Recipient."""
    named = {name for name, each in OPERATIONS.items() if "recipient" in each.request.__struct_fields__}
    assert named == set(ATTESTED)


@pytest.mark.parametrize("operation", ATTESTED)
async def test_only_the_enclave_can_read_the_answer(
    trusting: Service, authority: Authority, operation: str, tmp_path: Path
) -> None:
    """The answer is an envelope that opens to what would have been answered, which is not in the answer."""
    members = await request(trusting, operation)
    plain = await trusting.call(operation, **members)
    answer = await trusting.call(operation, recipient=recipient(authority.document()), **members)
    assert getattr(answer, PLAINTEXTS[operation]) is None
    assert getattr(answer, "key_material_id", None) is None
    assert plain.ciphertext_for_recipient is None
    content = opened(tmp_path, answer.ciphertext_for_recipient)
    expected = getattr(plain, PLAINTEXTS[operation])
    if operation in {"Decrypt", "DeriveSharedSecret"}:
        assert content == expected
    elif operation == "GenerateDataKeyPair":
        private_key = load_der_private_key(content, None)
        assert isinstance(private_key, RSAPrivateKey)
        assert spki(private_key) == answer.public_key
        blob = answer.private_key_ciphertext_blob
        assert (await trusting.call("Decrypt", ciphertext_blob=blob)).plaintext == content
    else:
        assert len(content) == len(expected)
        assert content != expected
    if operation == "GenerateDataKey":
        assert (await trusting.call("Decrypt", ciphertext_blob=answer.ciphertext_blob)).plaintext == content


@pytest.mark.parametrize("operation", ATTESTED)
async def test_without_a_root_nobody_is_believed(
    service: Service, authority: Authority, operation: str
) -> None:
    """An agent that was not told whom to believe says so and answers nothing; it says what to configure."""
    members = await request(service, operation)
    with pytest.raises(UnsupportedOperationException, match="attestation_root"):
        await service.call(operation, recipient=recipient(authority.document()), **members)


@pytest.mark.parametrize("operation", ATTESTED)
async def test_documents_that_do_not_hold(trusting: Service, authority: Authority, operation: str) -> None:
    """Expired, of another authority, changed, or not a document: refused, and told why."""
    members = await request(trusting, operation)
    good = authority.document()
    for document in (b"x", good[:-1] + bytes([good[-1] ^ 1]), Authority().document()):
        with pytest.raises(ValidationException, match=r"^The attestation document "):
            await trusting.call(operation, recipient=recipient(document), **members)
    trusting.clock.advance(days=1)
    with pytest.raises(ValidationException, match="not valid now"):
        await trusting.call(operation, recipient=recipient(good), **members)


@pytest.mark.parametrize("operation", ATTESTED)
async def test_half_a_recipient(trusting: Service, authority: Authority, operation: str) -> None:
    """A recipient without its document, or without its algorithm, is refused and never ignored."""
    members = await request(trusting, operation)
    for half in (
        RecipientInfo(),
        RecipientInfo(attestation_document=authority.document()),
        RecipientInfo(key_encryption_algorithm="RSAES_OAEP_SHA_256"),
    ):
        with pytest.raises(ValidationException, match="Recipient must contain"):
            await trusting.call(operation, recipient=half, **members)


def condition(**values: str) -> dict[str, Any]:
    """Return a statement that allows everything to enclaves of these measurements."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/alice"},
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {
            "StringEqualsIgnoreCase": {
                f"kms:RecipientAttestation:{name}": value for name, value in values.items()
            }
        },
    }


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"ImageSha384": IMAGE.hex()}, True),
        ({"ImageSha384": IMAGE.hex().upper()}, True),
        ({"PCR0": IMAGE.hex(), "PCR1": PCRS[1].hex(), "PCR8": PCRS[8].hex()}, True),
        ({"ImageSha384": IMAGE[::-1].hex()}, False),
        ({"PCR1": PCRS[2].hex()}, False),
        ({"PCR5": bytes(48).hex()}, False),
        ({"NitroTPMPCR0": IMAGE.hex()}, False),
    ],
)
async def test_policies_ask_for_measurements(
    trusting: Service, authority: Authority, values: dict[str, str], *, allowed: bool
) -> None:
    """A key can be used by enclaves of one image only; a register that the document lacks matches nothing."""
    key = (await trusting.create_key()).key_id
    await trusting.put_policy(key, condition(**values))
    members = {"key_id": key, "key_spec": "AES_256"}
    alice = trusting.callers.alice
    with pytest.raises(AccessDeniedException):
        await trusting.call("GenerateDataKey", alice, **members)
    asked = trusting.call("GenerateDataKey", alice, recipient=recipient(authority.document()), **members)
    if allowed:
        assert (await asked).plaintext is None
    else:
        with pytest.raises(AccessDeniedException):
            await asked


async def test_an_unproven_measurement_permits_nothing(trusting: Service) -> None:
    """A document with the right measurements under another root is refused before the policy is asked."""
    key = (await trusting.create_key()).key_id
    await trusting.put_policy(key, condition(ImageSha384=IMAGE.hex()))
    forged = recipient(Authority().document())
    with pytest.raises(ValidationException):
        await trusting.call(
            "GenerateDataKey", trusting.callers.alice, key_id=key, key_spec="AES_256", recipient=forged
        )


@pytest.mark.parametrize("operation", [name for name in ATTESTED if name != "GenerateRandom"])
async def test_a_dry_run_for_an_enclave(trusting: Service, authority: Authority, operation: str) -> None:
    """It tells that it would have succeeded; with a document that does not hold, that it would not."""
    members = await request(trusting, operation) | {"dry_run": True}
    with pytest.raises(DryRunOperationException):
        await trusting.call(operation, recipient=recipient(authority.document()), **members)
    with pytest.raises(ValidationException):
        await trusting.call(operation, recipient=recipient(b"x"), **members)


async def test_the_record_tells_of_the_enclave(trusting: Service, authority: Authority) -> None:
    """The audit log has the enclave's name and measurements, refused or not, and no document."""
    document = authority.document()
    members = await request(trusting, "Decrypt")
    await trusting.call("Decrypt", recipient=recipient(document), **members)
    with pytest.raises(AccessDeniedException):
        await trusting.call("Decrypt", trusting.callers.bob, recipient=recipient(document), **members)
    expected = {
        "attestationDocumentModuleId": MODULE_ID,
        "attestationDocumentEnclaveImageDigest": IMAGE.hex(),
        **{f"attestationDocumentEnclavePCR{index}": PCRS[index].hex() for index in (1, 2, 3, 4, 8)},
    }
    for record in trusting.records()[-2:]:
        assert record["additionalEventData"] == {"recipient": expected}
        assert len(json.dumps(record)) < 4096


async def test_documents_are_verified_beside_other_requests(
    trusting: Service, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying takes milliseconds, in which the event loop serves others."""
    threads = []
    verify = attestation.verify

    def verified(*arguments: Any) -> attestation.Attestation:  # noqa: ANN401 -- as they come
        threads.append(threading.get_ident())
        return verify(*arguments)

    monkeypatch.setattr(attestation, "verify", verified)
    document = authority.document()
    await trusting.call("GenerateRandom", number_of_bytes=24, recipient=recipient(document))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
