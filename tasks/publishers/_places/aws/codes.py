"""What AWS's services answer when they refuse, as what happens next: one table of error codes.

No answer is repeated: a service that does not like a value may quote it.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from botocore.exceptions import ClientError

from tasks.publishers._places.aws.faults import FAULTS, GIBBERISH, Fault
from tasks.rotation.errors import (
    Broken,
    Conflict,
    CredentialRejected,
    NotFound,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)

_LONGEST_WAIT: Final = timedelta(hours=1)

_BUSY: Final = Fault(RateLimited, "AWS asks for fewer requests.")
_DOWN: Final = Fault(Unavailable, "AWS failed by itself.", lost=True)
_STRANGER: Final = Fault(
    CredentialRejected,
    "AWS does not accept the worker's credentials.",
    "They may be deleted, disabled or mistyped, or its clock is wrong. As its user: aws sts get-caller-identity",
)
_EXPIRED: Final = Fault(
    CredentialRejected,
    "the worker's AWS credentials have expired, or its clock is wrong.",
    "Give it a role rather than a session's keys; compare its clock.",
)
_TOKEN: Final = Fault(
    CredentialRejected,
    "AWS does not accept the web identity token for the role.",
    "Check the role's trust policy, the token's audience, and the issuer.",
)
_DENIED: Final = Fault(OperatorNeeded, "the worker lacks the right {action}.", "Allow {action} on it.")
_KMS_DENIED: Final = Fault(
    OperatorNeeded,
    "the worker may not use the KMS key, or the key is disabled or gone.",
    "In the key's policy and the worker's allow kms:Decrypt, kms:GenerateDataKey and, for aws-ssm, kms:Encrypt.",
)
_NO_SECRET: Final = Fault(NotFound, "there is no such secret, or it has no such version.", "Check name and region.")
_NO_PARAMETER: Final = Fault(NotFound, "there is no such parameter, or no such version.", "Check name and region.")
_STATE: Final = Fault(
    Refused,
    "the secret's state does not allow it.",
    "It may be scheduled for deletion, a replica, or another service's: aws secretsmanager describe-secret",
)
_INVALID: Final = Fault(Refused, "AWS calls the request invalid.", "Check the name, the region and the KMS key.")
_POLICY: Final = Fault(Refused, "the parameter's own policies or pattern refuse the key.", "Change or remove them.")
_NAME: Final = Fault(Refused, "the parameter's path does not fit what is there.", "Choose another path.")
_ROLE: Final = Fault(
    OperatorNeeded,
    "AWS does not lend the role.",
    "Allow the worker {action} on it; check the role's trust policy and the external ID.",
)
_UNASKED: Final = Fault(Broken, "AWS answered what was not asked for.")
_REDIRECT: Final = Fault(OperatorNeeded, "the endpoint answers with a redirect, which is not followed.", "Correct it.")

CODES: Final[dict[str, Fault]] = {
    # slower
    "BandwidthLimitExceeded": _BUSY,
    "EC2ThrottledException": _BUSY,
    "PriorRequestNotComplete": _BUSY,
    "ProvisionedThroughputExceededException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "RequestThrottled": _BUSY,
    "RequestThrottledException": _BUSY,
    "SlowDown": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "ThrottledException": _BUSY,
    "TooManyRequestsException": _BUSY,
    "TooManyUpdates": _BUSY,
    "TransactionInProgressException": _BUSY,
    # its own fault
    "IDPCommunicationError": _DOWN,
    "InternalError": _DOWN,
    "InternalFailure": _DOWN,
    "InternalServerError": _DOWN,
    "InternalServiceError": _DOWN,
    "RequestTimeout": _DOWN,
    "RequestTimeoutException": _DOWN,
    "ServiceUnavailable": _DOWN,
    "ServiceUnavailableException": _DOWN,
    # who we are
    "AuthFailure": _STRANGER,
    "IncompleteSignature": _STRANGER,
    "IncompleteSignatureException": _STRANGER,
    "InvalidAccessKeyId": _STRANGER,
    "InvalidClientTokenId": _STRANGER,
    "InvalidSignatureException": _STRANGER,
    "InvalidToken": _STRANGER,
    "MissingAuthenticationToken": _STRANGER,
    "MissingAuthenticationTokenException": _STRANGER,
    "SignatureDoesNotMatch": _STRANGER,
    "UnrecognizedClientException": _STRANGER,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "IDPRejectedClaim": _TOKEN,
    "InvalidIdentityToken": _TOKEN,
    # what we may
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "NotAuthorized": _DENIED,
    "OptInRequired": _DENIED,
    "UnauthorizedOperation": _DENIED,
    "KMSAccessDeniedException": _KMS_DENIED,
    "DecryptionFailure": _KMS_DENIED,
    "EncryptionFailure": _KMS_DENIED,
    "InvalidKeyId": _KMS_DENIED,
    "MalformedPolicyDocument": _ROLE,
    "MalformedPolicyDocumentException": _UNASKED,
    "PackedPolicyTooLarge": _ROLE,
    "RegionDisabledException": Fault(
        OperatorNeeded, "STS is not enabled in this region.", "Enable it, or name another."
    ),
    "InvalidContextAssertion": _ROLE,
    # Secrets Manager
    "ResourceNotFoundException": _NO_SECRET,
    "InvalidParameterException": _INVALID,
    "InvalidRequestException": _STATE,
    "LimitExceededException": Fault(
        OperatorNeeded,
        "a quota of Secrets Manager is used up: of secrets, of versions, or of the 20 labels that one may have.",
        "Remove labels that nobody needs: aws secretsmanager update-secret-version-stage --remove-from-version-id",
    ),
    "PreconditionNotMetException": _STATE,
    "PublicPolicyException": _UNASKED,
    "ResourceExistsException": Fault(
        Conflict, "this publication's version exists there with another content.", "Delete that version's labels."
    ),
    # Parameter Store
    "ParameterNotFound": _NO_PARAMETER,
    "ParameterVersionNotFound": _NO_PARAMETER,
    "ParameterAlreadyExists": Fault(Conflict, "the parameter came to be meanwhile."),
    "ParameterLimitExceeded": Fault(
        OperatorNeeded, "the account has as many parameters as it may.", "Delete some, or use the advanced tier."
    ),
    "ParameterMaxVersionLimitExceeded": Fault(
        OperatorNeeded,
        "the parameter has 100 versions, and the oldest has a label that keeps it from being dropped.",
        "Move or remove that label: aws ssm unlabel-parameter-version",
    ),
    "ParameterVersionLabelLimitExceeded": Fault(
        OperatorNeeded,
        "the version has the 10 labels that it may have.",
        "Remove one: aws ssm unlabel-parameter-version",
    ),
    "HierarchyLevelLimitExceededException": _NAME,
    "HierarchyTypeMismatchException": _NAME,
    "IncompatiblePolicyException": _POLICY,
    "InvalidAllowedPatternException": _POLICY,
    "InvalidPolicyAttributeException": _POLICY,
    "InvalidPolicyTypeException": _POLICY,
    "ParameterPatternMismatchException": _POLICY,
    "PoliciesLimitExceededException": _POLICY,
    "UnsupportedParameterType": _INVALID,
    "InvalidNextToken": _UNASKED,
    "ValidationException": _INVALID,
    "ValidationError": _INVALID,
}
"""Every code that the operations we use may answer with; a test compares with the service's own model."""


