"""Owns the table's rows of the operations on custom key stores."""

from typing import Final

from agent.api import errors
from agent.api.rows.operation import Operation
from agent.api.shapes import keystores
from agent.api.shapes.base import Empty

CREATE_CUSTOM_KEY_STORE: Final = Operation(
    "CreateCustomKeyStore",
    keystores.CreateCustomKeyStoreRequest,
    keystores.CreateCustomKeyStoreResponse,
    "kms:CreateCustomKeyStore",
    (
        errors.CloudHsmClusterInUseException,
        errors.CustomKeyStoreNameInUseException,
        errors.CloudHsmClusterNotFoundException,
        errors.KMSInternalException,
        errors.CloudHsmClusterNotActiveException,
        errors.IncorrectTrustAnchorException,
        errors.CloudHsmClusterInvalidConfigurationException,
        errors.LimitExceededException,
        errors.XksProxyUriInUseException,
        errors.XksProxyUriEndpointInUseException,
        errors.XksProxyUriUnreachableException,
        errors.XksProxyIncorrectAuthenticationCredentialException,
        errors.XksProxyVpcEndpointServiceInUseException,
        errors.XksProxyVpcEndpointServiceNotFoundException,
        errors.XksProxyVpcEndpointServiceInvalidConfigurationException,
        errors.XksProxyInvalidResponseException,
        errors.XksProxyInvalidConfigurationException,
    ),
)
UPDATE_CUSTOM_KEY_STORE: Final = Operation(
    "UpdateCustomKeyStore",
    keystores.UpdateCustomKeyStoreRequest,
    Empty,
    "kms:UpdateCustomKeyStore",
    (
        errors.CustomKeyStoreNotFoundException,
        errors.CustomKeyStoreNameInUseException,
        errors.CloudHsmClusterNotFoundException,
        errors.CloudHsmClusterNotRelatedException,
        errors.CustomKeyStoreInvalidStateException,
        errors.KMSInternalException,
        errors.CloudHsmClusterNotActiveException,
        errors.CloudHsmClusterInvalidConfigurationException,
        errors.XksProxyUriInUseException,
        errors.XksProxyUriEndpointInUseException,
        errors.XksProxyUriUnreachableException,
        errors.XksProxyIncorrectAuthenticationCredentialException,
        errors.XksProxyVpcEndpointServiceInUseException,
        errors.XksProxyVpcEndpointServiceNotFoundException,
        errors.XksProxyVpcEndpointServiceInvalidConfigurationException,
        errors.XksProxyInvalidResponseException,
        errors.XksProxyInvalidConfigurationException,
    ),
)
DELETE_CUSTOM_KEY_STORE: Final = Operation(
    "DeleteCustomKeyStore",
    keystores.DeleteCustomKeyStoreRequest,
    Empty,
    "kms:DeleteCustomKeyStore",
    (
        errors.CustomKeyStoreHasCMKsException,
        errors.CustomKeyStoreInvalidStateException,
        errors.CustomKeyStoreNotFoundException,
        errors.KMSInternalException,
    ),
)
DESCRIBE_CUSTOM_KEY_STORES: Final = Operation(
    "DescribeCustomKeyStores",
    keystores.DescribeCustomKeyStoresRequest,
    keystores.DescribeCustomKeyStoresResponse,
    "kms:DescribeCustomKeyStores",
    (
        errors.CustomKeyStoreNotFoundException,
        errors.InvalidMarkerException,
        errors.KMSInternalException,
    ),
)
CONNECT_CUSTOM_KEY_STORE: Final = Operation(
    "ConnectCustomKeyStore",
    keystores.ConnectCustomKeyStoreRequest,
    Empty,
    "kms:ConnectCustomKeyStore",
    (
        errors.CloudHsmClusterNotActiveException,
        errors.CustomKeyStoreInvalidStateException,
        errors.CustomKeyStoreNotFoundException,
        errors.KMSInternalException,
        errors.CloudHsmClusterInvalidConfigurationException,
    ),
)
DISCONNECT_CUSTOM_KEY_STORE: Final = Operation(
    "DisconnectCustomKeyStore",
    keystores.DisconnectCustomKeyStoreRequest,
    Empty,
    "kms:DisconnectCustomKeyStore",
    (
        errors.CustomKeyStoreInvalidStateException,
        errors.CustomKeyStoreNotFoundException,
        errors.KMSInternalException,
    ),
)
