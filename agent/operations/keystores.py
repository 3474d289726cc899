"""Owns the operations on custom key stores, of which there are none in this version.

Requests are checked as AWS checks them. What passes is answered as AWS answers where the store, the CloudHSM
cluster or the external key store proxy does not exist, because to this agent none does.
"""

from collections.abc import Mapping
from typing import Final

from agent.api import operations as api
from agent.api.enums import CustomKeyStoreType, XksProxyConnectivity
from agent.api.errors import (
    CloudHsmClusterNotFoundException,
    CustomKeyStoreNotFoundException,
    ServiceError,
    ValidationException,
    XksProxyUriUnreachableException,
    XksProxyVpcEndpointServiceNotFoundException,
)
from agent.api.shapes.base import Empty
from agent.api.shapes.keystores import (
    ConnectCustomKeyStoreRequest,
    CreateCustomKeyStoreRequest,
    CreateCustomKeyStoreResponse,
    CustomKeyStoresListEntry,
    DeleteCustomKeyStoreRequest,
    DescribeCustomKeyStoresRequest,
    DescribeCustomKeyStoresResponse,
    DisconnectCustomKeyStoreRequest,
    UpdateCustomKeyStoreRequest,
)
from agent.operations import handler
from agent.operations.kms import Caller, Keys, Kms
from agent.operations.pages import page

_LIST_LIMIT: Final = 100

_HSM_MEMBERS: Final[dict[str, str]] = {
    "cloud_hsm_cluster_id": "CloudHsmClusterId",
    "trust_anchor_certificate": "TrustAnchorCertificate",
    "key_store_password": "KeyStorePassword",
}
_XKS_MEMBERS: Final[dict[str, str]] = {
    "xks_proxy_uri_endpoint": "XksProxyUriEndpoint",
    "xks_proxy_uri_path": "XksProxyUriPath",
    "xks_proxy_authentication_credential": "XksProxyAuthenticationCredential",
    "xks_proxy_connectivity": "XksProxyConnectivity",
}
_VPC_MEMBERS: Final[dict[str, str]] = {
    "xks_proxy_vpc_endpoint_service_name": "XksProxyVpcEndpointServiceName",
    "xks_proxy_vpc_endpoint_service_owner": "XksProxyVpcEndpointServiceOwner",
}

ChangingRequest = CreateCustomKeyStoreRequest | UpdateCustomKeyStoreRequest
ExistingRequest = (
    UpdateCustomKeyStoreRequest
    | DeleteCustomKeyStoreRequest
    | ConnectCustomKeyStoreRequest
    | DisconnectCustomKeyStoreRequest
)


def check_create_custom_key_store(request: CreateCustomKeyStoreRequest) -> None:
    """Refuse members that are missing for the store's type, and those of the other type."""
    external = _type(request) is CustomKeyStoreType.EXTERNAL_KEY_STORE
    required, foreign = _HSM_MEMBERS, _XKS_MEMBERS | _VPC_MEMBERS
    if external:
        required, foreign = _XKS_MEMBERS, _HSM_MEMBERS
    for member, name in required.items():
        if getattr(request, member) is None:
            raise ValidationException(f"{name} is required for a custom key store of type {_type(request)}.")
    _refuse(request, foreign, f"a custom key store of type {_type(request)}")
    if external:
        _check_connectivity(request)
        if _in_vpc(request) and request.xks_proxy_vpc_endpoint_service_name is None:
            raise ValidationException("XksProxyVpcEndpointServiceName is required for VPC_ENDPOINT_SERVICE.")


def create_custom_key_store(
    _kms: Kms, _caller: Caller, _keys: Keys, request: CreateCustomKeyStoreRequest
) -> CreateCustomKeyStoreResponse:
    """Look for what the store would be connected to; it is not there."""
    raise _unreachable(request)


def check_update_custom_key_store(request: UpdateCustomKeyStoreRequest) -> None:
    """Refuse an update of nothing, and members that contradict each other."""
    changes = [name for name in request.__struct_fields__ if name != "custom_key_store_id"]
    if all(getattr(request, name) is None for name in changes):
        raise ValidationException("Nothing to update: give at least one property besides CustomKeyStoreId.")
    xks = _XKS_MEMBERS | _VPC_MEMBERS
    updated_hsm = {name: text for name, text in _HSM_MEMBERS.items() if name in request.__struct_fields__}
    if any(getattr(request, member) is not None for member in xks):
        _refuse(request, updated_hsm, "an external key store")
        _check_connectivity(request)


