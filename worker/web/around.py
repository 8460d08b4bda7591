"""What stands around every route: a name for each request, headers, a line in the log, and an answer whatever happens.

All of it is plain ASGI: nothing buffers an answer, and a client that leaves is noticed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.logging import bound, get_logger
from config.settings import Settings
from worker.web import errors
from worker.web.access.bodies import BodyLimit
from worker.web.access.caller import Caller, address_of
from worker.web.access.crowd import Crowd
from worker.web.access.hosts import OnlyOurs, is_loopback, name_in, names_of

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_LONGEST_PATH: Final = 200
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with that, browsers send `Origin: null` with our own forms. Nothing goes to others either way.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""On every answer; a route may say something else in place of each."""
_OURS_ONLY_BY_TLS: Final = "max-age=31536000"
log = get_logger(__name__)


def surround(app: FastAPI, settings: Settings) -> None:
    """Put all of it around ``app``."""
    # What is added last stands outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(OnlyOurs, names=names_of(settings))
    app.add_middleware(Crowd)
    app.add_middleware(_LastLine)
    app.add_middleware(_AccessLog)
    app.add_middleware(_Headers, tls=settings.web_tls_certificate is not None)
    app.add_middleware(_Named)


class _Named:
    """A name for each request: in the answer, in an error's body, and in every line that is logged meanwhile."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = f"req-{uuid.uuid4().hex[:16]}"
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = name
        with bound(reqId=name):
            await self._app(scope, receive, _with_headers(send, lambda headers: headers.update({"X-Request-Id": name})))


class _Headers:
    """What browsers are told to refuse, with every answer. To insist on TLS is for whoever has the certificate; and for
    no name of this machine, which its other servers have too."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app, self._tls = app, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def complete(headers: MutableHeaders) -> None:
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._tls and not is_loopback(name_in(Request(scope).headers.get("host", ""))):
                headers["Strict-Transport-Security"] = _OURS_ONLY_BY_TLS

        await self._app(scope, receive, _with_headers(send, complete) if scope["type"] == "http" else send)


class _AccessLog:
    """One line for each request: never its query, its headers or its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        statuses: list[int] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(int(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            _say(Request(scope), statuses[0] if statuses else None, time.perf_counter() - began)


def _say(request: Request, status: int | None, took_s: float) -> None:
    """``status`` is None where the client left before there was an answer."""
    caller: Caller | None = getattr(request.state, "caller", None)
    probe = request.scope["path"] in _PROBES and status is not None and status < 400  # noqa: PLR2004 - no fault
    (log.debug if probe else log.info)(
        "request",
        method=request.method,
        path=_path(request.scope),
        status=status,
        ms=round(took_s * 1000, 1),
        caller=None if caller is None else caller.actor,
        address=address_of(request),
    )


def _path(scope: Scope) -> str:
    """As it was sent, so that no character of it is more than a character."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return raw.partition(b"?")[0][:_LONGEST_PATH].decode("ascii", "backslashreplace")


class _LastLine:
    """A crash becomes our answer, and a line in the log without values."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            log.debug("client_left")
        except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback could print a secret
            crashed = errors.unexpected(Request(scope), error)
            if not started:  # else the connection is closed, which tells that the answer is not whole
                await crashed(scope, receive, send)


def _with_headers(send: Send, change: Callable[[MutableHeaders], None]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            change(MutableHeaders(scope=message))
        await send(message)

    return sending
