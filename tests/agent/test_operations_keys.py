"""CreateKey to CancelKeyDeletion, through the pipeline."""

import json
import re
from typing import Any

import pytest

from agent.api.enums import KeyManager, KeySpec, KeyState, KeyUsage, Origin
from agent.api.errors import (
    CustomKeyStoreNotFoundException,
    InvalidArnException,
    InvalidMarkerException,
    KMSInvalidStateException,
    NotFoundException,
    ServiceError,
    TagException,
    UnknownOperationException,
    UnsupportedOperationException,
    ValidationException,
)
from agent.api.shapes.keys import Tag
from agent.crypto.specs import USAGES
from services import ACCOUNT, START, Service

DAY = 86_400
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ABSENT = "12345678-1234-4234-8234-123456789012"


async def test_create_key_answers_what_describe_key_answers(service: Service) -> None:
    """A new key is enabled, symmetric and the customer's, and has the fields that AWS shows, no others."""
    made = await service.create_key(description="mail spool")
    described = await service.call("DescribeKey", key_id=made.key_id)
    assert described.key_metadata == made
    assert UUID.fullmatch(made.key_id)
    body = await service.send("DescribeKey", json.dumps({"KeyId": made.key_id}).encode())
    assert json.loads(body)["KeyMetadata"] == {
        "AWSAccountId": ACCOUNT,
        "KeyId": made.key_id,
        "Arn": f"arn:aws:kms:local:{ACCOUNT}:key/{made.key_id}",
        "CreationDate": START,
        "Enabled": True,
        "Description": "mail spool",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
        "CurrentKeyMaterialId": service.key(made.key_id).current_material_id,
    }


async def test_create_key_takes_every_default_spelled_out(service: Service) -> None:
    """Saying what would have been anyway makes the same key."""
    made = await service.create_key(
        key_spec="SYMMETRIC_DEFAULT",
        key_usage="ENCRYPT_DECRYPT",
        origin="AWS_KMS",
        multi_region=False,
        tags=(),
        bypass_policy_lockout_safety_check=True,
    )
    assert (made.description, made.key_manager) == ("", KeyManager.CUSTOMER)
    assert (await service.create_key(customer_master_key_spec="SYMMETRIC_DEFAULT")).multi_region is False


SAY_USAGE = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
REFUSED_KEYS: list[tuple[dict[str, Any], type[ServiceError], str]] = [
    ({"key_spec": "RSA_2048"}, ValidationException, SAY_USAGE),
    ({"customer_master_key_spec": "HMAC_256"}, ValidationException, SAY_USAGE),
    (
        {"key_spec": "RSA_2048", "customer_master_key_spec": "RSA_2048"},
        ValidationException,
        (
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated."
        ),
    ),
    (
        {"key_usage": "SIGN_VERIFY"},
        ValidationException,
        "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT",
    ),
    (
        {"key_spec": "HMAC_256", "key_usage": "ENCRYPT_DECRYPT"},
        ValidationException,
        "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_256",
    ),
    ({"key_spec": "SM2", "key_usage": "SIGN_VERIFY"}, UnsupportedOperationException, "China Regions only"),
    (
        {"key_spec": "ML_KEM_512", "key_usage": "ENCAPSULATE_DECAPSULATE"},
        UnsupportedOperationException,
        "use KeySpec ML_KEM_768",
    ),
    ({"origin": "AWS_CLOUDHSM"}, ValidationException, "CustomKeyStoreId"),
    ({"custom_key_store_id": "cks-1"}, ValidationException, "CustomKeyStoreId"),
    (
        {"origin": "AWS_CLOUDHSM", "custom_key_store_id": "cks-1"},
        CustomKeyStoreNotFoundException,
        "cks-1",
    ),
    ({"origin": "EXTERNAL_KEY_STORE", "custom_key_store_id": "cks-1"}, ValidationException, "XksKeyId"),
    ({"xks_key_id": "x"}, ValidationException, "XksKeyId"),
    (
        {
            "origin": "AWS_CLOUDHSM",
            "custom_key_store_id": "cks-1",
            "key_spec": "RSA_2048",
            "key_usage": "SIGN_VERIFY",
        },
        UnsupportedOperationException,
        "Keys in a custom key store are single-Region symmetric encryption keys.",
    ),
    (
        {"tags": tuple(Tag(tag_key=f"t{n}", tag_value="") for n in range(51))},
        TagException,
        "Too many tags",
    ),
    ({"tags": (Tag(tag_key="a", tag_value="1"),) * 2}, TagException, "Duplicate tag keys"),
    (
        {"tags": (Tag(tag_key="AWS:a", tag_value="1"),)},
        TagException,
        "Tags beginning with aws: are reserved",
    ),
]


