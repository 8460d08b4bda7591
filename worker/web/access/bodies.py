"""How much a request may bring, and how long it may take to bring it."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.errors import answer

LARGEST: Final = 64 * 1024
"""Bytes. A rotation with every field at its longest needs a few thousand."""
SLOWEST_S: Final = 30.0
_AMBIGUOUS: Final = "The request says twice how long its body is; send Content-Length or Transfer-Encoding."
_TOO_LARGE: Final = f"The request's body is larger than {LARGEST} bytes."
_TOO_SLOW: Final = f"The request's body took longer than {SLOWEST_S:g} s to arrive."


class BodyLimit:
    """Refuses a body that is too large, by what it says or by what comes, and one that does not come."""

    def __init__(self, app: ASGIApp, *, slowest_s: float = SLOWEST_S) -> None:
        self._app, self._slowest_s = app, slowest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse what it brings."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (refusal := _refusal(Request(scope))) is not None:
            refusal.headers["Connection"] = "close"  # what it still sends is not waited for, nor taken for a request
            await refusal(scope, receive, send)
        else:
            await self._app(scope, _Bounded(receive, self._slowest_s), send)


class _Bounded:
    """A body as it comes in. Raises ``HTTPException``, which becomes an answer of ours, when it is too much."""

    def __init__(self, receive: Receive, slowest_s: float) -> None:
        self._receive, self._until, self._came, self._done = receive, time.monotonic() + slowest_s, 0, False

    async def __call__(self) -> Message:
        if self._done:  # what comes now says that the client went away, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW, {"Connection": "close"}) from None
        self._came += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._came > LARGEST:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE, {"Connection": "close"})
        return message


def _refusal(request: Request) -> Response | None:
    """The answer to a body that need not be read: it is too large, or two servers could disagree where it ends."""
    if {"content-length", "transfer-encoding"} <= set(request.headers.keys()):
        return answer(request, HTTPStatus.BAD_REQUEST, _AMBIGUOUS)
    if _announced(request.scope) > LARGEST:
        return answer(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    return None


def _announced(scope: Scope) -> int:
    """The length that the request says it has; 0 when it says none (the server lets no other text through)."""
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else 0
