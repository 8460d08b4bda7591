"""Every way in which the API server, the way to it, and its client can fail, as what happens next."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from tasks.publishers._places.kubernetes.client import LARGEST, TIMEOUT_S, Answer, Unfinished
from tasks.publishers._places.kubernetes.status import Status, pause_of, status_of
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


class Absent(NotFound):
    """There is no object of that name."""


class ChangedMeanwhile(TryAgain):
    """Somebody else changed the object since it was read; nothing was written."""


class CannotRehearse(Refused):
    """Something in the cluster takes no dry runs, so that only a publication can tell."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What was asked, for the message when it fails."""

    label: str
    verb: str
    resource: str
    namespace: str
    name: str
    changes: bool = False
    safe: str = "The old value was left as it is."
    """What is true even if it failed."""
    unknown: str = "The value may have been set; setting it again is safe."
    """What is true if it may have happened."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What one failure means to us. ``lost``: behind a request that was sent, it says nothing about its effect."""

    family: type[RotatorError]
    problem: str
    remedy: str = ""
    lost: bool = False


_CLIENT_BUG: Final = Fault(Broken, "the Kubernetes client was misused.")
_UNREACHABLE: Final = Fault(Unavailable, "the API server cannot be reached.")
_LOST: Final = Fault(Unavailable, "the connection to the API server broke.", lost=True)
_SILENT: Final = Fault(Unavailable, f"the API server did not answer within {TIMEOUT_S:g} s.", lost=True)
_ADDRESS: Final = Fault(
    OperatorNeeded, "the API server's address cannot be used.", "Correct server or proxy-url in the kubeconfig."
)
_UNSENDABLE: Final = Fault(
    OperatorNeeded,
    "no request can be made of what the kubeconfig says.",
    "Correct server and token in it; a token is one line of ASCII.",
)
_UNTRUSTED: Final = Fault(
    OperatorNeeded,
    "no TLS connection to the API server that could be trusted.",
    "Correct server, certificate-authority and the client's certificate in the kubeconfig.",
)
UNREADABLE: Final = Fault(
    OperatorNeeded,
    "the answer is not the Kubernetes API's.",
    "Correct the server's address, or what stands before it (a proxy, a login page).",
    lost=True,
)
_CREDENTIAL: Final = Fault(
    CredentialRejected,
    "the API server does not accept the credential.",
    "Renew it in the kubeconfig, or see to the pod's service account. If a command in the kubeconfig logs in, it must"
    " work for the workers' user.",
)
_REFUSED: Final = Fault(
    Refused,
    "the API server refused the request.",
    "See the cluster's admission webhooks, policies and quotas. It must be Kubernetes 1.22 or newer.",
)
_FAILED: Final = Fault(Unavailable, "the API server failed.", lost=True)
_IMMUTABLE: Final = Fault(
    Refused,
    "the Secret is immutable.",
    "Delete it and make it anew without immutable, or publish to another Secret.",
)
_OWNED: Final = Fault(
    Conflict,
    "the key belongs to another field manager, such as kubectl or a GitOps tool.",
    "See kubectl get secret --show-managed-fields. Publish to another key, or take this one over with ?force=true.",
)
_NO_NAMESPACE: Final = Fault(OperatorNeeded, "there is no such namespace.", "Create it, or correct its name.")
_NO_DRY_RUN: Final = Fault(CannotRehearse, "an admission webhook of the cluster takes no dry runs.")

