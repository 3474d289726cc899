"""Owns one audit record while its request runs, and its CloudTrail shape. Knows nothing of files or chains.

Shape: CloudTrail record contents, version 1.11 (docs.aws.amazon.com/awscloudtrail, "CloudTrail record
contents").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.api import arn as arns
from agent.api.operations import ADMINISTRATION
from agent.audit.elements import materials, recipient, request_parameters, response_elements
from agent.audit.layout import timestamp
from agent.crypto.attestation import Attestation
from agent.keys.principal import Principal, PrincipalKind

EVENT_VERSION: Final = "1.11"
_SOURCE: Final = "kms.amazonaws.com"
_OWN_SOURCE: Final = "kms-agent"
_IDENTITY_TYPES: Final[Mapping[PrincipalKind, str]] = {
    "Account": "Root",
    "User": "IAMUser",
    "AssumedRole": "AssumedRole",
}
_UNKNOWN: Final = "Unknown"
_WRITES: Final = (
    "Cancel",
    "Connect",
    "Create",
    "Delete",
    "Disable",
    "Disconnect",
    "Enable",
    "Import",
    "Put",
    "Replicate",
    "Retire",
    "Revoke",
    "Rotate",
    "Schedule",
    "Tag",
    "Untag",
    "Update",
)


@dataclass(slots=True)
class AuditEntry:
    """What will be recorded of one request; whoever handles it fills in what it finds out.

    Attributes:
        principal: the caller; None for what the service does by itself.
        event_name: the operation, in AWS's spelling.
        event_time: seconds since the epoch.
        source: where the request came from, CloudTrail's `sourceIPAddress`.
        resources: ARNs of the keys concerned.
        alias_arn: the alias that the request makes, moves or deletes.
        response_elements: what a write answered, never with secrets.
        additional_event_data: more about the event, such as `keyMaterialId`.
        service_event_details: what the service did, when there is no caller.
    """

    principal: Principal | None
    event_name: str
    request_id: str
    event_id: str
    event_time: float
    source: str
    region: str
    account_id: str
    user_agent: str | None = None
    request_parameters: dict[str, object] | None = None
    response_elements: dict[str, object] | None = None
    additional_event_data: dict[str, object] | None = None
    service_event_details: dict[str, object] | None = None
    resources: list[str] = field(default_factory=list)
    alias_arn: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def read_only(self) -> bool:
        """Whether the operation changes nothing."""
        return not self.event_name.startswith(_WRITES)

    @property
    def is_change(self) -> bool:
        """Whether it tells of something that was changed."""
        return not self.read_only and self.error_code is None

    def set_request(self, request: object) -> None:
        """Record the parameters of a request shape that may be recorded, and the alias it is about."""
        self.request_parameters = request_parameters(request)
        alias_name = getattr(request, "alias_name", None)
        if alias_name is not None:
            self.alias_arn = arns.alias_arn(self.region, self.account_id, alias_name)

    def set_response(self, response: object) -> None:
        """Record what may be recorded of an answer: of a change what it made, else which material served."""
        if self.read_only:
            self.additional_event_data = materials(response) or self.additional_event_data
        else:
            key_arn = next(iter(self.resources), None)
            self.response_elements = response_elements(self.event_name, response, key_arn)

    def set_recipient(self, attestation: Attestation | None) -> None:
        """Record the enclave that the answer is encrypted to, if there is one."""
        if attestation is not None:
            self.additional_event_data = {"recipient": recipient(attestation)}

    def add_resource(self, key_arn: str) -> None:
        """Record a key that the request concerns, once."""
        if key_arn not in self.resources:
            self.resources.append(key_arn)

    def to_record(self) -> dict[str, object]:
        """Return the record in CloudTrail's shape; absent optional members are left out."""
        service_event = self.principal is None
        record: dict[str, object] = {
            "eventVersion": EVENT_VERSION,
            "userIdentity": _user_identity(self.principal, self.account_id),
            "eventTime": timestamp(self.event_time),
            "eventSource": _OWN_SOURCE if self.event_name in ADMINISTRATION else _SOURCE,
            "eventName": self.event_name,
            "awsRegion": self.region,
            "sourceIPAddress": self.source,
        }
        if self.user_agent is not None:
            record["userAgent"] = self.user_agent
        if self.error_code is not None:
            record["errorCode"] = self.error_code
        if self.error_message is not None:
            record["errorMessage"] = self.error_message
        record["requestParameters"] = self.request_parameters
        record["responseElements"] = self.response_elements
        if self.additional_event_data is not None:
            record["additionalEventData"] = self.additional_event_data
        record["requestID"] = self.request_id
        record["eventID"] = self.event_id
        record["readOnly"] = self.read_only
        record["resources"] = [_resource(arn) for arn in (*self.resources, self.alias_arn) if arn is not None]
        record["eventType"] = "AwsServiceEvent" if service_event else "AwsApiCall"
        record["managementEvent"] = True
        record["recipientAccountId"] = self.account_id
        if self.service_event_details is not None:
            record["serviceEventDetails"] = self.service_event_details
        record["eventCategory"] = "Management"
        return record


def _user_identity(principal: Principal | None, account_id: str) -> dict[str, object]:
    """Return `userIdentity` (CloudTrail user guide, "CloudTrail userIdentity element")."""
    if principal is None:
        return {"accountId": account_id, "invokedBy": "AWS Internal"}
    identity: dict[str, object] = {
        "type": _IDENTITY_TYPES[principal.kind] if principal.arn else _UNKNOWN,
        "principalId": principal.principal_id,
        "arn": principal.arn,
        "accountId": principal.account_id,
        "accessKeyId": principal.access_key_id,
    }
    if principal.kind == "User" and principal.arn:
        identity["userName"] = principal.arn.rpartition("/")[2]
    if principal.role_arn is not None:
        identity["sessionContext"] = {
            "sessionIssuer": {
                "type": "Role",
                "arn": principal.role_arn,
                "accountId": principal.account_id,
                "userName": principal.role_arn.rpartition("/")[2],
            }
        }
    if principal.via_service is not None:
        identity["invokedBy"] = principal.via_service
    return {name: value for name, value in identity.items() if value}


def _resource(arn: str) -> dict[str, object]:
    account_id = arn.split(":", 5)[4]
    return {"accountId": account_id, "type": "AWS::KMS::Key", "ARN": arn}
