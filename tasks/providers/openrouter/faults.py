"""The one error table: what httpx raised, or the status that came, to the families of ``rotation.errors``.

What went wrong is first named by a ``Verdict``; what that means depends on what the request would have done::

                    READ                 CHANGE               CREATE
    NEVER_SENT      Unavailable          Unavailable          Unavailable
    UNCERTAIN       Unavailable          OutcomeUnknown       OutcomeUnknown
    RATE_LIMITED    RateLimited          RateLimited          RateLimited
    REJECTED        CredentialRejected   CredentialRejected   CredentialRejected
    REFUSED         Refused              Refused              Refused

A foreign exception is *described*, never chained: an httpx error holds the request, and with it the bearer
token. The functions here return errors; whoever raises them stands outside every ``except`` block, so that
neither ``__cause__`` nor ``__context__`` leads back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Final, assert_never

import httpx

from tasks.providers.openrouter.exchange import Answer, Call, Effect
from tasks.rotation.errors import CredentialRejected, OutcomeUnknown, RateLimited, Refused, RotatorError, Unavailable


class Verdict(Enum):
    """What is known about a request that brought no success."""

    NEVER_SENT = auto()
    UNCERTAIN = auto()
    """It may have arrived and taken effect."""
    RATE_LIMITED = auto()
    REJECTED = auto()
    REFUSED = auto()


TRANSPORT: Final[Mapping[type[Exception], Verdict]] = {
    # Raised while a connection is sought: no byte of the request has left.
    httpx.ConnectError: Verdict.NEVER_SENT,
    httpx.ConnectTimeout: Verdict.NEVER_SENT,
    httpx.PoolTimeout: Verdict.NEVER_SENT,
    httpx.ProxyError: Verdict.NEVER_SENT,  # the proxy refused the tunnel; https is the only scheme that we proxy
    httpx.UnsupportedProtocol: Verdict.NEVER_SENT,
    httpx.InvalidURL: Verdict.NEVER_SENT,
    # Raised on a connection that stands, or too general to tell.
    httpx.ReadError: Verdict.UNCERTAIN,
    httpx.ReadTimeout: Verdict.UNCERTAIN,
    httpx.WriteError: Verdict.UNCERTAIN,
    httpx.WriteTimeout: Verdict.UNCERTAIN,
    httpx.CloseError: Verdict.UNCERTAIN,
    httpx.RemoteProtocolError: Verdict.UNCERTAIN,
    httpx.LocalProtocolError: Verdict.UNCERTAIN,
    httpx.ProtocolError: Verdict.UNCERTAIN,
    httpx.NetworkError: Verdict.UNCERTAIN,
    httpx.TimeoutException: Verdict.UNCERTAIN,
    httpx.TransportError: Verdict.UNCERTAIN,
    httpx.DecodingError: Verdict.UNCERTAIN,
    httpx.TooManyRedirects: Verdict.UNCERTAIN,
    httpx.RequestError: Verdict.UNCERTAIN,
    httpx.HTTPStatusError: Verdict.UNCERTAIN,
    httpx.HTTPError: Verdict.UNCERTAIN,
    # Misuse of httpx; we do none of it, and if we did, the request might be out.
    httpx.CookieConflict: Verdict.UNCERTAIN,
    httpx.StreamError: Verdict.UNCERTAIN,
    httpx.StreamConsumed: Verdict.UNCERTAIN,
    httpx.StreamClosed: Verdict.UNCERTAIN,
    httpx.ResponseNotRead: Verdict.UNCERTAIN,
    httpx.RequestNotRead: Verdict.UNCERTAIN,
}

STATUS: Final[Mapping[int, Verdict]] = {
    401: Verdict.REJECTED,
    429: Verdict.RATE_LIMITED,
    **dict.fromkeys((400, 402, 403, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 422, 431, 451), Verdict.REFUSED),
}
"""Statuses by which a server says that it did nothing. All others, new ones included, are ``UNCERTAIN``."""

_WAIT: Final = (
    "It is tried again by itself; if it lasts, check the network, HTTPS_PROXY, ROTATOR_OPENROUTER_BASE_URL and "
    "https://status.openrouter.ai."
)
_NEW_KEY: Final = (
    "Make a management key in OpenRouter's settings and hand it over with `rotator connection update NAME`."
)
_REFUSED_REMEDY: Final[Mapping[int, str]] = {
    402: "Add credits to the OpenRouter account.",
    403: "Give the management key's owner the right to do this at OpenRouter, or use another management key.",
    404: "Check the workspace of the rotation, and ROTATOR_OPENROUTER_BASE_URL.",
}
_BAD_REQUEST: Final = frozenset({400, 422})
_REFUSED_OTHERWISE: Final = "Change what it names; `rotator connection check NAME` tells whether the connection works."


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that brought no success. ``detail`` is for people and holds no key material."""

    verdict: Verdict
    detail: str
    status: int | None = None
    retry_after: timedelta | None = None


