"""What a record says, in CloudTrail's shape, and what it never says."""

from dataclasses import replace

import botocore.session
import msgspec
import pytest
from botocore.model import ServiceModel

from agent.api.enums import (
    AccessKeyStatus,
    DataKeySpec,
    GrantOperation,
    KeyState,
    Origin,
    SigningAlgorithmSpec,
)
from agent.api.operations import OPERATIONS
from agent.api.shapes.access_keys import CreateAccessKeyResponse
from agent.api.shapes.aliases import CreateAliasRequest
from agent.api.shapes.base import Empty, Shape
from agent.api.shapes.cryptographic import (
    DecryptRequest,
    EncryptRequest,
    GenerateDataKeyRequest,
    ReEncryptResponse,
)
from agent.api.shapes.grants import CreateGrantRequest, CreateGrantResponse, GrantConstraints
from agent.api.shapes.keys import CreateKeyResponse, KeyMetadata, ListKeysRequest, ScheduleKeyDeletionResponse
from agent.audit.elements import OWN_RECORDED, RECORDED, request_parameters
from agent.audit.entry import AuditEntry
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


WRITES = [
    "CancelKeyDeletion",
    "ConnectCustomKeyStore",
    "CreateAlias",
    "CreateCustomKeyStore",
    "CreateGrant",
    "CreateKey",
    "DeleteAlias",
    "DeleteCustomKeyStore",
    "DeleteImportedKeyMaterial",
    "DisableKey",
    "DisableKeyRotation",
    "DisconnectCustomKeyStore",
    "EnableKey",
    "EnableKeyRotation",
    "ImportKeyMaterial",
    "PutKeyPolicy",
    "ReplicateKey",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateCustomKeyStore",
    "UpdateKeyDescription",
    "UpdatePrimaryRegion",
]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_read_only(name: str) -> None:
    """Every operation that changes a key, an alias or a policy is recorded as a write, and no other."""
    assert an_entry(ALICE, name).read_only == (name not in WRITES)


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
    assert not {name for name in OWN_RECORDED if "secret" in name or "token" in name}
    assert not recorded & secrets
    assert recorded | secrets == set(members)


SECRET = "a token or a secret"  # noqa: S105 -- only the looks of one
METADATA = KeyMetadata(
    aws_account_id=ACCOUNT_ID,
    key_id="k",
    creation_date=1_660_171_107.5,
    enabled=False,
    origin=Origin.EXTERNAL,
    multi_region=False,
    signing_algorithms=(SigningAlgorithmSpec.ED25519_SHA_512,),
)

# An operation, what it answered, and what is recorded of that: as in the samples of the AWS KMS developer
# guide, "Understanding AWS KMS log entries".
ANSWERS: list[tuple[str, Shape, dict[str, object] | None]] = [
    ("DisableKey", Empty(), {"keyId": a_key().arn}),
    ("CreateAlias", Empty(), {"keyId": a_key().arn}),
    (
        "CreateGrant",
        CreateGrantResponse(grant_token=SECRET, grant_id="g"),
        {"keyId": a_key().arn, "grantId": "g"},
    ),
    (
        "CreateKey",
        CreateKeyResponse(key_metadata=METADATA),
        {
            "keyMetadata": {
                "AWSAccountId": ACCOUNT_ID,
                "keyId": "k",
                "creationDate": "Aug 10, 2022, 10:38:27 PM",
                "enabled": False,
                "origin": "EXTERNAL",
                "multiRegion": False,
                "signingAlgorithms": ["ED25519_SHA_512"],
            }
        },
    ),
    (
        "ScheduleKeyDeletion",
        ScheduleKeyDeletionResponse(
            key_id="k",
            deletion_date=1_618_253_910.0,
            key_state=KeyState.PENDING_DELETION,
            pending_window_in_days=20,
        ),
        {
            "keyId": a_key().arn,
            "keyState": "PendingDeletion",
            "deletionDate": "Apr 12, 2021, 6:58:30 PM",
            "pendingWindowInDays": 20,
        },
    ),
    (
        "CreateAccessKey",
        CreateAccessKeyResponse(
            access_key_id="AKIA",
            secret_access_key=SECRET,
            principal_arn=ALICE.arn,
            status=AccessKeyStatus.ACTIVE,
            create_date=0,
        ),
        {"accessKeyId": "AKIA", "principalArn": ALICE.arn, "status": "Active"},
    ),
]


