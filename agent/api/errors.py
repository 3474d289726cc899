"""Owns one class per AWS exception, and the way back from a code on the wire. Knows nothing of HTTP or JSON.

`ServiceError.code` is AWS's own name and `status` the HTTP status that AWS answers with. The classes modelled
for KMS derive from `ServiceError` itself, those common to all AWS services from `CommonError`.
"""
# ruff: noqa: N818 -- the classes bear AWS's names, which end in Exception

from collections.abc import Mapping
from typing import ClassVar, Final


class ServiceError(Exception):
    """Base of everything that the service answers instead of a result.

    Args:
        message: text for the caller, in AWS's wording; empty where AWS says nothing.
    """

    code: str = "ServiceError"
    status: ClassVar[int] = 400
    message_key: ClassVar[str] = "message"

    def __init_subclass__(cls) -> None:
        cls.code = cls.__name__

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class CommonError(ServiceError):
    """Base of the errors that no AWS model lists; they spell their message with a capital."""

    message_key: ClassVar[str] = "Message"


class UnknownServiceError(ServiceError):
    """An error whose code this version does not know.

    Args:
        code: the code on the wire.
        message: the message on the wire.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.code = code


class AlreadyExistsException(ServiceError):
    """The name is taken."""


class CloudHsmClusterInUseException(ServiceError):
    """The CloudHSM cluster already belongs to a custom key store."""


class CloudHsmClusterInvalidConfigurationException(ServiceError):
    """The CloudHSM cluster does not meet the requirements of a custom key store."""


class CloudHsmClusterNotActiveException(ServiceError):
    """The CloudHSM cluster is not active."""


class CloudHsmClusterNotFoundException(ServiceError):
    """There is no such CloudHSM cluster."""


class CloudHsmClusterNotRelatedException(ServiceError):
    """The CloudHSM cluster shares no backup history with the one of the custom key store."""


class ConflictException(ServiceError):
    """Another change of the same key is under way."""


class CustomKeyStoreHasCMKsException(ServiceError):
    """The custom key store still holds keys."""


class CustomKeyStoreInvalidStateException(ServiceError):
    """The connection state of the custom key store does not allow the operation."""


class CustomKeyStoreNameInUseException(ServiceError):
    """Another custom key store has that name."""


class CustomKeyStoreNotFoundException(ServiceError):
    """There is no such custom key store."""


class DependencyTimeoutException(ServiceError):
    """Something the service depends on did not answer in time."""

    status: ClassVar[int] = 500


class DisabledException(ServiceError):
    """The key is disabled."""


class DryRunOperationException(ServiceError):
    """The request would have succeeded, had DryRun not been set."""


class ExpiredImportTokenException(ServiceError):
    """The import token is older than 24 hours."""


class IncorrectKeyException(ServiceError):
    """The key named is not the key that encrypted the ciphertext."""


class IncorrectKeyMaterialException(ServiceError):
    """The key material is not the material expected."""


class IncorrectTrustAnchorException(ServiceError):
    """The trust anchor certificate is not the one of the CloudHSM cluster."""


class InvalidAliasNameException(ServiceError):
    """The alias name is not one that can be used."""


class InvalidArnException(ServiceError):
    """The ARN is malformed, or of a resource that the operation does not take."""


class InvalidCiphertextException(ServiceError):
    """The ciphertext, or the encryption context with it, does not authenticate."""


class InvalidGrantIdException(ServiceError):
    """There is no such grant."""


class InvalidGrantTokenException(ServiceError):
    """The grant token is not valid."""


class InvalidImportTokenException(ServiceError):
    """The import token is not valid for this key."""


class InvalidKeyUsageException(ServiceError):
    """The key usage or the algorithm does not fit the operation."""


class InvalidMarkerException(ServiceError):
    """The marker was not made by this service for this listing."""


class KeyUnavailableException(ServiceError):
    """The key cannot be used at the moment; the request may be tried again."""

    status: ClassVar[int] = 500


class KMSInternalException(ServiceError):
    """The service failed; the request may be tried again."""

    status: ClassVar[int] = 500


class KMSInvalidMacException(ServiceError):
    """The MAC does not verify."""


class KMSInvalidSignatureException(ServiceError):
    """The signature does not verify."""


class KMSInvalidStateException(ServiceError):
    """The state of the key does not allow the operation."""


class LimitExceededException(ServiceError):
    """A quota or a length limit is exceeded."""


class MalformedPolicyDocumentException(ServiceError):
    """The policy is not one that the service can evaluate, or would lock its author out."""


class NotFoundException(ServiceError):
    """There is no such key or alias."""


class TagException(ServiceError):
    """A tag is not valid."""


class UnsupportedOperationException(ServiceError):
    """The operation or parameter does not go with this key, or is not supported."""


class XksKeyAlreadyInUseException(ServiceError):
    """Another KMS key uses the external key."""


class XksKeyInvalidConfigurationException(ServiceError):
    """The external key does not meet the requirements."""


class XksKeyNotFoundException(ServiceError):
    """There is no such external key."""


class XksProxyIncorrectAuthenticationCredentialException(ServiceError):
    """The external key store proxy refused the credential."""


class XksProxyInvalidConfigurationException(ServiceError):
    """The external key store proxy is not configured as required."""


class XksProxyInvalidResponseException(ServiceError):
    """The external key store proxy answered something unexpected."""


class XksProxyUriEndpointInUseException(ServiceError):
    """Another external key store uses the proxy endpoint."""


class XksProxyUriInUseException(ServiceError):
    """Another external key store uses the proxy URI."""


class XksProxyUriUnreachableException(ServiceError):
    """The external key store proxy cannot be reached."""


class XksProxyVpcEndpointServiceInUseException(ServiceError):
    """Another external key store uses the VPC endpoint service."""


class XksProxyVpcEndpointServiceInvalidConfigurationException(ServiceError):
    """The VPC endpoint service does not meet the requirements."""


class XksProxyVpcEndpointServiceNotFoundException(ServiceError):
    """There is no such VPC endpoint service."""


class AccessDeniedException(CommonError):
    """The caller may not do this."""


class ExpiredTokenException(CommonError):
    """The session token has expired."""


class IncompleteSignatureException(CommonError):
    """The signature of the request is malformed or lacks a part."""


class InvalidSignatureException(CommonError):
    """The signature of the request does not match."""


class MissingAuthenticationTokenException(CommonError):
    """The request is not signed."""


class NotAuthorizedException(CommonError):
    """The name is reserved to the service."""


class SerializationException(CommonError):
    """The body of the request is not JSON, or a value in it is of the wrong type."""


class ThrottlingException(CommonError):
    """Too many requests; the request may be tried again later."""


class UnknownOperationException(CommonError):
    """There is no such operation."""


class UnrecognizedClientException(CommonError):
    """The access key is unknown."""


class ValidationException(CommonError):
    """A value in the request breaks a constraint."""


_MODELLED: Final = (
    AlreadyExistsException,
    CloudHsmClusterInUseException,
    CloudHsmClusterInvalidConfigurationException,
    CloudHsmClusterNotActiveException,
    CloudHsmClusterNotFoundException,
    CloudHsmClusterNotRelatedException,
    ConflictException,
    CustomKeyStoreHasCMKsException,
    CustomKeyStoreInvalidStateException,
    CustomKeyStoreNameInUseException,
    CustomKeyStoreNotFoundException,
    DependencyTimeoutException,
    DisabledException,
    DryRunOperationException,
    ExpiredImportTokenException,
    IncorrectKeyException,
    IncorrectKeyMaterialException,
    IncorrectTrustAnchorException,
    InvalidAliasNameException,
    InvalidArnException,
    InvalidCiphertextException,
    InvalidGrantIdException,
    InvalidGrantTokenException,
    InvalidImportTokenException,
    InvalidKeyUsageException,
    InvalidMarkerException,
    KeyUnavailableException,
    KMSInternalException,
    KMSInvalidMacException,
    KMSInvalidSignatureException,
    KMSInvalidStateException,
    LimitExceededException,
    MalformedPolicyDocumentException,
    NotFoundException,
    TagException,
    UnsupportedOperationException,
    XksKeyAlreadyInUseException,
    XksKeyInvalidConfigurationException,
    XksKeyNotFoundException,
    XksProxyIncorrectAuthenticationCredentialException,
    XksProxyInvalidConfigurationException,
    XksProxyInvalidResponseException,
    XksProxyUriEndpointInUseException,
    XksProxyUriInUseException,
    XksProxyUriUnreachableException,
    XksProxyVpcEndpointServiceInUseException,
    XksProxyVpcEndpointServiceInvalidConfigurationException,
    XksProxyVpcEndpointServiceNotFoundException,
)
_COMMON: Final = (
    AccessDeniedException,
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    NotAuthorizedException,
    SerializationException,
    ThrottlingException,
    UnknownOperationException,
    UnrecognizedClientException,
    ValidationException,
)

MODELLED_ERRORS: Final[Mapping[str, type[ServiceError]]] = {error.code: error for error in _MODELLED}
"""The exceptions of the KMS model, by code."""

COMMON_ERRORS: Final[Mapping[str, type[ServiceError]]] = {error.code: error for error in _COMMON}
"""The exceptions that any AWS service may answer, by code."""


def error_from_wire(code: str, message: str) -> ServiceError:
    """Return the error that `code` (with or without a namespace) stands for, unknown codes included."""
    name = code.rpartition("#")[2].partition(":")[0]
    known = MODELLED_ERRORS.get(name) or COMMON_ERRORS.get(name)
    return UnknownServiceError(name, message) if known is None else known(message)