def failure_of_exception(kind: type[BaseException]) -> Failure:
    """What an exception's class says; its text is not looked at, for it may quote the request."""
    verdict = next((TRANSPORT[cls] for cls in kind.__mro__ if cls in TRANSPORT), Verdict.UNCERTAIN)
    return Failure(verdict, f"{_in_words(kind)} ({kind.__name__})")


def failure_of_answer(answer: Answer, said: str) -> Failure:
    """What an answer without success says; ``said`` is OpenRouter's message, already cleaned."""
    verdict = STATUS.get(answer.status, Verdict.UNCERTAIN)
    detail = f"it answered {answer.status}" + (f", {said!r}" if said else "")
    return Failure(verdict, detail, answer.status, answer.retry_after)


def error_of(failure: Failure, call: Call) -> RotatorError:
    """The error to raise for a failure of this call."""
    match failure.verdict:
        case Verdict.NEVER_SENT:
            return Unavailable(
                f"OpenRouter could not be asked to {call.purpose}: {failure.detail}. Nothing was sent.", _WAIT
            )
        case Verdict.UNCERTAIN:
            return _uncertain(failure, call)
        case Verdict.RATE_LIMITED:
            message = f"OpenRouter limits our rate: asked to {call.purpose}, {failure.detail}. It did nothing."
            return RateLimited(message, "The connection pauses and goes on by itself.", retry_after=failure.retry_after)
        case Verdict.REJECTED:
            message = f"OpenRouter rejected the key, when asked to {call.purpose}: {failure.detail}."
            return CredentialRejected(f"{message} Nothing was changed; keys in service go on working.", _NEW_KEY)
        case Verdict.REFUSED:
            message = f"OpenRouter refused to {call.purpose}: {failure.detail}. Nothing was changed."
            return Refused(message, _refused_remedy(failure, call))
        case _:
            assert_never(failure.verdict)


def _uncertain(failure: Failure, call: Call) -> RotatorError:
    match call.effect:
        case Effect.READ:
            message = f"OpenRouter gave no usable answer when asked to {call.purpose}: {failure.detail}."
            return Unavailable(f"{message} Nothing was changed.", _WAIT, retry_after=failure.retry_after)
        case Effect.CHANGE:
            message = f"OpenRouter may or may not have done it when asked to {call.purpose}: {failure.detail}."
            return OutcomeUnknown(f"{message} Asking again does no harm.", _WAIT)
        case Effect.CREATE:
            message = f"OpenRouter may or may not have done it when asked to {call.purpose}: {failure.detail}."
            safe = "The key in service is untouched; a key that was made is found by its name and removed."
            return OutcomeUnknown(f"{message} {safe}", _WAIT)
        case _:
            assert_never(call.effect)


def _refused_remedy(failure: Failure, call: Call) -> str:
    if failure.status in _BAD_REQUEST and call.if_refused:
        return call.if_refused
    return _REFUSED_REMEDY.get(failure.status or 0, _REFUSED_OTHERWISE)


def _in_words(kind: type[BaseException]) -> str:
    if issubclass(kind, httpx.PoolTimeout):
        return "every connection of this process was busy"
    if issubclass(kind, httpx.TimeoutException):
        return "it did not answer in time"
    if issubclass(kind, httpx.ProxyError):
        return "the proxy refused the tunnel"
    if issubclass(kind, httpx.ConnectError):
        return "no connection could be made"
    return "the exchange broke off"
