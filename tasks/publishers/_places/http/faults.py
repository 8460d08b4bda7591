"""A question over HTTP, its answer, and every way in which it can fail, as what happens next.

::

                                  reads                changes
    never sent                    Unavailable          Unavailable
    sent, and no usable answer    Unavailable          OutcomeUnknown
    5xx, 408                      Unavailable          OutcomeUnknown
    429; 403 about a rate limit   RateLimited          RateLimited
    401                           CredentialRejected   CredentialRejected
    403                           OperatorNeeded       OperatorNeeded
    other 4xx, 3xx                Refused              Refused

A foreign exception is described and never chained, for it holds the request. No answer's body is repeated: it may quote
what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from tasks.rotation.errors import (
    CredentialRejected,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)

TIMEOUT_S: Final = 5.0
"""For connecting, and for each piece that is sent or received. Small values are moved."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""However long we are asked to wait, we ask again after an hour: a typo there must not stop us for ever."""

_UNSAID_PAUSE: Final = timedelta(minutes=1)
_WAIT: Final = (
    "It is tried again by itself; if it lasts, check the address, the network, HTTPS_PROXY and SSL_CERT_FILE."
)
_REDIRECTION: Final = range(300, 400)
_REFUSAL: Final = range(400, 500)
_UNCERTAIN: Final = frozenset({408})
"""Statuses below 500 by which a server does not say that it did nothing."""
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY = 401, 403, 429


@dataclass(frozen=True, slots=True)
class Call:
    """A question. ``purpose`` completes "asked to ..."; ``remedies`` are what a person can do, by status."""

    method: str
    url: str
    purpose: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    changes: bool = False
    """An answer that is lost leaves the outcome unknown."""
    accept: frozenset[int] = frozenset()
    """Statuses besides 2xx that are answers and no failures."""
    remedies: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. Its body may hold a value, so ``repr`` leaves it out."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def server_time(self) -> datetime | None:
        """The other side's clock, from ``Date``; None when it does not tell."""
        return http_date(self.headers.get("date", ""))


@dataclass(frozen=True, slots=True)
class Fault:
    """What one exception of httpx says: why it went wrong, and whether the request may have arrived."""

    problem: str
    may_have_arrived: bool = True


_SLOW: Final = Fault(f"it did not answer within {TIMEOUT_S:g} s")
_BROKE_OFF: Final = Fault("the exchange broke off")
_MISUSED: Final = Fault("the HTTP client was misused")
_NOT_HTTP: Final = Fault("its answer is not HTTP")

FAULTS: Final[Mapping[type[Exception], Fault]] = {
    # Raised while a connection is sought: no byte of the request has left.
    httpx.ConnectError: Fault("no connection could be made", may_have_arrived=False),
    httpx.ConnectTimeout: Fault(f"no connection was made within {TIMEOUT_S:g} s", may_have_arrived=False),
    httpx.PoolTimeout: Fault("no connection was free", may_have_arrived=False),
    httpx.ProxyError: Fault("the proxy refused the tunnel", may_have_arrived=False),
    httpx.UnsupportedProtocol: Fault("its address is none that can be asked", may_have_arrived=False),
    httpx.InvalidURL: Fault("its address is none that can be asked", may_have_arrived=False),
    # Raised on a connection that stands, or too general to tell.
    httpx.ReadTimeout: _SLOW,
    httpx.WriteTimeout: _SLOW,
    httpx.TimeoutException: _SLOW,
    httpx.ReadError: _BROKE_OFF,
    httpx.WriteError: _BROKE_OFF,
    httpx.CloseError: _BROKE_OFF,
    httpx.NetworkError: _BROKE_OFF,
    httpx.TransportError: _BROKE_OFF,
    httpx.RequestError: _BROKE_OFF,
    httpx.HTTPError: _BROKE_OFF,
    httpx.RemoteProtocolError: _NOT_HTTP,
    httpx.LocalProtocolError: _NOT_HTTP,
    httpx.ProtocolError: _NOT_HTTP,
    httpx.DecodingError: _NOT_HTTP,
    # Misuse of httpx; we do none of it, and if we did, the request might be out.
    httpx.TooManyRedirects: _MISUSED,
    httpx.HTTPStatusError: _MISUSED,
    httpx.CookieConflict: _MISUSED,
    httpx.StreamError: _MISUSED,
    httpx.StreamConsumed: _MISUSED,
    httpx.StreamClosed: _MISUSED,
    httpx.ResponseNotRead: _MISUSED,
    httpx.RequestNotRead: _MISUSED,
}
"""Every exception of httpx; a test fails when it grows one that is not here."""