def translated(error: Exception, label: str, service: str, *, changes: bool, still: str) -> RotatorError:
    """``error`` in our words. ``still`` says what is safe when nothing was done."""
    fault = _fault(error)
    if changes and fault.lost:
        return OutcomeUnknown(
            f"{label}: {fault.problem} The write may have happened; writing it again is safe.", fault.remedy
        )
    problem, remedy = (text.replace("{action}", _action(error, service)) for text in (fault.problem, fault.remedy))
    message = f"{label}: {problem} {still}"
    if issubclass(fault.family, TryAgain):
        return fault.family(message, remedy, retry_after=_retry_after(error))
    return fault.family(message, remedy)


def code_of(error: Exception) -> str | None:
    """The code of a service's refusal; None for any other error."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else None


def _fault(error: Exception) -> Fault:
    code = code_of(error)
    if code is None:
        known = next((kind for kind in type(error).__mro__ if kind in FAULTS), None)
        return GIBBERISH if known is None else FAULTS[known]
    fault = CODES.get(code) or _by_status(error)
    if fault is not _DENIED:
        return fault
    if _lends(error):
        return _ROLE
    return _KMS_DENIED if "kms" in str(error).lower() else fault


def _action(error: Exception, service: str) -> str:
    """What IAM calls the operation."""
    operation = error.operation_name if isinstance(error, ClientError) else "*"
    return f"{'sts' if _lends(error) else service}:{operation}"


def _lends(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.operation_name.startswith("AssumeRole")


def _by_status(error: Exception) -> Fault:
    """For a code that is not in the table: a gateway's answer, or that of another server."""
    status = _status(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _DOWN
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT
    return _STATUS.get(status, _INVALID)


_STATUS: Final[dict[int, Fault]] = {
    HTTPStatus.UNAUTHORIZED: _STRANGER,
    HTTPStatus.FORBIDDEN: _DENIED,
    HTTPStatus.TOO_MANY_REQUESTS: _BUSY,
}


def _status(error: Exception) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(error, ClientError) else 0


def _retry_after(error: Exception) -> timedelta | None:
    """What the answer's header asks for, within an hour."""
    metadata = error.response.get("ResponseMetadata") if isinstance(error, ClientError) else None
    told = metadata["HTTPHeaders"].get("retry-after", "") if metadata else ""
    return min(timedelta(seconds=int(told[:9])), _LONGEST_WAIT) if told.isascii() and told.isdigit() else None
