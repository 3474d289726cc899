"""Data keys, encryption and random bytes, through the pipeline."""

import json
from typing import Any

import pytest

from agent.api.enums import DryRunModifier, EncryptionAlgorithmSpec, KeySpec, KeyState, KeyUsage
from agent.api.errors import (
    AccessDeniedException,
    CustomKeyStoreNotFoundException,
    DisabledException,
    DryRunOperationException,
    IncorrectKeyException,
    InvalidCiphertextException,
    InvalidKeyUsageException,
    NotFoundException,
    ValidationException,
)
from services import Service

DRY_RUN = "The request would have succeeded, but the DryRun option is set."
NULL = "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null"
IGNORE = (DryRunModifier.IGNORE_CIPHERTEXT,)

CONTEXTS: list[tuple[dict[str, str] | None, list[dict[str, str] | None]]] = [
    (None, [{"a": ""}, {"": "a"}]),
    ({"a": "bc"}, [{"ab": "c"}, {"a": "b", "c": ""}, {"A": "bc"}, {"a": "BC"}, {"abc": ""}, None, {}]),
    ({"a": "1", "b": "2"}, [{"a": "1"}, {"a": "2", "b": "1"}, {"b": "2"}, {"a": "1", "b": "2", "c": "3"}]),
    ({"": ""}, [None, {"": "a"}, {"a": ""}]),
    ({"caf\u00e9": "\U0001f511"}, [{"cafe\u0301": "\U0001f511"}, {"caf\u00e9": "\U0001f510"}]),
    ({"a": "b\x00c"}, [{"a": "b"}, {"a\x00b": "c"}, {"a": "bc"}]),
    ({"aws-crypto-public-key": "k"}, [None, {"aws-crypto-public-key": "l"}]),
]


@pytest.mark.parametrize(("context", "others"), CONTEXTS)
async def test_encryption_context_must_match_exactly(
    service: Service, context: dict[str, str] | None, others: list[dict[str, str] | None]
) -> None:
    """The same context opens in any order; every other fails like a damaged ciphertext, without a word."""
    key = (await service.create_key()).key_id
    blob = (
        await service.call("Encrypt", key_id=key, plaintext=b"text", encryption_context=context)
    ).ciphertext_blob
    reordered = context and dict(reversed(context.items()))
    for same in (context, reordered):
        answer = await service.call("Decrypt", ciphertext_blob=blob, encryption_context=same)
        assert answer.plaintext == b"text"
    for other in others:
        with pytest.raises(InvalidCiphertextException) as caught:
            await service.call("Decrypt", ciphertext_blob=blob, encryption_context=other)
        assert caught.value.message == ""
    with pytest.raises(InvalidCiphertextException):
        await service.call(
            "ReEncrypt", ciphertext_blob=blob, destination_key_id=key, source_encryption_context=others[0]
        )


async def test_an_absent_context_is_an_empty_one(service: Service) -> None:
    """Leaving the context out and sending an empty one are the same."""
    key = (await service.create_key()).key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t", encryption_context={})).ciphertext_blob
    assert (await service.call("Decrypt", ciphertext_blob=blob)).plaintext == b"t"


@pytest.mark.parametrize(
    ("members", "size"),
    [
        ({"key_spec": "AES_256"}, 32),
        ({"key_spec": "AES_128"}, 16),
        ({"number_of_bytes": 1}, 1),
        ({"number_of_bytes": 1024}, 1024),
    ],
)
async def test_data_keys_have_the_length_asked_for(
    service: Service, members: dict[str, Any], size: int
) -> None:
    """With and without plaintext, a data key opens to as many bytes as were asked for."""
    key = await service.create_key()
    context = {"volume": "v"}
    made = await service.call("GenerateDataKey", key_id=key.key_id, encryption_context=context, **members)
    assert len(made.plaintext) == size
    assert (made.key_id, made.key_material_id) == (key.arn, key.current_key_material_id)
    opened = await service.call("Decrypt", ciphertext_blob=made.ciphertext_blob, encryption_context=context)
    assert (opened.plaintext, opened.key_id) == (made.plaintext, key.arn)
    assert opened.key_material_id == made.key_material_id
    assert opened.encryption_algorithm is EncryptionAlgorithmSpec.SYMMETRIC_DEFAULT
    wrapped = await service.call("GenerateDataKeyWithoutPlaintext", key_id=key.key_id, **members)
    assert (wrapped.key_id, wrapped.key_material_id) == (key.arn, key.current_key_material_id)
    assert len((await service.call("Decrypt", ciphertext_blob=wrapped.ciphertext_blob)).plaintext) == size