@pytest.mark.parametrize(("members", "error", "text"), REFUSED_KEYS)
async def test_create_key_refuses(
    service: Service, members: dict[str, Any], error: type[ServiceError], text: str
) -> None:
    """Contradictions are refused in AWS's words, what cannot be made here honestly; no key is made."""
    with pytest.raises(error, match=re.escape(text)):
        await service.create_key(**members)
    assert service.kms.store.keys("local") == ()


async def test_create_key_without_material(service: Service) -> None:
    """A key whose material is to be imported waits for it, and has none until then."""
    made = await service.create_key(origin="EXTERNAL")
    assert (made.key_state, made.enabled, made.origin) == (KeyState.PENDING_IMPORT, False, Origin.EXTERNAL)
    assert made.current_key_material_id is None
    assert service.kms.store.materials("local", made.key_id) == ()
    with pytest.raises(KMSInvalidStateException, match="is pending import"):
        await service.call("Encrypt", key_id=made.key_id, plaintext=b"t")


async def test_create_multi_region_key(service: Service) -> None:
    """A multi-Region key can be told by its id; it is its own primary."""
    made = await service.create_key(multi_region=True)
    assert re.fullmatch(r"mrk-[0-9a-f]{32}", made.key_id)
    assert made.multi_region is True
    assert service.key(made.key_id).primary_region == "local"


async def test_create_key_with_tags(service: Service) -> None:
    """Tags are kept in the order of their keys, whatever order they came in."""
    tags = (Tag(tag_key="b", tag_value=""), Tag(tag_key="a", tag_value="1"))
    made = await service.create_key(tags=tags)
    assert service.key(made.key_id).tags == (("a", "1"), ("b", ""))


def test_every_spec_has_its_usages() -> None:
    """No spec was forgotten, and each usage goes with some spec."""
    assert set(USAGES) == set(KeySpec)
    assert set().union(*USAGES.values()) == set(KeyUsage)


async def test_keys_are_named_in_four_forms(service: Service) -> None:
    """Key id, key ARN, alias and alias ARN all lead to the key."""
    made = await service.create_key()
    await service.call("CreateAlias", alias_name="alias/a", target_key_id=made.key_id)
    for name in (made.key_id, made.arn, "alias/a", f"arn:aws:kms:local:{ACCOUNT}:alias/a"):
        assert (await service.call("DescribeKey", key_id=name)).key_metadata.arn == made.arn