def fault_of(error: Exception) -> Fault:
    """What an exception's class says. Of its text, only what the system said of a connection that was not made."""
    fault = next((FAULTS[kind] for kind in type(error).__mro__ if kind in FAULTS), _BROKE_OFF)
    if isinstance(error, httpx.ConnectError) and str(error).isprintable():
        return Fault(f"{fault.problem}: {str(error)[:200]}", fault.may_have_arrived)
    return fault


def pause_asked_by(headers: httpx.Headers) -> timedelta | None:
    """How long the other side asks us to wait, up to ``LONGEST_PAUSE``; None when it does not say.

    Reads ``Retry-After`` (seconds or a date), then ``X-RateLimit-Reset`` (seconds since 1970, as GitHub has it). A
    point in time is measured against ``Date``, so that a wrong clock here does no harm.
    """
    asked, reset = headers.get("retry-after", "").strip(), headers.get("x-ratelimit-reset", "").strip()
    if _is_number(asked):
        return min(timedelta(seconds=int(asked)), LONGEST_PAUSE)
    until = http_date(asked) or (datetime.fromtimestamp(int(reset), UTC) if _is_number(reset) else None)
    if until is None:
        return None
    now = http_date(headers.get("date", "")) or datetime.now(UTC)
    return min(max(until - now, timedelta(seconds=1)), LONGEST_PAUSE)


def http_date(text: str) -> datetime | None:
    """A moment as HTTP writes it; None for anything else."""
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def failed(fault: Fault, label: str, call: Call) -> RotatorError:
    """The error for an exchange that brought no usable answer."""
    said = f"{label}: asked to {call.purpose}, {fault.problem}."
    if not fault.may_have_arrived:
        return Unavailable(f"{said} Nothing was sent.", _WAIT)
    if call.changes:
        return OutcomeUnknown(f"{said} It may have been done; doing it again is safe.", _WAIT)
    return Unavailable(f"{said} Nothing was changed.", _WAIT)


def refused(answer: Answer, label: str, call: Call) -> RotatorError:
    """The error for a status that is none of success."""
    if answer.status in _REDIRECTION:
        return Refused(
            f"{label}: asked to {call.purpose}, it answered {answer.status}, a redirect, which is never followed.",
            call.remedies.get(answer.status, "Name the address itself in the target."),
        )
    if _is_limit(answer):
        pause = pause_asked_by(answer.headers) or _UNSAID_PAUSE
        return RateLimited(f"{label}: it limits our rate; nothing was changed.", _WAIT, retry_after=pause)
    if answer.status not in _REFUSAL or answer.status in _UNCERTAIN:
        return failed(Fault(f"it answered {answer.status}"), label, call)
    family = {_UNAUTHORIZED: CredentialRejected, _FORBIDDEN: OperatorNeeded}.get(answer.status, Refused)
    said = f"{label}: asked to {call.purpose}, it answered {answer.status}. Nothing was changed."
    return family(said, call.remedies.get(answer.status, "Correct the target, or what it names there."))


def _is_limit(answer: Answer) -> bool:
    """A 429, or the 403 by which GitHub says the same: https://docs.github.com/rest (rate limits), 2026."""
    if answer.status != _FORBIDDEN:
        return answer.status == _TOO_MANY
    told = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    return told or b"rate limit" in answer.body[:2048].lower()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10  # noqa: PLR2004 - seconds since 1970 have ten