EXCEPTIONS: Final[dict[str, Fault]] = {
    "tasks.publishers._places.kubernetes.client.Unfinished": _LOST,
    "tasks.publishers._places.kubernetes.client.OutOfTime": Fault(Unavailable, "the time was up before it was asked."),
    "tasks.publishers._places.kubernetes.client.TooMuch": Fault(
        OperatorNeeded,
        f"the answer came in drops or was larger than {LARGEST >> 20} MiB.",
        UNREADABLE.remedy,
        lost=True,
    ),
    "builtins.OSError": _UNREACHABLE,  # the files of a kubeconfig's certificates may go while another call uses them
    "builtins.ValueError": _UNSENDABLE,
    "kubernetes.client.exceptions.OpenApiException": _CLIENT_BUG,
    "kubernetes.client.exceptions.ApiTypeError": _CLIENT_BUG,
    "kubernetes.client.exceptions.ApiValueError": _CLIENT_BUG,
    "kubernetes.client.exceptions.ApiAttributeError": _CLIENT_BUG,
    "kubernetes.client.exceptions.ApiKeyError": _CLIENT_BUG,
    "kubernetes.client.exceptions.ApiException": _UNTRUSTED,  # its word for a failed handshake
    "kubernetes.client.exceptions.BadRequestException": _CLIENT_BUG,  # these are raised by generated calls, see Client
    "kubernetes.client.exceptions.NotFoundException": _CLIENT_BUG,
    "kubernetes.client.exceptions.UnauthorizedException": _CLIENT_BUG,
    "kubernetes.client.exceptions.ForbiddenException": _CLIENT_BUG,
    "kubernetes.client.exceptions.ServiceException": _CLIENT_BUG,
    "kubernetes.client.exceptions.ConflictException": _CLIENT_BUG,
    "kubernetes.client.exceptions.UnprocessableEntityException": _CLIENT_BUG,
    "urllib3.exceptions.HTTPError": _LOST,
    "urllib3.exceptions.PoolError": _LOST,
    "urllib3.exceptions.RequestError": _LOST,
    "urllib3.exceptions.SSLError": _UNTRUSTED,
    "urllib3.exceptions.ProxyError": Fault(Unavailable, "the proxy before the API server cannot be used."),
    "urllib3.exceptions.DecodeError": UNREADABLE,
    "urllib3.exceptions.ProtocolError": _LOST,
    "urllib3.exceptions.MaxRetryError": _LOST,
    "urllib3.exceptions.HostChangedError": _CLIENT_BUG,
    "urllib3.exceptions.TimeoutStateError": _CLIENT_BUG,
    "urllib3.exceptions.TimeoutError": _SILENT,
    "urllib3.exceptions.ReadTimeoutError": _SILENT,
    "urllib3.exceptions.ConnectTimeoutError": _UNREACHABLE,
    "urllib3.exceptions.NewConnectionError": _UNREACHABLE,
    "urllib3.exceptions.NameResolutionError": _UNREACHABLE,
    "urllib3.exceptions.EmptyPoolError": _CLIENT_BUG,
    "urllib3.exceptions.FullPoolError": _CLIENT_BUG,
    "urllib3.exceptions.ClosedPoolError": _CLIENT_BUG,
    "urllib3.exceptions.LocationValueError": _ADDRESS,
    "urllib3.exceptions.LocationParseError": _ADDRESS,
    "urllib3.exceptions.URLSchemeUnknown": _ADDRESS,
    "urllib3.exceptions.ProxySchemeUnknown": _ADDRESS,
    "urllib3.exceptions.ProxySchemeUnsupported": _ADDRESS,
    "urllib3.exceptions.ResponseError": _LOST,
    "urllib3.exceptions.ResponseNotChunked": UNREADABLE,
    "urllib3.exceptions.BodyNotHttplibCompatible": UNREADABLE,
    "urllib3.exceptions.IncompleteRead": _LOST,
    "urllib3.exceptions.InvalidChunkLength": UNREADABLE,
    "urllib3.exceptions.InvalidHeader": UNREADABLE,
    "urllib3.exceptions.HeaderParsingError": UNREADABLE,
    "urllib3.exceptions.UnrewindableBodyError": _CLIENT_BUG,
}
"""Every exception of the client and of what it sends with, by name, since neither is imported here; a test fails when
one of them grows an exception that is not here."""

