"""Every failure as an answer: ``{"reqId", "statusCode", "message", "error"}``, the form of Infisical's API, and two
fields of ours, ``remedy`` and ``family``. No answer repeats what it was given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Self

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from config.logging import get_logger
from config.redaction import redact
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    NotAsSeen,
    NotFound,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    RotatorError,
    TryAgain,
)
from tasks.store.tokens import Role

log = get_logger(__name__)

_COMPATIBLE: Final = ("/api/v1/", "/api/v2/")
"""Where Infisical's statuses hold: what clashes is a 400 there, and a 409 in our own API."""
_FOR_PROGRAMS: Final = ("/api/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")
ShowFailure = Callable[[Request, int, str, str, Mapping[str, str] | None], Response]
"""Shows a failure to a person: status, message, remedy, headers."""
_NAMES: Final = {
    400: "BadRequest",
    401: "UnauthorizedError",
    403: "PermissionDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "PayloadTooLarge",
    422: "ValidationFailure",
    429: "RateLimitExceeded",
    503: "ServiceUnavailable",
}
_STATUS: Final = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotAsSeen, 412),
    (Conflict, 409),
    (CredentialRejected, 401),
    (Refused, 400),
    ((TryAgain, OutcomeUnknown, OperatorNeeded), 503),
)
"""The first that fits; a promise that does not hold is a 500."""
_OPTION: Final = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_RETRY_AFTER_S: Final = 5
_LONGEST_NAME: Final = 100
"""Of a field that nobody knows, which whoever asked has made up."""


class Denied(Exception):
    """The request is refused for who asks, how often, or where from."""

    def __init__(self, status: int, error: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.error, self.message, self.retry_after_s = status, error, message, retry_after_s

    @classmethod
    def no_token(cls) -> Self:
        """Nothing says who asks."""
        return cls(403, "TokenError", "A token is needed: send `Authorization: Bearer TOKEN`.")

    @classmethod
    def wrong_token(cls) -> Self:
        """The token opens nothing: which of the three it is, is not told."""
        return cls(403, "TokenError", "The token is not valid: it is unknown, revoked or expired.")

    @classmethod
    def forbidden(cls, role: Role, roles: Iterable[Role]) -> Self:
        """The token is good, but not for this."""
        wanted = " or ".join(sorted(roles))
        return cls(403, "PermissionDenied", f"A token of the role {role} may not do this; it takes {wanted}.")


def answer(
    request: Request,
    status: int,
    message: str | list[dict[str, Any]],
    *,
    error: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Response:
    """An error's answer: JSON, or, where a person looks at pages, a page."""
    show: ShowFailure | None = getattr(request.app.state, "failed_page", None)
    if show is not None and _is_for_people(request):
        told = message if isinstance(message, str) else "; ".join(str(issue["message"]) for issue in message)
        return show(request, status, told, more.get("remedy", ""), headers)
    body = {
        "reqId": getattr(request.state, "request_id", ""),
        "statusCode": status,
        "message": message,
        "error": error or _NAMES.get(status, "InternalServerError"),
    }
    return JSONResponse(body | {k: v for k, v in more.items() if v}, status, headers=headers)


def _is_for_people(request: Request) -> bool:
    """Whether a browser asks for a page."""
    accepts = "text/html" in request.headers.get("accept", "")
    return accepts and not request.scope["path"].startswith(_FOR_PROGRAMS)


def status_of(error: RotatorError, *, compatible: bool) -> int:
    """The status that an error of ours deserves."""
    if isinstance(error, Conflict) and compatible and not isinstance(error, NotAsSeen):
        return 400
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def in_words_of(text: str, names: Mapping[str, str]) -> str:
    """A message of the command line in the words of an API: ``--key-name`` becomes ``parameters.name``, where
    ``names`` says so, else ``key_name``."""
    return _OPTION.sub(lambda m: names.get(m[0], m[1].replace("-", "_")), text)


def install(app: FastAPI, names_at: Mapping[str, Mapping[str, str]]) -> None:
    """Have ``app`` answer every failure. ``names_at`` tells, by the beginning of a path, what options are called."""

    def names(request: Request) -> Mapping[str, str]:
        return next((names for start, names in names_at.items() if request.scope["path"].startswith(start)), {})

    async def of_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, RotatorError)  # noqa: S101 - Starlette calls it for nothing else
        return _of_ours(request, error, names(request))

    app.add_exception_handler(RotatorError, of_ours)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _of_ours(request: Request, error: RotatorError, names: Mapping[str, str]) -> Response:
    status = status_of(error, compatible=request.scope["path"].startswith(_COMPATIBLE))
    message = redact(_message(error, names))
    remedy = redact(in_words_of(error.remedy, names))
    headers = None
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(_seconds(error.retry_after if isinstance(error, TryAgain) else None))}
    if isinstance(error, InvalidInput):
        field = _field(error, names)
        issue = {"code": "custom", "path": field.split("."), "message": message}
        return answer(request, status, [issue], remedy=remedy, family=error.family)
    return answer(request, status, message, headers=headers, remedy=remedy, family=error.family)


def _field(error: InvalidInput, names: Mapping[str, str]) -> str:
    return names.get(error.field) or in_words_of(error.field, names)


def _message(error: RotatorError, names: Mapping[str, str]) -> str:
    if isinstance(error, InvalidInput):
        return f"{_field(error, names)}: {in_words_of(error.problem, names)}"
    return in_words_of(error.message, names)


def _seconds(pause: timedelta | None) -> int:
    return _RETRY_AFTER_S if pause is None else max(1, math.ceil(pause.total_seconds()))


async def _denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)  # noqa: S101 - Starlette calls it for nothing else
    headers = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return answer(request, error.status, error.message, error=error.error, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """Which fields are wrong and why; never what they held, which may be a key."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - Starlette calls it for nothing else
    issues = [
        {
            "code": e["type"],
            "path": [redact(str(p))[:_LONGEST_NAME] for p in e["loc"][1:]],
            "message": redact(_said(e["msg"])),
        }
        for e in error.errors()
    ]
    return answer(request, 422, issues)


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls it for nothing else
    said = "There is no such address." if error.status_code == HTTPStatus.NOT_FOUND else str(error.detail)
    headers = {"Allow": _allowed(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return answer(request, error.status_code, said, headers=headers)


def _allowed(request: Request) -> str:
    """Every method that an address takes: each route knows its own only."""
    routes = [route for route in request.app.state.addresses if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in routes for method in route.methods}))


def unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: its kind and place are logged without values, and nothing of it is told."""
    log.error("request_crashed", raised=error, path=request.scope["path"])
    return answer(request, 500, "Something went wrong here; the server's log has it under this reqId.", family="broken")