@pytest.mark.parametrize(
    ("key_id", "message"),
    [
        (ABSENT, f"Key 'arn:aws:kms:local:{ACCOUNT}:key/{ABSENT}' does not exist"),
        (
            "mrk-" + "0" * 32,
            f"Key 'arn:aws:kms:local:{ACCOUNT}:key/mrk-{'0' * 32}' does not exist",
        ),
        (
            f"arn:aws:kms:local:{ACCOUNT}:key/{ABSENT}",
            f"Key 'arn:aws:kms:local:{ACCOUNT}:key/{ABSENT}' does not exist",
        ),
        (
            f"arn:aws:kms:local:111111111111:key/{ABSENT}",
            f"Key 'arn:aws:kms:local:111111111111:key/{ABSENT}' does not exist",
        ),
        (
            "arn:aws:kms:local:111111111111:alias/a",
            "Alias arn:aws:kms:local:111111111111:alias/a is not found.",
        ),
        (ABSENT.upper(), f"Key 'arn:aws:kms:local:{ACCOUNT}:key/{ABSENT.upper()}' does not exist"),
        ("fake-key-id", "Invalid keyId 'fake-key-id'"),
        (f"arn:aws:kms:local:{ACCOUNT}:key/fake-key-id", "Invalid keyId fake-key-id"),
        ("mrk-fake-key-id", "Invalid keyId 'mrk-fake-key-id'"),
        ("134f2428cec14b25a1ae9048164dba47", "Invalid keyId '134f2428cec14b25a1ae9048164dba47'"),
        (f"key/{ABSENT}", f"Invalid keyId 'key/{ABSENT}'"),
        (f"arn:aws:kms:ap-south-1:{ACCOUNT}:key/{ABSENT}", "Invalid arn ap-south-1"),
        (
            f"arn:aws:iam:local:{ACCOUNT}:key/{ABSENT}",
            f"Invalid arn arn:aws:iam:local:{ACCOUNT}:key/{ABSENT}",
        ),
        (f"arn:aws:kms:local:{ACCOUNT}:grant/x", f"Invalid arn arn:aws:kms:local:{ACCOUNT}:grant/x"),
        ("arn:aws:kms", "Invalid arn arn:aws:kms"),
        ("alias/none", f"Alias arn:aws:kms:local:{ACCOUNT}:alias/none is not found."),
        (
            f"arn:aws:kms:local:{ACCOUNT}:alias/none",
            f"Alias arn:aws:kms:local:{ACCOUNT}:alias/none is not found.",
        ),
    ],
)
async def test_names_that_lead_nowhere(service: Service, key_id: str, message: str) -> None:
    """Each way in which a key cannot be found has AWS's own text."""
    with pytest.raises(NotFoundException) as caught:
        await service.call("DescribeKey", key_id=key_id)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "operation",
    [
        "EnableKey",
        "DisableKey",
        "ScheduleKeyDeletion",
        "CancelKeyDeletion",
        "GetKeyPolicy",
        "EnableKeyRotation",
        "DisableKeyRotation",
        "GetKeyRotationStatus",
        "RotateKeyOnDemand",
        "ListKeyRotations",
        "ListAliases",
    ],
)
async def test_operations_that_take_no_alias(service: Service, operation: str) -> None:
    """They refuse an alias as such, whether it exists or not."""
    for name in ("alias/any", f"arn:aws:kms:local:{ACCOUNT}:alias/any", "alias/aws/kmsfs"):
        with pytest.raises(InvalidArnException) as caught:
            await service.call(operation, key_id=name)
        assert caught.value.message == "Key Aliases are not supported for this operation."


async def test_list_keys_goes_through_all_keys_page_by_page(service: Service) -> None:
    """Pages are full, end where the listing ends, and neither repeat nor leave out a key."""
    made = {(await service.create_key()).arn for _ in range(7)}
    seen: list[str] = []
    marker = None
    sizes = []
    for _ in range(4):
        page = await service.call("ListKeys", limit=3, marker=marker)
        assert page.truncated == (page.next_marker is not None)
        seen += [entry.key_arn for entry in page.keys]
        sizes.append(len(page.keys))
        marker = page.next_marker
        if marker is None:
            break
    assert sizes == [3, 3, 1]
    assert seen == sorted(made)
    assert (await service.call("ListKeys")).truncated is False
    exact = await service.call("ListKeys", limit=7)
    assert (len(exact.keys), exact.truncated) == (7, False)


async def test_a_deleted_key_does_not_upset_a_listing(service: Service) -> None:
    """The key at which a page ended may be gone when the next is asked for."""
    keys = sorted([(await service.create_key()).key_id for _ in range(3)])
    page = await service.call("ListKeys", limit=1)
    key = service.kms.store.key("local", keys[0])
    assert key is not None
    with service.kms.store.write() as transaction:
        transaction.delete(key)
    rest = await service.call("ListKeys", marker=page.next_marker)
    assert [entry.key_id for entry in rest.keys] == keys[1:]


async def test_markers_hold_for_one_listing_only(service: Service) -> None:
    """A marker of another filter, another operation or nobody is refused with AWS's empty message."""
    key = await service.create_key()
    await service.create_key()
    for number in range(2):
        await service.call("CreateAlias", alias_name=f"alias/a{number}", target_key_id=key.key_id)
    keys = (await service.call("ListKeys", limit=1)).next_marker
    aliases = (await service.call("ListAliases", limit=1)).next_marker
    of_key = (await service.call("ListAliases", key_id=key.key_id, limit=1)).next_marker
    shared = ("SELF", "OTHER_ACCOUNTS_VIA_RAM")
    for operation, members in (
        ("ListKeys", {"marker": aliases}),
        ("ListKeys", {"marker": keys, "resource_owners": shared}),
        ("ListKeys", {"marker": "nonsense"}),
        ("ListKeys", {"marker": "ÿ"}),
        ("ListKeys", {"marker": keys[:-4] + "AAAA"}),
        ("ListAliases", {"marker": of_key}),
        ("ListAliases", {"marker": aliases, "key_id": key.key_id}),
        ("ListKeyRotations", {"marker": keys, "key_id": key.key_id}),
    ):
        with pytest.raises(InvalidMarkerException) as caught:
            await service.call(operation, **members)
        assert caught.value.message == ""
    assert len((await service.call("ListKeys", marker=keys, resource_owners=("SELF",))).keys) == 1