STATUSES: Final[dict[int, Fault]] = {
    2: UNREADABLE,
    3: Fault(OperatorNeeded, "the API server points elsewhere; a credential is not taken there.", UNREADABLE.remedy),
    4: _REFUSED,
    5: _FAILED,
    401: _CREDENTIAL,
    404: UNREADABLE,  # unless it says what is not there
    408: _SILENT,
    409: Fault(ChangedMeanwhile, "somebody else changed it at the same time."),
    413: Fault(Refused, "the object would be too large.", "A Secret holds at most 1 MiB: publish to another one."),
    429: Fault(RateLimited, "the API server asks us to slow down."),
    503: Fault(Unavailable, "the API server is not ready.", lost=True),
    504: _SILENT,
}
"""By status, else by its first digit."""

_RIGHT: Final = re.compile(
    r"cannot (?P<verb>get|patch|create) resource \"(?P<resource>secrets|deployments|statefulsets|daemonsets)\""
)
_NOBODY: Final = 'User "system:anonymous"'


def asked(call: Callable[[], Answer], asking: Asking) -> bytes:
    """What came for ``call``, or one of our families.

    No foreign error is chained: it may hold the request, and with it the key.
    """
    from kubernetes.client.exceptions import OpenApiException  # noqa: PLC0415 - an extra: only who uses it has it
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - comes with that extra

    try:
        answer = call()
    except (OpenApiException, HTTPError, Unfinished, OSError, ValueError) as error:
        raised = raised_for(known(error), asking)
    else:
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return answer.data
        raised = _declined(answer, asking)
    raise raised


def known(error: Exception) -> Fault:
    """What the table says of the class, or of the nearest one that it was made from."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next(EXCEPTIONS[name] for name in names if name in EXCEPTIONS)


def raised_for(fault: Fault, asking: Asking, *, retry_after: timedelta | None = None) -> RotatorError:
    """The error to raise for ``fault``."""
    if fault.lost and asking.changes:
        return OutcomeUnknown(f"{asking.label}: {fault.problem} {asking.unknown}")
    message = f"{asking.label}: {fault.problem} {asking.safe}"
    if issubclass(fault.family, TryAgain):
        return fault.family(message, fault.remedy, retry_after=retry_after)
    return fault.family(message, fault.remedy)


def _declined(answer: Answer, asking: Asking) -> RotatorError:
    said = status_of(answer.data)
    return raised_for(_fault(answer.status, said, asking), asking, retry_after=pause_of(answer.headers, said))


def _fault(status: int, said: Status, asking: Asking) -> Fault:
    """By status, and by what the server says where the status alone says too little."""
    if status == HTTPStatus.FORBIDDEN:
        return _forbidden(said, asking)
    if status == HTTPStatus.NOT_FOUND and said.details.kind:
        return _NO_NAMESPACE if said.details.kind == "namespaces" else _absent(asking)
    if status == HTTPStatus.CONFLICT and any(cause.reason == "FieldManagerConflict" for cause in said.details.causes):
        return _OWNED
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and "field is immutable when" in said.message:
        return _IMMUTABLE
    if "does not support dry run" in said.message and not asking.changes:
        return _NO_DRY_RUN
    return STATUSES.get(status) or STATUSES.get(status // 100) or UNREADABLE


def _absent(asking: Asking) -> Fault:
    place = f"in namespace {asking.namespace} there is none of {asking.resource} named {asking.name}."
    return Fault(Absent, place, "Create it, or correct the target.")


def _forbidden(said: Status, asking: Asking) -> Fault:
    """A lacking right, or something else in the cluster that says no with the same status."""
    if _NOBODY in said.message:
        return _CREDENTIAL
    right = _RIGHT.search(said.message)
    if right is None and not said.message.rstrip().endswith("is forbidden:"):  # all it says of a lacking create
        return _REFUSED
    verb, resource = right.group("verb", "resource") if right else (asking.verb, asking.resource)
    remedy = f"Add to a Role that is bound to it: the verb {verb} for {resource}, resourceNames [{asking.name}]."
    return Fault(
        OperatorNeeded,
        f"the account may not {verb} {resource} named {asking.name} in namespace {asking.namespace}.",
        f"{remedy} Or create the Secret yourself." if verb == "create" else remedy,
    )
