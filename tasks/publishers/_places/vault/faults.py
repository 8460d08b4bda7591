"""Every way in which Vault, and the way there, can fail, as what happens next.

Imports the optional client, so it is itself imported on demand.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from hvac import exceptions as vault
from requests import exceptions as http

from tasks.publishers._places.vault.target import VERSIONED
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)

TIMEOUT_S: Final = 5.0
"""For connecting, and for each part of an answer."""
CALL_S: Final = 20.0
"""For all that one publication asks, logging in and giving the login back included."""

_LONGEST_PAUSE_S: Final = 3600

Answer = TypeVar("Answer")


class AnswerTooLong(http.RequestException):
    """Not a secret's size."""


class Redirected(http.RequestException):
    """It names another address. Ours goes nowhere else with a token."""


class NotVault(Exception):
    """An answer that Vault does not give."""


class NotVersioned(Exception):
    """A secret without versions, or none at all."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What one foreign exception means to us. ``{policy}`` in the remedy becomes the policy that is needed."""

    family: type[RotatorError]
    problem: str
    remedy: str = ""


_CLIENT_BUG: Final = Fault(Broken, "the Vault client was misused.")
_UNREACHABLE: Final = Fault(Unavailable, "the server cannot be reached.")
_UNTRUSTED: Final = Fault(
    OperatorNeeded, "the server's certificate is not trusted.", "Name its authority with ca_file=PATH."
)
_SLOW: Final = Fault(Unavailable, f"the server did not answer within {TIMEOUT_S:g} s.")
_FAILED: Final = Fault(Unavailable, "the server failed.")
_NOT_VAULT: Final = Fault(
    OperatorNeeded, "the answer is not one of Vault.", "Check host and port, and what stands in front of the server."
)
_REFUSED: Final = Fault(Refused, "the server refused the request.", "It must be Vault 1.10 or newer, or OpenBao.")
_NOWHERE: Final = Fault(
    OperatorNeeded,
    "there is no such mount.",
    "Check mount and namespace: the URL's path is /MOUNT/PATH, and a '/' that belongs to MOUNT is written %2F.",
)
_RIGHTS: Final = Fault(
    OperatorNeeded, "the token may not do what is needed.", "Give it a policy with: {policy}. Check namespace, too."
)
_TOKEN: Final = Fault(
    CredentialRejected,
    "the token was refused: it is unknown, expired or revoked.",
    "Put a new one where the target says; a token that nobody renews comes to its end.",
)
_LOGIN: Final = Fault(
    CredentialRejected,
    "the login was refused.",
    "Check the role, its secret id (one that may be used often) or service account, auth_mount and namespace.",
)
_ELSEWHERE: Final = Fault(
    OperatorNeeded, "the server redirects elsewhere, which is not followed.", "Name the address that it leads to."
)

FAULTS: Final[dict[type[Exception], Fault]] = {
    vault.VaultError: _REFUSED,
    vault.InvalidRequest: _REFUSED,
    vault.Unauthorized: _TOKEN,
    vault.Forbidden: _RIGHTS,
    vault.InvalidPath: _NOWHERE,
    vault.UnsupportedOperation: _REFUSED,
    vault.PreconditionFailed: Fault(TryAgain, "this replica is behind the others."),
    vault.RateLimitExceeded: Fault(RateLimited, "the server asks us to slow down."),
    vault.InternalServerError: _FAILED,
    vault.VaultNotInitialized: Fault(OperatorNeeded, "the server is not initialized.", "Initialize and unseal it."),
    vault.VaultDown: Fault(Unavailable, "the server is sealed or in maintenance."),
    vault.UnexpectedError: _REFUSED,
    vault.BadGateway: _FAILED,
    vault.ParamValidationError: _CLIENT_BUG,
    OSError: _UNREACHABLE,
    http.RequestException: _UNREACHABLE,
    http.InvalidJSONError: _NOT_VAULT,
    http.JSONDecodeError: _NOT_VAULT,
    http.HTTPError: _REFUSED,
    http.ConnectionError: _UNREACHABLE,
    http.ProxyError: Fault(
        Unavailable, "the proxy on the way to the server failed.", "Check HTTPS_PROXY and NO_PROXY."
    ),
    http.SSLError: _UNREACHABLE,
    http.Timeout: _SLOW,
    http.ConnectTimeout: _SLOW,
    http.ReadTimeout: _SLOW,
    http.URLRequired: _CLIENT_BUG,
    http.TooManyRedirects: _ELSEWHERE,
    http.MissingSchema: _CLIENT_BUG,
    http.InvalidSchema: _CLIENT_BUG,
    http.InvalidURL: _CLIENT_BUG,
    http.InvalidHeader: _CLIENT_BUG,
    http.InvalidProxyURL: Fault(OperatorNeeded, "the proxy's address cannot be read.", "Correct HTTPS_PROXY."),
    http.ChunkedEncodingError: _UNREACHABLE,
    http.ContentDecodingError: _NOT_VAULT,
    http.StreamConsumedError: _CLIENT_BUG,
    http.RetryError: _UNREACHABLE,
    http.UnrewindableBodyError: _CLIENT_BUG,
    AnswerTooLong: _NOT_VAULT,
    Redirected: _ELSEWHERE,
    NotVault: _NOT_VAULT,
    NotVersioned: Fault(Refused, "what is there is no secret with versions.", VERSIONED),
}
"""Every exception of both libraries; a test fails when one grows another."""

