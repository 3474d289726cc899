"""Owns the shapes of the operations on custom key stores."""

from typing import Annotated, ClassVar

from msgspec import Meta

from agent.api.enums import ConnectionErrorCode, ConnectionState, CustomKeyStoreType, XksProxyConnectivity
from agent.api.shapes.base import CustomKeyStoreId, Limit, Marker, Shape, pattern
from agent.api.shapes.keys import ClusterId

CustomKeyStoreName = Annotated[str, Meta(min_length=1, max_length=256)]
TrustAnchorCertificate = Annotated[str, Meta(min_length=1, max_length=5000)]
KeyStorePassword = Annotated[str, Meta(min_length=7, max_length=32, extra={"sensitive": True})]
XksProxyUriEndpoint = Annotated[
    str, Meta(min_length=10, max_length=128), pattern(r"^https://[a-zA-Z0-9.-]+$")
]
XksProxyUriPath = Annotated[
    str,
    Meta(min_length=10, max_length=128),
    pattern(r"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$"),
]
XksProxyVpcEndpointServiceName = Annotated[
    str,
    Meta(min_length=20, max_length=64),
    pattern(r"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$"),
]
AccountId = Annotated[str, Meta(min_length=12, max_length=12), pattern(r"[0-9]{12}")]
XksProxyAuthenticationAccessKeyId = Annotated[
    str, Meta(min_length=20, max_length=30, extra={"sensitive": True}), pattern(r"^[A-Z2-7]+$")
]
XksProxyAuthenticationRawSecretAccessKey = Annotated[
    str, Meta(min_length=43, max_length=64, extra={"sensitive": True}), pattern(r"^[a-zA-Z0-9\/+=]+$")
]


class XksProxyAuthenticationCredentialType(Shape, frozen=True, kw_only=True):
    """What requests to an external key store proxy are signed with."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"access_key_id", "raw_secret_access_key"})

    access_key_id: XksProxyAuthenticationAccessKeyId
    raw_secret_access_key: XksProxyAuthenticationRawSecretAccessKey


class CreateCustomKeyStoreRequest(Shape, frozen=True, kw_only=True):
    """Request of CreateCustomKeyStore."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"key_store_password"})

    custom_key_store_name: CustomKeyStoreName
    cloud_hsm_cluster_id: ClusterId | None = None
    trust_anchor_certificate: TrustAnchorCertificate | None = None
    key_store_password: KeyStorePassword | None = None
    custom_key_store_type: CustomKeyStoreType | None = None
    xks_proxy_uri_endpoint: XksProxyUriEndpoint | None = None
    xks_proxy_uri_path: XksProxyUriPath | None = None
    xks_proxy_vpc_endpoint_service_name: XksProxyVpcEndpointServiceName | None = None
    xks_proxy_vpc_endpoint_service_owner: AccountId | None = None
    xks_proxy_authentication_credential: XksProxyAuthenticationCredentialType | None = None
    xks_proxy_connectivity: XksProxyConnectivity | None = None


class CreateCustomKeyStoreResponse(Shape, frozen=True, kw_only=True):
    """Response of CreateCustomKeyStore."""

    custom_key_store_id: CustomKeyStoreId


class UpdateCustomKeyStoreRequest(Shape, frozen=True, kw_only=True):
    """Request of UpdateCustomKeyStore."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"key_store_password"})

    custom_key_store_id: CustomKeyStoreId
    new_custom_key_store_name: CustomKeyStoreName | None = None
    key_store_password: KeyStorePassword | None = None
    cloud_hsm_cluster_id: ClusterId | None = None
    xks_proxy_uri_endpoint: XksProxyUriEndpoint | None = None
    xks_proxy_uri_path: XksProxyUriPath | None = None
    xks_proxy_vpc_endpoint_service_name: XksProxyVpcEndpointServiceName | None = None
    xks_proxy_vpc_endpoint_service_owner: AccountId | None = None
    xks_proxy_authentication_credential: XksProxyAuthenticationCredentialType | None = None
    xks_proxy_connectivity: XksProxyConnectivity | None = None


class DeleteCustomKeyStoreRequest(Shape, frozen=True, kw_only=True):
    """Request of DeleteCustomKeyStore."""

    custom_key_store_id: CustomKeyStoreId


class DescribeCustomKeyStoresRequest(Shape, frozen=True, kw_only=True):
    """Request of DescribeCustomKeyStores."""

    custom_key_store_id: CustomKeyStoreId | None = None
    custom_key_store_name: CustomKeyStoreName | None = None
    limit: Limit | None = None
    marker: Marker | None = None


class XksProxyConfigurationType(Shape, frozen=True, kw_only=True):
    """How an external key store proxy is reached."""

    sensitive_members: ClassVar[frozenset[str]] = frozenset({"access_key_id"})

    connectivity: XksProxyConnectivity | None = None
    access_key_id: XksProxyAuthenticationAccessKeyId | None = None
    uri_endpoint: XksProxyUriEndpoint | None = None
    uri_path: XksProxyUriPath | None = None
    vpc_endpoint_service_name: XksProxyVpcEndpointServiceName | None = None
    vpc_endpoint_service_owner: AccountId | None = None


class CustomKeyStoresListEntry(Shape, frozen=True, kw_only=True):
    """One custom key store in DescribeCustomKeyStores."""

    custom_key_store_id: CustomKeyStoreId | None = None
    custom_key_store_name: CustomKeyStoreName | None = None
    cloud_hsm_cluster_id: ClusterId | None = None
    trust_anchor_certificate: TrustAnchorCertificate | None = None
    connection_state: ConnectionState | None = None
    connection_error_code: ConnectionErrorCode | None = None
    creation_date: float | None = None
    custom_key_store_type: CustomKeyStoreType | None = None
    xks_proxy_configuration: XksProxyConfigurationType | None = None


class DescribeCustomKeyStoresResponse(Shape, frozen=True, kw_only=True):
    """Response of DescribeCustomKeyStores."""

    custom_key_stores: tuple[CustomKeyStoresListEntry, ...]
    next_marker: Marker | None = None
    truncated: bool | None = None


class ConnectCustomKeyStoreRequest(Shape, frozen=True, kw_only=True):
    """Request of ConnectCustomKeyStore."""

    custom_key_store_id: CustomKeyStoreId


class DisconnectCustomKeyStoreRequest(Shape, frozen=True, kw_only=True):
    """Request of DisconnectCustomKeyStore."""

    custom_key_store_id: CustomKeyStoreId
