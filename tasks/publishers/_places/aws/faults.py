"""Every way in which AWS's own client can fail, as what happens next; ``codes`` has what the services answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from tasks.rotation.errors import Broken, CredentialRejected, OperatorNeeded, RotatorError, Unavailable

TIMEOUT_S: Final = 5
"""For connecting, and for each answer. One small value is moved."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What one foreign error means to us."""

    family: type[RotatorError]
    problem: str
    remedy: str = ""
    lost: bool = False
    """Behind a request that changes something, it says nothing about the effect."""


_CLIENT_BUG: Final = Fault(Broken, "the AWS client was misused.")
_SETUP: Final = Fault(
    OperatorNeeded,
    "the worker's AWS configuration is wrong or incomplete.",
    "Look at ~/.aws/config and at the variables that begin with AWS_; as its user, try: aws sts get-caller-identity",
)
_NOBODY: Final = Fault(
    OperatorNeeded,
    "no AWS credentials were found for the worker.",
    "Give it a role (instance, container, web identity), a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
_LENDER: Final = Fault(
    OperatorNeeded,
    "the AWS credentials could not be fetched from where they are lent.",
    "As the worker's user, try: aws sts get-caller-identity",
)
_LOGIN: Final = Fault(
    CredentialRejected, "the AWS login has ended.", "Log in again, or better give the worker a role of its own."
)
_UNREACHABLE: Final = Fault(Unavailable, "AWS cannot be reached.", "If it lasts: region, network, proxy and endpoint.")
_CUT_OFF: Final = Fault(Unavailable, "the connection to AWS was lost.", lost=True)
GIBBERISH: Final = Fault(
    Broken,
    "the answer is none that this service of AWS gives.",
    "Check the endpoint and what stands between.",
    lost=True,
)
_REGION: Final = Fault(
    OperatorNeeded, "the region is missing or has no such service.", "Name it: ?region=eu-west-1, or set AWS_REGION."
)

FAULTS: Final[dict[type[Exception], Fault]] = {
    exceptions.BotoCoreError: _CLIENT_BUG,
    exceptions.AliasConflictParameterError: _CLIENT_BUG,
    exceptions.ApiVersionNotFoundError: _CLIENT_BUG,
    exceptions.AwsChunkedWrapperError: _CLIENT_BUG,
    exceptions.BaseEndpointResolverError: _REGION,
    exceptions.CapacityNotAvailableError: _CLIENT_BUG,
    exceptions.ChecksumError: GIBBERISH,
    exceptions.ConfigNotFound: _SETUP,
    exceptions.ConfigParseError: _SETUP,
    exceptions.ConnectTimeoutError: _UNREACHABLE,
    exceptions.ConnectionClosedError: _CUT_OFF,
    exceptions.ConnectionError: _UNREACHABLE,
    exceptions.CredentialRetrievalError: _LENDER,
    exceptions.DataNotFoundError: _CLIENT_BUG,
    exceptions.EndpointConnectionError: _UNREACHABLE,
    exceptions.EndpointProviderError: _REGION,
    exceptions.EndpointResolutionError: _REGION,
    exceptions.EndpointVariantError: _SETUP,
    exceptions.FlexibleChecksumError: GIBBERISH,
    exceptions.HTTPClientError: _CUT_OFF,
    exceptions.IncompleteReadError: _CUT_OFF,
    exceptions.InfiniteLoopConfigError: _SETUP,
    exceptions.InvalidChecksumConfigError: _SETUP,
    exceptions.InvalidConfigError: _SETUP,
    exceptions.InvalidDNSNameError: _CLIENT_BUG,
    exceptions.InvalidDefaultsMode: _SETUP,
    exceptions.InvalidEndpointConfigurationError: _SETUP,
    exceptions.InvalidEndpointDiscoveryConfigurationError: _SETUP,
    exceptions.InvalidExpressionError: _CLIENT_BUG,
    exceptions.InvalidHostLabelError: _CLIENT_BUG,
    exceptions.InvalidIMDSEndpointError: _SETUP,
    exceptions.InvalidIMDSEndpointModeError: _SETUP,
    exceptions.InvalidMaxRetryAttemptsError: _SETUP,
    exceptions.InvalidProxiesConfigError: _SETUP,
    exceptions.InvalidRegionError: _REGION,
    exceptions.InvalidRetryConfigurationError: _SETUP,
    exceptions.InvalidRetryModeError: _SETUP,
    exceptions.InvalidS3AddressingStyleError: _SETUP,
    exceptions.InvalidS3UsEast1RegionalEndpointConfigError: _SETUP,
    exceptions.InvalidSTSRegionalEndpointsConfigError: _SETUP,
    exceptions.LoginAuthorizationCodeError: _LOGIN,
    exceptions.LoginError: _LOGIN,
    exceptions.LoginInsufficientPermissions: _LOGIN,
    exceptions.LoginRefreshRequired: _LOGIN,
    exceptions.LoginTokenLoadError: _LOGIN,
    exceptions.MD5UnavailableError: _CLIENT_BUG,
    exceptions.MetadataRetrievalError: _LENDER,
    exceptions.MissingDependencyException: _SETUP,
    exceptions.MissingParametersError: _CLIENT_BUG,
    exceptions.MissingServiceIdError: _CLIENT_BUG,
    exceptions.NoAuthTokenError: _NOBODY,
    exceptions.NoCredentialsError: _NOBODY,
    exceptions.NoRegionError: _REGION,
    exceptions.OperationNotPageableError: _CLIENT_BUG,
    exceptions.PaginationError: _CLIENT_BUG,
    exceptions.ParamValidationError: _CLIENT_BUG,
    exceptions.PartialCredentialsError: _NOBODY,
    exceptions.ProfileNotFound: replace(_SETUP, problem="the worker's AWS configuration has no such profile."),
    exceptions.ProxyConnectionError: _UNREACHABLE,
    exceptions.RangeError: _CLIENT_BUG,
    exceptions.ReadTimeoutError: Fault(Unavailable, f"AWS did not answer within {TIMEOUT_S} s.", lost=True),
    exceptions.RefreshWithMFAUnsupportedError: replace(
        _LOGIN, problem="the role wants a second factor, which a worker has not."
    ),
    exceptions.ResponseStreamingError: _CUT_OFF,
    exceptions.SSLError: Fault(
        OperatorNeeded,
        "the TLS connection failed: the certificate is not trusted, or the port speaks no TLS.",
        "Check the endpoint; the authorities of your own network are named by AWS_CA_BUNDLE.",
        lost=True,
    ),
    exceptions.SSOError: _LOGIN,
    exceptions.SSOTokenLoadError: _LOGIN,
    exceptions.ServiceNotInRegionError: _REGION,
    exceptions.StubAssertionError: _CLIENT_BUG,
    exceptions.StubResponseError: _CLIENT_BUG,
    exceptions.TokenRetrievalError: _LOGIN,
    exceptions.UnStubbedResponseError: _CLIENT_BUG,
    exceptions.UnauthorizedSSOTokenError: _LOGIN,
    exceptions.UndefinedModelAttributeError: _CLIENT_BUG,
    exceptions.UnknownClientMethodError: _CLIENT_BUG,
    exceptions.UnknownCredentialError: _SETUP,
    exceptions.UnknownEndpointError: _REGION,
    exceptions.UnknownEndpointResolutionBuiltInName: _CLIENT_BUG,
    exceptions.UnknownFIPSEndpointError: _REGION,
    exceptions.UnknownKeyError: _CLIENT_BUG,
    exceptions.UnknownParameterError: _CLIENT_BUG,
    exceptions.UnknownRegionError: _REGION,
    exceptions.UnknownServiceError: _CLIENT_BUG,
    exceptions.UnknownServiceStyle: _CLIENT_BUG,
    exceptions.UnknownSignatureVersionError: _CLIENT_BUG,
    exceptions.UnknownTokenProviderError: _SETUP,
    exceptions.UnseekableStreamError: _CUT_OFF,
    exceptions.UnsupportedOutpostResourceError: _CLIENT_BUG,
    exceptions.UnsupportedS3AccesspointConfigurationError: _CLIENT_BUG,
    exceptions.UnsupportedS3ArnError: _CLIENT_BUG,
    exceptions.UnsupportedS3ConfigurationError: _CLIENT_BUG,
    exceptions.UnsupportedS3ControlArnError: _CLIENT_BUG,
    exceptions.UnsupportedS3ControlConfigurationError: _CLIENT_BUG,
    exceptions.UnsupportedServiceProtocolsError: _CLIENT_BUG,
    exceptions.UnsupportedSignatureVersionError: _CLIENT_BUG,
    exceptions.ValidationError: _CLIENT_BUG,
    exceptions.WaiterConfigError: _CLIENT_BUG,
    exceptions.WaiterError: _CLIENT_BUG,
    ResponseParserError: GIBBERISH,
    OSError: replace(_SETUP, problem="a file of the worker's AWS configuration cannot be read."),
}
"""Every exception of the client but the service's own answers; a test fails when it grows one that is not here."""