_BY_STATUS: Final = {
    405: _REFUSED,
    412: FAULTS[vault.PreconditionFailed],
    413: Fault(Refused, "the secret is larger than the server allows.", "Publish to a secret of its own."),
    504: _FAILED,
}
"""Where the client has no class of its own."""

_LOST: Final = frozenset(
    {
        OSError, NotVault, NotVersioned, AnswerTooLong, vault.InternalServerError, vault.BadGateway,
        http.RequestException, http.ConnectionError, http.SSLError, http.Timeout, http.ReadTimeout,
        http.ChunkedEncodingError, http.ContentDecodingError, http.InvalidJSONError, http.JSONDecodeError,
    }
)  # fmt: skip
"""Behind a write that was sent, these say nothing about its effect."""

_CONFUSED: Final = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What the client itself raises over an answer whose shape it did not expect."""


def asked(call: Callable[[], Answer]) -> Answer:
    """The answer to ``call``; whatever fails leaves as an exception of the table, and nothing else hangs on it."""
    try:
        return call()
    except tuple(FAULTS):
        raise
    except _CONFUSED:
        pass
    # Raised outside the handler: the foreign error may hold the answer.
    raise NotVault


def translated(
    error: Exception, label: str, *, status: int = 0, retry_after: str = "", changes: bool = False, policy: str = ""
) -> RotatorError:
    """``error`` in our words. Of its own only the system's reason is repeated, of why there is no connection.

    ``status`` and ``retry_after`` are of the answer that it tells of; ``changes``: a lost answer leaves the outcome
    unknown.
    """
    known = next(kind for kind in type(error).__mro__ if kind in FAULTS)
    fault = _fault(error, known, status)
    if changes and (fault is _FAILED or (known in _LOST and fault is not _UNTRUSTED)):
        return OutcomeUnknown(f"{label}: the answer was lost; it may have been done. Doing it again is safe.")
    if fault.family is RateLimited:
        return RateLimited(_said(fault, label), retry_after=_span(retry_after))
    return fault.family(_said(fault, label, _reason(error)), fault.remedy.format(policy=policy))


def _fault(error: Exception, known: type[Exception], status: int) -> Fault:
    """By class, and by what else tells where one class means more than one thing."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return _UNTRUSTED
    return _BY_STATUS.get(status, FAULTS[known]) if known is vault.UnexpectedError else FAULTS[known]


def login_refused(label: str) -> RotatorError:
    """For what a login answers to a wrong role or credential: 400, 403 or 404, by its kind."""
    return _LOGIN.family(_said(_LOGIN, label), _LOGIN.remedy)


def token_refused(label: str) -> RotatorError:
    """For a token that is none: Vault answers to that as to a lacking right."""
    return _TOKEN.family(_said(_TOKEN, label), _TOKEN.remedy)


def _said(fault: Fault, label: str, reason: str = "") -> str:
    return f"{label}: {fault.problem}{reason} The old value was left as it is."


def _span(retry_after: str) -> timedelta | None:
    """Vault tells seconds; a proxy in front may tell a date, which is as good as nothing."""
    seconds = retry_after.strip()
    return timedelta(seconds=min(int(seconds[:9]), _LONGEST_PAUSE_S)) if seconds.isdecimal() else None


def _reason(error: Exception) -> str:
    """Why there is no connection, in the system's words: they name no more than the server."""
    causes = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    certificate = next((c.verify_message for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None)
    reason = certificate or next((cause.strerror for cause in causes), None)
    return f" {reason}." if reason else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