async def test_no_other_account_shares_keys(service: Service) -> None:
    """ListKeys of what others share is empty; both owners together are our own keys."""
    await service.create_key()
    others = await service.call("ListKeys", resource_owners=("OTHER_ACCOUNTS_VIA_RAM",))
    assert (others.keys, others.truncated) == ((), False)
    both = await service.call("ListKeys", resource_owners=("OTHER_ACCOUNTS_VIA_RAM", "SELF"))
    assert len(both.keys) == 1


async def test_disable_and_enable(service: Service) -> None:
    """Both may be repeated; the key says which it is."""
    key = (await service.create_key()).key_id
    for operation, enabled in (("DisableKey", False), ("DisableKey", False), ("EnableKey", True)):
        await service.call(operation, key_id=key)
        metadata = (await service.call("DescribeKey", key_id=key)).key_metadata
        assert metadata.enabled is enabled
        assert metadata.key_state is (KeyState.ENABLED if enabled else KeyState.DISABLED)


async def test_update_key_description(service: Service) -> None:
    """A description is replaced, also by nothing."""
    key = (await service.create_key(description="old")).key_id
    for text in ("neu ☂", ""):
        await service.call("UpdateKeyDescription", key_id=key, description=text)
        assert (await service.call("DescribeKey", key_id=key)).key_metadata.description == text


@pytest.mark.parametrize(("window", "days"), [(None, 30), (7, 7), (30, 30)])
async def test_schedule_and_cancel_deletion(service: Service, window: int | None, days: int) -> None:
    """The key is unusable at once, its date is told, and after the cancellation it is disabled."""
    key = await service.create_key()
    answer = await service.call("ScheduleKeyDeletion", key_id=key.key_id, pending_window_in_days=window)
    assert (answer.key_id, answer.key_state) == (key.arn, KeyState.PENDING_DELETION)
    assert (answer.deletion_date, answer.pending_window_in_days) == (START + days * DAY, days)
    metadata = (await service.call("DescribeKey", key_id=key.key_id)).key_metadata
    assert (metadata.enabled, metadata.deletion_date) == (False, START + days * DAY)
    assert metadata.pending_deletion_window_in_days is None
    assert (await service.call("CancelKeyDeletion", key_id=key.arn)).key_id == key.arn
    metadata = (await service.call("DescribeKey", key_id=key.key_id)).key_metadata
    assert (metadata.key_state, metadata.deletion_date) == (KeyState.DISABLED, None)


@pytest.mark.parametrize(
    ("window", "bound"),
    [
        (0, "greater than or equal to 1"),
        (1, "greater than or equal to 7"),
        (6, "greater than or equal to 7"),
        (31, "less than or equal to 30"),
        (366, "less than or equal to 365"),
    ],
)
async def test_deletion_windows_that_are_refused(service: Service, window: int, bound: str) -> None:
    """The guide's 7 to 30 days count, not the model's 1 to 365."""
    key = (await service.create_key()).key_id
    body = json.dumps({"KeyId": key, "PendingWindowInDays": window}).encode()
    with pytest.raises(ValidationException) as caught:
        await service.send("ScheduleKeyDeletion", body)
    assert caught.value.message == (
        f"1 validation error detected: Value '{window}' at 'pendingWindowInDays' failed to satisfy "
        f"constraint: Member must have value {bound}"
    )
    assert service.key(key).key_state is KeyState.ENABLED


async def test_operations_of_another_version(service: Service) -> None:
    """An operation that does not exist is said not to, and is no event of any key."""
    with pytest.raises(UnknownOperationException):
        await service.send("SignAll", b"{}")
    assert service.records() == []


async def test_keys_of_other_origins_show_as_they_are(service: Service) -> None:
    """Metadata shows encryption algorithms only for keys that encrypt, and no old name for new specs."""
    key = (await service.create_key()).key_id
    service.force(key, key_spec=KeySpec.ML_DSA_44, key_usage=KeyUsage.SIGN_VERIFY, origin=Origin.EXTERNAL)
    metadata = (await service.call("DescribeKey", key_id=key)).key_metadata
    assert (metadata.encryption_algorithms, metadata.customer_master_key_spec) == (None, None)
    assert (metadata.key_spec, metadata.origin) == (KeySpec.ML_DSA_44, Origin.EXTERNAL)