@pytest.mark.parametrize(("name", "response", "expected"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_answers(name: str, response: Shape, expected: dict[str, object] | None) -> None:
    """Of a change it is told what it made, never a token or a secret."""
    entry = an_entry(ALICE, name)
    entry.add_resource(a_key().arn)
    entry.set_response(response)
    assert msgspec.json.decode(msgspec.json.encode(entry.to_record()["responseElements"])) == expected
    assert SECRET not in str(entry.to_record())


def test_answers_of_reads() -> None:
    """Of an answer that changed nothing only the key material is told that served."""
    entry = an_entry(ALICE, "ReEncrypt")
    entry.set_response(
        ReEncryptResponse(
            ciphertext_blob=b"c", key_id="k", source_key_material_id="a", destination_key_material_id="b"
        )
    )
    record = entry.to_record()
    assert record["responseElements"] is None
    assert record["additionalEventData"] == {"sourceKeyMaterialId": "a", "destinationKeyMaterialId": "b"}


def test_aliases_are_resources() -> None:
    """What makes, moves or deletes an alias names the key and the alias."""
    entry = an_entry(ALICE, "CreateAlias")
    entry.set_request(CreateAliasRequest(alias_name="alias/a", target_key_id="k"))
    entry.add_resource(a_key().arn)
    record = entry.to_record()
    alias = f"arn:aws:kms:{REGION}:{ACCOUNT_ID}:alias/a"
    assert record["resources"] == [
        {"accountId": ACCOUNT_ID, "type": "AWS::KMS::Key", "ARN": arn} for arn in (a_key().arn, alias)
    ]


def test_nested_parameters() -> None:
    """Structures in a request have CloudTrail's spelling, too."""
    request = CreateGrantRequest(
        key_id="k",
        grantee_principal=ALICE.arn,
        operations=(GrantOperation.ENCRYPT,),
        constraints=GrantConstraints(encryption_context_subset={"A": "B"}),
        grant_tokens=("secret",),
    )
    assert request_parameters(request) == {
        "keyId": "k",
        "granteePrincipal": ALICE.arn,
        "operations": ["Encrypt"],
        "constraints": {"encryptionContextSubset": {"A": "B"}},
    }


SESSION = replace(
    ALICE,
    arn=f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/backup/nightly",
    kind="AssumedRole",
    role_arn=f"arn:aws:iam::{ACCOUNT_ID}:role/backup",
    access_key_id="ASIA",
)


def test_other_identities() -> None:
    """A session names its role, and a caller who could not be made out is unknown."""
    assert an_entry(SESSION).to_record()["userIdentity"] == {
        "type": "AssumedRole",
        "principalId": "AIDAALICE",
        "arn": SESSION.arn,
        "accountId": ACCOUNT_ID,
        "accessKeyId": "ASIA",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": SESSION.role_arn,
                "accountId": ACCOUNT_ID,
                "userName": "backup",
            }
        },
    }
    unknown = an_entry(Principal("", "", "", access_key_id="AKIA")).to_record()
    assert unknown["userIdentity"] == {"type": "Unknown", "accessKeyId": "AKIA"}
    assert unknown["eventType"] == "AwsApiCall"


def test_the_agents_own_operations() -> None:
    """What AWS does in IAM does not pass for an event of AWS KMS."""
    assert an_entry(ALICE, "CreateAccessKey").to_record()["eventSource"] == "kms-agent"
    assert an_entry(ALICE, "CreateKey").to_record()["eventSource"] == "kms.amazonaws.com"


@pytest.fixture(scope="module")
def kms_model() -> ServiceModel:
    """AWS's own model of the API."""
    return botocore.session.get_session().get_service_model("kms")
