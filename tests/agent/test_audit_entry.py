"""What a record says, in CloudTrail's shape, and what it never says."""

import botocore.session
import msgspec
import pytest
from botocore.model import ServiceModel

from agent.api.enums import DataKeySpec
from agent.api.operations import OPERATIONS
from agent.api.shapes.cryptographic import DecryptRequest, EncryptRequest, GenerateDataKeyRequest
from agent.api.shapes.keys import ListKeysRequest
from agent.audit.entry import AuditEntry
from agent.audit.parameters import RECORDED, request_parameters
from agent.keys.principal import Principal
from samples import ACCOUNT_ID, ALICE, REGION, ROOT, a_key


def an_entry(principal: Principal | None, event_name: str = "GenerateDataKey") -> AuditEntry:
    """Return the entry of a request at a fixed time."""
    return AuditEntry(
        principal=principal,
        event_name=event_name,
        request_id="request",
        event_id="event",
        event_time=1_800_000_000.75,
        source="unix",
        region=REGION,
        account_id=ACCOUNT_ID,
    )


def test_cloudtrail_shape() -> None:
    """A record has CloudTrail's members, in its spelling."""
    entry = an_entry(ALICE)
    entry.set_request(
        GenerateDataKeyRequest(
            key_id="alias/a", encryption_context={"a": "b"}, key_spec=DataKeySpec.AES_256, dry_run=False
        )
    )
    entry.add_resource(a_key().arn)
    entry.add_resource(a_key().arn)
    entry.additional_event_data = {"keyMaterialId": "m"}
    record = msgspec.json.decode(msgspec.json.encode(entry.to_record()))
    assert record == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAALICE",
            "arn": ALICE.arn,
            "accountId": ACCOUNT_ID,
            "userName": "alice",
        },
        "eventTime": "2027-01-15T08:00:00Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": "GenerateDataKey",
        "awsRegion": REGION,
        "sourceIPAddress": "unix",
        "requestParameters": {
            "keyId": "alias/a",
            "encryptionContext": {"a": "b"},
            "keySpec": "AES_256",
            "dryRun": False,
        },
        "responseElements": None,
        "additionalEventData": {"keyMaterialId": "m"},
        "requestID": "request",
        "eventID": "event",
        "readOnly": True,
        "resources": [{"accountId": ACCOUNT_ID, "type": "AWS::KMS::Key", "ARN": a_key().arn}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT_ID,
        "eventCategory": "Management",
    }


def test_root_and_service_identities() -> None:
    """The account root has no user name, and what the service does by itself is no API call."""
    root = an_entry(ROOT).to_record()
    assert root["userIdentity"] == {
        "type": "Root",
        "principalId": ACCOUNT_ID,
        "arn": ROOT.arn,
        "accountId": ACCOUNT_ID,
    }
    entry = an_entry(None, "RotateKey")
    entry.service_event_details = {"keyId": "k"}
    service = entry.to_record()
    assert service["userIdentity"] == {"accountId": ACCOUNT_ID, "invokedBy": "AWS Internal"}
    assert service["eventType"] == "AwsServiceEvent"
    assert service["serviceEventDetails"] == {"keyId": "k"}


READS = {
    "Decapsulate",
    "Decrypt",
    "DeriveSharedSecret",
    "DescribeKey",
    "Encapsulate",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GenerateRandom",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListKeyRotations",
    "ListKeys",
    "ReEncrypt",
    "Sign",
    "Verify",
}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_read_only(name: str) -> None:
    """Every operation that changes a key, an alias or a policy is recorded as a write, and no other."""
    reads = name in READS or name.startswith(("Get", "List", "Describe"))
    assert an_entry(ALICE, name).read_only == reads


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (DecryptRequest(ciphertext_blob=b"c", key_id="k"), {"keyId": "k"}),
        (EncryptRequest(plaintext=b"secret", key_id="k"), {"keyId": "k"}),
        (ListKeysRequest(), None),
        (object(), None),
    ],
)
def test_parameters(request_: object, expected: dict[str, object] | None) -> None:
    """Only what may be recorded is, and what is absent is left out."""
    assert request_parameters(request_) == expected


def test_no_secret_is_on_the_list(kms_model: ServiceModel) -> None:
    """No blob, and nothing that AWS marks as sensitive, in any input of the API may be recorded."""
    secrets = {"GrantToken", "GrantTokens", "Recipient", "TrustAnchorCertificate"}
    members = {}
    for operation in kms_model.operation_names:
        shape = kms_model.operation_model(operation).input_shape
        members |= shape.members if shape else {}
    secrets |= {
        name
        for name, shape in members.items()
        if shape.type_name == "blob" or shape.metadata.get("sensitive") or "Credential" in name
    }
    recorded = {name[0].upper() + name[1:] for name in RECORDED.values()}
    assert not recorded & secrets
    assert recorded | secrets == set(members)


@pytest.fixture(scope="module")
def kms_model() -> ServiceModel:
    """AWS's own model of the API."""
    return botocore.session.get_session().get_service_model("kms")
