"""Every way in which Microsoft's clients can fail, as what happens next.

Imports Microsoft's clients: import this file inside ``needed``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from azure.core import exceptions as core
from azure.identity import AuthenticationRequiredError, CredentialUnavailableError

from tasks.publishers._places.cloud.bounded import Bounded
from tasks.publishers._places.cloud.faults import GARBAGE, STOPPED, UNREADABLE, Fault, waiting_time
from tasks.rotation.errors import (
    Broken,
    Conflict,
    CredentialRejected,
    NotFound,
    OperatorNeeded,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)

Answer = TypeVar("Answer")


class Missing(NotFound):
    """There is no such secret, or no such version of it."""


class Disabled(Conflict):
    """The newest version is disabled."""


class SoftDeleted(Conflict):
    """The secret was deleted, and its name is kept for its recovery."""


_NO_TOKEN: Final = Fault(
    CredentialRejected,
    "Microsoft Entra gave no token: there are no credentials, or they were refused.",
    "Give the machine or pod an identity, set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET for the workers,"
    " or name client_id, tenant_id and client_secret_file; look whether the secret has expired.",
)
_REJECTED: Final = Fault(
    CredentialRejected,
    "Key Vault did not accept the token.",
    "The identity must belong to the tenant of the vault. Look at this machine's clock.",
)
_RIGHTS: Final = Fault(
    OperatorNeeded,
    "the identity may not do this.",
    "Assign it the role Key Vault Secrets Officer on the secret or the vault; with access policies, get and set.",
)
_FIREWALL: Final = Fault(
    OperatorNeeded,
    "the vault's firewall does not let this machine in.",
    "Allow its network, or reach the vault through its private endpoint.",
)
_STRANGER: Final = Fault(
    OperatorNeeded, "the server asks for a token of another service, and gets none.", "Look at the vault's address."
)
_REFUSED: Final = Fault(Refused, "Key Vault refused the request.", "Look at the secret's name, tags and value.")
_ELSEWHERE: Final = Fault(OperatorNeeded, "this is not Key Vault's API.", "Look at the vault's address.")
_DOWN: Final = Fault(Unavailable, "Key Vault failed, or is not available.", lost=True)
_UNCLEAR: Final = Fault(Unavailable, "Key Vault answered something unexpected.", lost=True)
_BUSY: Final = Fault(TryAgain, "something else is being done with the secret at this moment.")
_MISSING: Final = Fault(Missing, "there is no such secret.")
_LIMITED: Final = Fault(RateLimited, "the vault is asked too often.")
_UNREACHABLE: Final = Fault(Unavailable, "the server cannot be reached.")
_CLIENT: Final = Fault(Broken, "Microsoft's client was misused.")

FAULTS: Final[dict[type[Exception], Fault]] = {
    core.AzureError: _UNCLEAR,
    core.ServiceRequestError: _UNREACHABLE,
    core.ServiceRequestTimeoutError: _UNREACHABLE,
    core.ServiceResponseError: _DOWN,
    core.ServiceResponseTimeoutError: _DOWN,
    core.HttpResponseError: _UNCLEAR,
    core.ODataV4Error: _UNCLEAR,
    core.DecodeError: UNREADABLE,
    core.IncompleteReadError: UNREADABLE,
    core.ResourceExistsError: _BUSY,
    core.ResourceNotFoundError: _MISSING,
    core.ResourceModifiedError: _BUSY,
    core.ResourceNotModifiedError: _ELSEWHERE,
    core.ClientAuthenticationError: _NO_TOKEN,
    core.TooManyRedirectsError: _ELSEWHERE,
    core.StreamConsumedError: _CLIENT,
    core.StreamClosedError: _CLIENT,
    core.ResponseNotReadError: _CLIENT,
    core.SerializationError: _CLIENT,
    core.DeserializationError: UNREADABLE,
    CredentialUnavailableError: _NO_TOKEN,
    AuthenticationRequiredError: _NO_TOKEN,
}
"""Every exception of the two libraries; a test fails when one of them grows one that is not here."""

_BY_STATUS: Final = {
    **dict.fromkeys(range(300, 400), _ELSEWHERE),
    **dict.fromkeys(range(400, 500), _REFUSED),
    **dict.fromkeys(range(500, 600), _DOWN),
    401: _REJECTED,
    403: _RIGHTS,
    404: _MISSING,
    405: _ELSEWHERE,
    408: _DOWN,
    409: _BUSY,
    429: _LIMITED,
    501: _ELSEWHERE,
}
_UNDERSTOOD: Final = range(300)
"""Statuses of answers that are no errors: there, what they hold is wrong. 0 stands for no answer."""
_BY_CODE: Final = {
    "SecretDisabled": Fault(Disabled, "the newest version is disabled."),
    "ObjectIsDeletedButRecoverable": Fault(SoftDeleted, "the secret was deleted, and its name is kept for recovery."),
    "ForbiddenByFirewall": _FIREWALL,
    "ForbiddenByConnection": _FIREWALL,
}
"""The inner code, where it says more than the status."""
_FOREIGN: Final[tuple[type[Exception], ...]] = (*FAULTS, *STOPPED, *GARBAGE)
_LOGIN_OUTAGE: Final = Fault(Unavailable, "Microsoft Entra, which gives out the tokens, failed or cannot be reached.")
_ENTRAS_CODE: Final = re.compile(r"AADSTS[0-9]{4,9}")


def asked(call: Callable[[], Answer], label: str, adapter: Bounded, *, changes: bool = False) -> Answer:
    """The answer to ``call``, or one of our families; ``Missing``, ``Disabled`` and ``SoftDeleted`` among them, for
    whoever expects them. ``changes``: a lost answer leaves the outcome unknown.

    The foreign error is not chained: it holds the request, which is the value and the token.
    """
    try:
        return call()
    except _FOREIGN as error:
        raised = translated(error, label, changes=changes, outage=adapter.outage)
    raise raised


def translated(error: Exception, label: str, *, changes: bool, outage: bool = False) -> RotatorError:
    """``error`` in our words. Nothing that a server said is repeated, but the number of Entra's own error."""
    fault = _fault(error, outage=outage)
    said = _ENTRAS_CODE.search(str(getattr(error, "message", "")))
    if fault is _NO_TOKEN and said:
        fault = replace(fault, problem=f"{fault.problem} Its code is {said[0]}.")
    headers = getattr(getattr(error, "response", None), "headers", {})
    return fault.told(label, changes=changes, retry_after=waiting_time(headers.get("Retry-After")))


def _fault(error: Exception, *, outage: bool) -> Fault:
    if isinstance(error, core.ClientAuthenticationError) and not _is_of_the_vault(error):
        return _LOGIN_OUTAGE if outage else _NO_TOKEN
    if isinstance(error, ValueError) and "challenge" in str(error):
        return _STRANGER
    if isinstance(error, core.HttpResponseError) and (error.status_code or 0) not in _UNDERSTOOD:
        return _BY_CODE.get(_inner_code(error), _BY_STATUS.get(error.status_code or 0, _UNCLEAR))
    known = FAULTS | STOPPED
    return next((known[kind] for kind in type(error).__mro__ if kind in known), UNREADABLE)


def _is_of_the_vault(error: core.ClientAuthenticationError) -> bool:
    """Whether the vault refused a token; otherwise there was none to begin with."""
    return ".vault." in str(getattr(getattr(error.response, "request", None), "url", ""))


def _inner_code(error: core.HttpResponseError) -> str:
    inner = error.error.innererror if error.error else None
    return str(inner.get("code")) if isinstance(inner, dict) else ""