async def test_data_keys_and_ciphertexts_never_repeat(service: Service) -> None:
    """Two data keys differ, and so do two ciphertexts of one plaintext."""
    key = (await service.create_key()).key_id
    made = [await service.call("GenerateDataKey", key_id=key, key_spec="AES_256") for _ in range(8)]
    assert len({answer.plaintext for answer in made}) == 8
    blobs = [(await service.call("Encrypt", key_id=key, plaintext=b"same")).ciphertext_blob for _ in range(8)]
    assert len(set(blobs)) == 8
    assert not any(b"same" in blob for blob in blobs)


@pytest.mark.parametrize("operation", ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"])
@pytest.mark.parametrize("members", [{}, {"key_spec": "AES_256", "number_of_bytes": 32}])
async def test_data_keys_need_one_length(service: Service, operation: str, members: dict[str, Any]) -> None:
    """No length or two are refused before anything is looked up."""
    with pytest.raises(ValidationException) as caught:
        await service.call(operation, key_id="nowhere", **members)
    assert caught.value.message == "Please specify either number of bytes or key spec."


@pytest.mark.parametrize("size", [1, 4096])
async def test_encrypt_up_to_4096_bytes(service: Service, size: int) -> None:
    """The longest plaintext gives a ciphertext that Decrypt takes; the answer names key and algorithm."""
    key = await service.create_key()
    plaintext = bytes(index % 251 for index in range(size))
    sealed = await service.call("Encrypt", key_id=key.arn, plaintext=plaintext)
    assert (sealed.key_id, sealed.encryption_algorithm) == (key.arn, "SYMMETRIC_DEFAULT")
    assert len(sealed.ciphertext_blob) <= 6144
    opened = await service.call("Decrypt", ciphertext_blob=sealed.ciphertext_blob, key_id=key.arn)
    assert opened.plaintext == plaintext


async def test_decrypt_with_another_key_named(service: Service) -> None:
    """A ciphertext opens only under the key that made it, whatever the form of its name."""
    key, other = await service.create_key(), await service.create_key()
    await service.call("CreateAlias", alias_name="alias/k", target_key_id=key.key_id)
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
    for name in (key.key_id, key.arn, "alias/k"):
        assert (await service.call("Decrypt", ciphertext_blob=blob, key_id=name)).plaintext == b"t"
    for operation, members in (
        ("Decrypt", {"key_id": other.key_id}),
        ("ReEncrypt", {"source_key_id": other.key_id, "destination_key_id": other.key_id}),
    ):
        with pytest.raises(IncorrectKeyException) as caught:
            await service.call(operation, ciphertext_blob=blob, **members)
        assert caught.value.message == (
            "The key ID in the request does not identify a CMK that can perform this operation."
        )


async def test_every_damaged_byte_is_noticed(service: Service) -> None:
    """No bit of a ciphertext may change, be cut off or added; all that is told is that it is invalid."""
    key = (await service.create_key()).key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    damaged = [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in range(len(blob))]
    damaged += [blob[:-1], blob + b"\0", b"x", bytes(6144)]
    for wrong in damaged:
        with pytest.raises((InvalidCiphertextException, IncorrectKeyException)):
            await service.call("Decrypt", ciphertext_blob=wrong, key_id=key)
        # Without the key's name a changed material id leads to no key at all.
        with pytest.raises((InvalidCiphertextException, AccessDeniedException)):
            await service.call("Decrypt", ciphertext_blob=wrong)


async def test_ciphertext_of_a_deleted_key(service: Service) -> None:
    """It refers to a key that does not exist, and the text does not tell that from one that is forbidden."""
    key, other = await service.create_key(), await service.create_key()
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
    with service.kms.store.write() as transaction:
        transaction.delete(service.key(key.key_id))
    with pytest.raises(AccessDeniedException) as caught:
        await service.call("Decrypt", ciphertext_blob=blob)
    assert caught.value.message == (
        "The ciphertext refers to a customer master key that does not exist, "
        "does not exist in this region, or you are not allowed to access."
    )
    with pytest.raises(NotFoundException):
        await service.call("Decrypt", ciphertext_blob=blob, key_id=key.key_id)
    with pytest.raises(IncorrectKeyException):
        await service.call("Decrypt", ciphertext_blob=blob, key_id=other.key_id)


async def test_re_encrypt(service: Service) -> None:
    """Key and context change, the plaintext stays and is not in the answer; source key by name or blob."""
    source, destination = await service.create_key(), await service.create_key()
    old, new = {"old": "1"}, {"new": "2"}
    blob = (
        await service.call("Encrypt", key_id=source.key_id, plaintext=b"t", encryption_context=old)
    ).ciphertext_blob
    for named in (None, source.arn):
        answer = await service.call(
            "ReEncrypt",
            ciphertext_blob=blob,
            source_key_id=named,
            source_encryption_context=old,
            destination_key_id=destination.key_id,
            destination_encryption_context=new,
        )
        assert (answer.source_key_id, answer.key_id) == (source.arn, destination.arn)
        assert answer.source_key_material_id == source.current_key_material_id
        assert answer.destination_key_material_id == destination.current_key_material_id
        assert (
            answer.source_encryption_algorithm
            == answer.destination_encryption_algorithm
            == "SYMMETRIC_DEFAULT"
        )
        opened = await service.call("Decrypt", ciphertext_blob=answer.ciphertext_blob, encryption_context=new)
        assert (opened.plaintext, opened.key_id) == (b"t", destination.arn)


@pytest.mark.parametrize("size", [1, 12, 1024])
async def test_generate_random(service: Service, size: int) -> None:
    """As many bytes as asked for, different each time (for sizes where that can be said)."""
    answers = {(await service.call("GenerateRandom", number_of_bytes=size)).plaintext for _ in range(4)}
    assert {len(answer) for answer in answers} == {size}
    assert size == 1 or len(answers) == 4


async def test_generate_random_needs_a_length_and_has_no_key_stores(service: Service) -> None:
    """A missing length has a text of its own; a custom key store cannot be there."""
    with pytest.raises(ValidationException) as caught:
        await service.call("GenerateRandom")
    assert caught.value.message == "NumberOfBytes is required."
    with pytest.raises(CustomKeyStoreNotFoundException):
        await service.call("GenerateRandom", number_of_bytes=8, custom_key_store_id="cks-1")


async def dry_run_cases(service: Service) -> list[tuple[str, dict[str, Any]]]:
    """Return requests that succeed without DryRun."""
    key = (await service.create_key()).key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    return [
        ("GenerateDataKey", {"key_id": key, "key_spec": "AES_256"}),
        ("GenerateDataKeyWithoutPlaintext", {"key_id": key, "key_spec": "AES_256"}),
        ("Encrypt", {"key_id": key, "plaintext": b"t"}),
        ("Decrypt", {"ciphertext_blob": blob}),
        ("ReEncrypt", {"ciphertext_blob": blob, "destination_key_id": key}),
    ]


async def test_dry_run_comes_last(service: Service) -> None:
    """A dry run of what would succeed says so; of what would fail, it fails the same way."""
    for operation, members in await dry_run_cases(service):
        await service.call(operation, dry_run=False, **members)
        with pytest.raises(DryRunOperationException) as caught:
            await service.call(operation, dry_run=True, **members)
        assert caught.value.message == DRY_RUN
    key = service.kms.store.keys("local")[0]
    blob = (await service.call("Encrypt", key_id=key.key_id, plaintext=b"t")).ciphertext_blob
    with pytest.raises(InvalidCiphertextException):
        await service.call("Decrypt", ciphertext_blob=blob, encryption_context={"no": ""}, dry_run=True)
    with pytest.raises(AccessDeniedException):
        await service.call("Encrypt", service.callers.bob, key_id=key.key_id, plaintext=b"t", dry_run=True)
    service.force(key.key_id, KeyState.DISABLED)
    for operation, members in (
        ("GenerateDataKey", {"key_id": key.key_id, "key_spec": "AES_256"}),
        ("Decrypt", {"ciphertext_blob": blob}),
        ("Decrypt", {"key_id": key.key_id, "dry_run_modifiers": IGNORE}),
    ):
        with pytest.raises(DisabledException):
            await service.call(operation, dry_run=True, **members)


async def test_dry_run_may_ignore_the_ciphertext(service: Service) -> None:
    """Then the ciphertext may be wrong or absent, but the key must be named."""
    key = (await service.create_key()).key_id
    ignoring: dict[str, Any] = {"dry_run": True, "dry_run_modifiers": IGNORE}
    both = {"source_key_id": key, "destination_key_id": key}
    for operation, members in (
        ("Decrypt", {"key_id": key}),
        ("Decrypt", {"key_id": key, "ciphertext_blob": b"nonsense"}),
        ("ReEncrypt", both),
    ):
        with pytest.raises(DryRunOperationException):
            await service.call(operation, **ignoring, **members)
    for operation, members, member in (
        ("Decrypt", {**ignoring, "ciphertext_blob": b"x"}, "keyId"),
        ("ReEncrypt", {**ignoring, "destination_key_id": key}, "sourceKeyId"),
        ("Decrypt", {"key_id": key}, "ciphertextBlob"),
        ("Decrypt", {"key_id": key, "dry_run": True}, "ciphertextBlob"),
        ("Decrypt", {"key_id": key, "dry_run_modifiers": IGNORE}, "ciphertextBlob"),
        ("ReEncrypt", both, "ciphertextBlob"),
    ):
        with pytest.raises(ValidationException) as caught:
            await service.call(operation, **members)
        assert caught.value.message == NULL.format(member)


async def test_order_of_checks(service: Service) -> None:
    """Found, permitted, usage, state, algorithm, the cryptography: the first that fails is told."""
    made = await service.create_key()
    key = made.key_id
    blob = (await service.call("Encrypt", key_id=key, plaintext=b"t")).ciphertext_blob
    request = {"key_id": key, "ciphertext_blob": blob[:-1], "encryption_algorithm": "RSAES_OAEP_SHA_256"}
    bob = service.callers.bob
    with pytest.raises(InvalidKeyUsageException) as algorithm:
        await service.call("Decrypt", **request)
    assert algorithm.value.message == (
        "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."
    )
    service.force(key, KeyState.DISABLED)
    with pytest.raises(DisabledException) as state:
        await service.call("Decrypt", **request)
    assert state.value.message == f"{made.arn} is disabled."
    service.force(key, key_usage=KeyUsage.SIGN_VERIFY)
    with pytest.raises(InvalidKeyUsageException) as usage:
        await service.call("Decrypt", **request)
    assert usage.value.message == f"{made.arn} key usage is SIGN_VERIFY which is not valid for Decrypt."
    with pytest.raises(AccessDeniedException):
        await service.call("Decrypt", bob, **request)
    with pytest.raises(NotFoundException):
        await service.call("Decrypt", bob, **(request | {"key_id": "alias/none"}))
    with pytest.raises(ValidationException):
        await service.send("Decrypt", json.dumps({"KeyId": "alias/none", "CiphertextBlob": ""}).encode(), bob)


async def test_asymmetric_keys_make_no_data_keys(service: Service) -> None:
    """A key of another spec is refused even where its usage is encryption."""
    made = await service.create_key()
    service.force(made.key_id, key_spec=KeySpec.RSA_2048)
    with pytest.raises(
        InvalidKeyUsageException, match="You cannot generate a data key with an asymmetric CMK"
    ):
        await service.call("GenerateDataKey", key_id=made.key_id, key_spec="AES_256")


@pytest.mark.parametrize(
    "members",
    [
        {"key_spec": "RSA_2048", "key_usage": "ENCRYPT_DECRYPT"},
        {"key_spec": "RSA_2048", "key_usage": "SIGN_VERIFY"},
        {"origin": "EXTERNAL"},
    ],
)
async def test_whose_ciphertext_it_is_comes_first(service: Service, members: dict[str, Any]) -> None:
    """As seen on AWS: another key's ciphertext is told before usage, state and algorithm of the named key."""
    source, other = await service.create_key(), await service.create_key(**members)
    blob = (await service.call("Encrypt", key_id=source.key_id, plaintext=b"t")).ciphertext_blob
    for operation, named in (
        ("Decrypt", {"key_id": other.key_id}),
        ("ReEncrypt", {"source_key_id": other.key_id, "destination_key_id": source.key_id}),
    ):
        with pytest.raises(IncorrectKeyException):
            await service.call(operation, ciphertext_blob=blob, **named)
        with pytest.raises(InvalidCiphertextException):
            await service.call(operation, ciphertext_blob=bytes(256), **named)
