"""Custom key stores, through the pipeline: there are none, and every request is told so in AWS's way."""

import json
from typing import Any, Final

import pytest

from agent.api.errors import (
    AccessDeniedException,
    CloudHsmClusterNotFoundException,
    CustomKeyStoreNotFoundException,
    InvalidMarkerException,
    ServiceError,
    UnsupportedOperationException,
    ValidationException,
    XksProxyUriUnreachableException,
    XksProxyVpcEndpointServiceNotFoundException,
)
from agent.api.shapes.keystores import XksProxyAuthenticationCredentialType
from services import Service

STORE: Final = "cks-1234567890abcdef0"
SECRET: Final = "DXjSUawnel2fr6SKC7G25CNxTyWKE5PF9XX6H/u9pSo="  # noqa: S105 -- the example of AWS's documentation
HSM: Final[dict[str, Any]] = {
    "custom_key_store_name": "store",
    "cloud_hsm_cluster_id": "cluster-2a23b4cdefg",
    "trust_anchor_certificate": "-----BEGIN CERTIFICATE-----",
    "key_store_password": "kmsPswd12",
}
XKS: Final[dict[str, Any]] = {
    "custom_key_store_name": "store",
    "custom_key_store_type": "EXTERNAL_KEY_STORE",
    "xks_proxy_uri_endpoint": "https://proxy.example.com",
    "xks_proxy_uri_path": "/kms/xks/v1",
    "xks_proxy_connectivity": "PUBLIC_ENDPOINT",
    "xks_proxy_authentication_credential": XksProxyAuthenticationCredentialType(
        access_key_id="ABCDE2345672EXAMPLE2",
        raw_secret_access_key=SECRET,
    ),
}
VPC: Final = XKS | {
    "xks_proxy_connectivity": "VPC_ENDPOINT_SERVICE",
    "xks_proxy_vpc_endpoint_service_name": "com.amazonaws.vpce.us-east-1.vpce-svc-example",
}


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    """Return members without one of them."""
    return {member: value for member, value in members.items() if member != name}


CREATIONS: Final[list[tuple[dict[str, Any], type[ServiceError], str]]] = [
    (HSM, CloudHsmClusterNotFoundException, "cluster-2a23b4cdefg"),
    (HSM | {"custom_key_store_type": "AWS_CLOUDHSM"}, CloudHsmClusterNotFoundException, "cluster"),
    (XKS, XksProxyUriUnreachableException, "https://proxy.example.com/kms/xks/v1"),
    (VPC, XksProxyVpcEndpointServiceNotFoundException, "vpce-svc-example"),
    *(
        (without(HSM, member), ValidationException, "is required for a custom key store of type AWS_CLOUDHSM")
        for member in ("cloud_hsm_cluster_id", "trust_anchor_certificate", "key_store_password")
    ),
    *(
        (without(XKS, member), ValidationException, "is required for a custom key store of type EXTERNAL")
        for member in XKS
        if member.startswith("xks_")
    ),
    (HSM | {"xks_proxy_uri_path": "/kms/xks/v1"}, ValidationException, "XksProxyUriPath is not valid"),
    (XKS | {"key_store_password": "kmsPswd12"}, ValidationException, "KeyStorePassword is not valid"),
    (VPC | {"xks_proxy_connectivity": "PUBLIC_ENDPOINT"}, ValidationException, "is not valid for a proxy"),
    (without(VPC, "xks_proxy_vpc_endpoint_service_name"), ValidationException, "is required for VPC"),
    (HSM | {"cloud_hsm_cluster_id": "cluster-1"}, ValidationException, "cloudHsmClusterId"),
    (XKS | {"xks_proxy_uri_endpoint": "http://a.example"}, ValidationException, "xksProxyUriEndpoint"),
]


@pytest.mark.parametrize(("members", "error", "text"), CREATIONS)
async def test_creation(
    service: Service, members: dict[str, Any], error: type[ServiceError], text: str
) -> None:
    """First the members are checked, then what they name is not there; no secret is recorded or answered."""
    with pytest.raises(error) as caught:
        await service.call("CreateCustomKeyStore", **members)
    assert type(caught.value) is error
    assert text in caught.value.message
    shown = json.dumps(service.records()) + caught.value.message
    assert SECRET not in shown
    assert "kmsPswd12" not in shown


@pytest.mark.parametrize(
    ("operation", "members", "error"),
    [
        ("UpdateCustomKeyStore", {"new_custom_key_store_name": "b"}, CustomKeyStoreNotFoundException),
        ("UpdateCustomKeyStore", {"key_store_password": "kmsPswd12"}, CustomKeyStoreNotFoundException),
        ("UpdateCustomKeyStore", {"xks_proxy_uri_path": "/kms/xks/v1"}, CustomKeyStoreNotFoundException),
        ("UpdateCustomKeyStore", {}, ValidationException),
        (
            "UpdateCustomKeyStore",
            {"key_store_password": "kmsPswd12", "xks_proxy_uri_path": "/kms/xks/v1"},
            ValidationException,
        ),
        ("DeleteCustomKeyStore", {}, CustomKeyStoreNotFoundException),
        ("ConnectCustomKeyStore", {}, CustomKeyStoreNotFoundException),
        ("DisconnectCustomKeyStore", {}, CustomKeyStoreNotFoundException),
        ("DescribeCustomKeyStores", {}, CustomKeyStoreNotFoundException),
        ("DescribeCustomKeyStores", {"custom_key_store_name": "b"}, ValidationException),
    ],
)
async def test_stores_that_are_not_there(
    service: Service, operation: str, members: dict[str, Any], error: type[ServiceError]
) -> None:
    """Contradictions are refused as such, everything else because there is no such store."""
    with pytest.raises(error) as caught:
        await service.call(operation, custom_key_store_id=STORE, **members)
    assert type(caught.value) is error


async def test_no_stores_are_listed(service: Service) -> None:
    """The list is empty, and no marker belongs to it."""
    response = await service.call("DescribeCustomKeyStores")
    assert (response.custom_key_stores, response.truncated, response.next_marker) == ((), False, None)
    with pytest.raises(InvalidMarkerException):
        await service.call("DescribeCustomKeyStores", marker="marker")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"origin": "AWS_CLOUDHSM"}, CustomKeyStoreNotFoundException),
        ({"origin": "EXTERNAL_KEY_STORE", "xks_key_id": "k"}, CustomKeyStoreNotFoundException),
        ({"origin": "AWS_CLOUDHSM", "multi_region": True}, UnsupportedOperationException),
        ({"origin": "EXTERNAL_KEY_STORE"}, ValidationException),
        ({}, ValidationException),
    ],
)
async def test_no_keys_are_made_in_stores(
    service: Service, members: dict[str, Any], error: type[ServiceError]
) -> None:
    """CreateKey checks what it is given, and then does not find the store."""
    with pytest.raises(error) as caught:
        await service.create_key(custom_key_store_id=STORE, **members)
    assert type(caught.value) is error
    assert service.kms.store.keys("local") == ()


@pytest.mark.parametrize("operation", ["CreateCustomKeyStore", "DescribeCustomKeyStores"])
async def test_stores_are_for_administrators(service: Service, operation: str) -> None:
    """Identity policies decide, and who has none learns nothing."""
    members = HSM if operation == "CreateCustomKeyStore" else {}
    with pytest.raises(AccessDeniedException, match="no identity-based policy allows"):
        await service.call(operation, service.callers.alice, **members)
