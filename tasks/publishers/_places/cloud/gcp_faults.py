"""Every way in which Google's clients can fail, as what happens next.

Imports Google's clients: import this file inside ``needed``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.protobuf.json_format import Error as NotTheMessage

from tasks.publishers._places.cloud.bounded import Bounded
from tasks.publishers._places.cloud.faults import GARBAGE, STOPPED, UNREADABLE, Fault, waiting_time
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
    Unavailable,
)

Answer = TypeVar("Answer")

PERMISSIONS: Final = (
    "secretmanager.secrets.get",
    "secretmanager.secrets.update",
    "secretmanager.versions.access",
    "secretmanager.versions.add",
    "secretmanager.versions.get",
)
"""What publishing and reading back need, on the secret."""


class Missing(NotFound):
    """There is no such secret, or no such version of it."""


class WrongState(Conflict):
    """The etag is not the current one any more, or the version is disabled or destroyed."""


_GRANT: Final = f"Grant on the secret: {', '.join(PERMISSIONS)}; roles/secretmanager.admin has them all."
_NO_CREDENTIALS: Final = Fault(
    OperatorNeeded,
    "no usable Google credentials were found.",
    "Give the machine or pod a service account, set GOOGLE_APPLICATION_CREDENTIALS for the workers, or name a"
    " credentials_file.",
)
_REJECTED: Final = Fault(
    CredentialRejected,
    "Google did not accept the credentials.",
    "Look whether the service account, its key or its federation still exists, and at this machine's clock.",
)
_RIGHTS: Final = Fault(OperatorNeeded, "the credentials may not do this, or the secret does not exist.", _GRANT)
_DISABLED_API: Final = Fault(
    OperatorNeeded,
    "the project does not use Secret Manager.",
    "gcloud services enable secretmanager.googleapis.com --project=PROJECT",
)
_REFUSED: Final = Fault(Refused, "Secret Manager refused the request.", "Look at the secret's configuration.")
_ELSEWHERE: Final = Fault(OperatorNeeded, "this is not Secret Manager's API.", "Look at the endpoint.")
_DOWN: Final = Fault(Unavailable, "Secret Manager failed, or is not available.", lost=True)
_UNCLEAR: Final = Fault(Unavailable, "Secret Manager answered something unexpected.", lost=True)
_LIMITED: Final = Fault(RateLimited, "Secret Manager's quota is used up for now.")
_STATE: Final = Fault(WrongState, "it was changed at the same moment, or is disabled or destroyed.")
_CLIENT: Final = Fault(Broken, "Google's client was misused.")
_MTLS: Final = Fault(
    OperatorNeeded,
    "the client certificate of this machine cannot be used.",
    "Look at GOOGLE_API_USE_CLIENT_CERTIFICATE and at what it refers to.",
)

FAULTS: Final[dict[type[Exception], Fault]] = {
    api.GoogleAPIError: _UNCLEAR,
    api.GoogleAPICallError: _UNCLEAR,
    api.DuplicateCredentialArgs: _CLIENT,
    api.AsyncRestUnsupportedParameterError: _CLIENT,
    api.RetryError: _DOWN,
    api.Redirection: _ELSEWHERE,
    api.MovedPermanently: _ELSEWHERE,
    api.NotModified: _ELSEWHERE,
    api.TemporaryRedirect: _ELSEWHERE,
    api.ResumeIncomplete: _ELSEWHERE,
    api.ClientError: _REFUSED,
    api.BadRequest: _REFUSED,
    api.InvalidArgument: _REFUSED,
    api.OutOfRange: _REFUSED,
    api.FailedPrecondition: _STATE,
    api.Unauthorized: _REJECTED,
    api.Unauthenticated: _REJECTED,
    api.Forbidden: _RIGHTS,
    api.PermissionDenied: _RIGHTS,
    api.NotFound: Fault(Missing, "there is no such secret, or no version of it."),
    api.MethodNotAllowed: _ELSEWHERE,
    api.Conflict: _STATE,
    api.AlreadyExists: _STATE,
    api.Aborted: _STATE,
    api.LengthRequired: _REFUSED,
    api.PreconditionFailed: _STATE,
    api.RequestRangeNotSatisfiable: _REFUSED,
    api.TooManyRequests: _LIMITED,
    api.ResourceExhausted: _LIMITED,
    api.Cancelled: _DOWN,
    api.ServerError: _DOWN,
    api.InternalServerError: _DOWN,
    api.Unknown: _DOWN,
    api.DataLoss: _DOWN,
    api.MethodNotImplemented: _ELSEWHERE,
    api.BadGateway: _DOWN,
    api.ServiceUnavailable: _DOWN,
    api.GatewayTimeout: _DOWN,
    api.DeadlineExceeded: _DOWN,
    api.ResumableTransferError: _UNCLEAR,
    api.TransferStalledError: _UNCLEAR,
    api.UnseekableStreamError: _CLIENT,
    api.UploadCancelledError: _UNCLEAR,
    api.MissingStatusHeaderError: _UNCLEAR,
    auth.GoogleAuthError: _REJECTED,
    auth.TransportError: Fault(Unavailable, "the server that gives out Google's tokens cannot be reached."),
    auth.TimeoutError: Fault(Unavailable, "the server that gives out Google's tokens did not answer in time."),
    auth.ResponseError: _REJECTED,
    auth.RefreshError: _REJECTED,
    auth.OAuthError: _REJECTED,
    auth.ReauthFailError: _REJECTED,
    auth.ReauthSamlChallengeFailError: _REJECTED,
    auth.UserAccessTokenError: _NO_CREDENTIALS,
    auth.DefaultCredentialsError: _NO_CREDENTIALS,
    auth.MalformedError: _NO_CREDENTIALS,
    auth.InvalidResource: _NO_CREDENTIALS,
    auth.InvalidOperation: _NO_CREDENTIALS,
    auth.InvalidValue: _NO_CREDENTIALS,
    auth.InvalidType: _NO_CREDENTIALS,
    auth.OSError: _NO_CREDENTIALS,
    auth.MutualTLSChannelError: _MTLS,
    auth.ClientCertError: _MTLS,
}
"""Every exception of the two libraries; a test fails when one of them grows one that is not here."""

_NO_METADATA: Final = Fault(
    Unavailable,
    "no Google credentials were found: none in the environment, none of gcloud, and no metadata service answers.",
    _NO_CREDENTIALS.remedy,
)
_LOGIN_OUTAGE: Final = Fault(Unavailable, "the server that gives out Google's tokens failed, or cannot be reached.")


def asked(call: Callable[[], Answer], label: str, adapter: Bounded, *, changes: bool = False) -> Answer:
    """The answer to ``call``, or one of our families; ``Missing`` and ``WrongState`` among them, for whoever expects
    them. ``changes``: a lost answer leaves the outcome unknown.

    The foreign error is not chained: it holds the request, which is the value and the token.
    """
    try:
        return call()
    except (*FAULTS, *STOPPED, NotTheMessage, *GARBAGE) as error:
        raised = translated(error, label, changes=changes, outage=adapter.outage)
    raise raised


def logged_in(call: Callable[[], Answer], label: str, adapter: Bounded) -> Answer:
    """The credentials that ``call`` finds. Nothing but a machine's metadata service is asked, if anything is."""
    try:
        return asked(call, label, adapter)
    except (Unavailable, OutcomeUnknown):
        if adapter.outage:
            raise
    raise _NO_METADATA.told(label, changes=False)


def translated(error: Exception, label: str, *, changes: bool, outage: bool = False) -> RotatorError:
    """``error`` in our words. Nothing that Google said is repeated."""
    fault = _fault(error, outage=outage)
    headers = getattr(getattr(error, "response", None), "headers", {})
    return fault.told(label, changes=changes, retry_after=waiting_time(headers.get("Retry-After")))


def _fault(error: Exception, *, outage: bool) -> Fault:
    if isinstance(error, auth.GoogleAuthError) and outage:
        return _LOGIN_OUTAGE
    if isinstance(error, api.BadRequest) and _status(error) == "FAILED_PRECONDITION":
        return _STATE  # over HTTP it is a 400 like any other
    if isinstance(error, api.Forbidden) and error.reason == "SERVICE_DISABLED":
        return _DISABLED_API
    known = FAULTS | STOPPED
    return next((known[kind] for kind in type(error).__mro__ if kind in known), UNREADABLE)


def _status(error: api.GoogleAPICallError) -> object:
    """The canonical name of the status, which the client does not tell."""
    try:
        return error.response.json()["error"]["status"]
    except GARBAGE:
        return None