def refuse_existing(_kms: Kms, _caller: Caller, _keys: Keys, request: ExistingRequest) -> Empty:
    """Look for the store that the request names; it is not there."""
    raise no_such_store(request.custom_key_store_id)


def check_describe_custom_key_stores(request: DescribeCustomKeyStoresRequest) -> None:
    """Refuse to look for an id and a name at once."""
    if request.custom_key_store_id is not None and request.custom_key_store_name is not None:
        raise ValidationException("Specify either CustomKeyStoreId or CustomKeyStoreName, not both.")


def describe_custom_key_stores(
    _kms: Kms, _caller: Caller, _keys: Keys, request: DescribeCustomKeyStoresRequest
) -> DescribeCustomKeyStoresResponse:
    """Return no stores, or say that the one looked for is not there."""
    looked_for = request.custom_key_store_id or request.custom_key_store_name
    if looked_for is not None:
        raise no_such_store(looked_for)
    none: tuple[CustomKeyStoresListEntry, ...] = ()
    chosen, marker = page(
        none, _position, request.limit or _LIST_LIMIT, request.marker, "DescribeCustomKeyStores"
    )
    return DescribeCustomKeyStoresResponse(
        custom_key_stores=tuple(chosen), next_marker=marker, truncated=marker is not None
    )


def no_such_store(store: str) -> CustomKeyStoreNotFoundException:
    """Return the error for a custom key store that is not there, which is any."""
    return CustomKeyStoreNotFoundException(
        f"Custom key store {store} does not exist. This service keeps all key material itself."
    )


def _type(request: CreateCustomKeyStoreRequest) -> CustomKeyStoreType:
    return request.custom_key_store_type or CustomKeyStoreType.AWS_CLOUDHSM


def _in_vpc(request: ChangingRequest) -> bool:
    return request.xks_proxy_connectivity is XksProxyConnectivity.VPC_ENDPOINT_SERVICE


def _check_connectivity(request: ChangingRequest) -> None:
    if request.xks_proxy_connectivity is XksProxyConnectivity.PUBLIC_ENDPOINT:
        _refuse(request, _VPC_MEMBERS, "a proxy with PUBLIC_ENDPOINT connectivity")


def _refuse(request: ChangingRequest, members: Mapping[str, str], where: str) -> None:
    for member, name in members.items():
        if getattr(request, member) is not None:
            raise ValidationException(f"{name} is not valid for {where}.")


def _unreachable(request: CreateCustomKeyStoreRequest) -> ServiceError:
    if _type(request) is CustomKeyStoreType.AWS_CLOUDHSM:
        return CloudHsmClusterNotFoundException(
            f"There is no AWS CloudHSM cluster {request.cloud_hsm_cluster_id} that this service could use."
        )
    if _in_vpc(request):
        return XksProxyVpcEndpointServiceNotFoundException(
            f"There is no VPC endpoint service {request.xks_proxy_vpc_endpoint_service_name} that this "
            "service could use."
        )
    return XksProxyUriUnreachableException(
        f"This service cannot reach {request.xks_proxy_uri_endpoint}{request.xks_proxy_uri_path}: it speaks "
        "to no external key store proxy."
    )


def _position(entry: CustomKeyStoresListEntry) -> str:
    return str(entry.custom_key_store_id)


HANDLERS: Final = (
    handler.Handler(
        api.CREATE_CUSTOM_KEY_STORE,
        handler.account(api.CREATE_CUSTOM_KEY_STORE),
        create_custom_key_store,
        check_create_custom_key_store,
        mutates=True,
    ),
    handler.Handler(
        api.UPDATE_CUSTOM_KEY_STORE,
        handler.account(api.UPDATE_CUSTOM_KEY_STORE),
        refuse_existing,
        check_update_custom_key_store,
        mutates=True,
    ),
    handler.Handler(
        api.DESCRIBE_CUSTOM_KEY_STORES,
        handler.account(api.DESCRIBE_CUSTOM_KEY_STORES),
        describe_custom_key_stores,
        check_describe_custom_key_stores,
    ),
    *(
        handler.Handler(operation, handler.account(operation), refuse_existing, mutates=True)
        for operation in (
            api.DELETE_CUSTOM_KEY_STORE,
            api.CONNECT_CUSTOM_KEY_STORE,
            api.DISCONNECT_CUSTOM_KEY_STORE,
        )
    ),
)
