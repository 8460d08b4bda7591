"""How many at once: whoever comes beyond that is asked to come back, and waits for no answer that comes too late."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.errors import answer
from worker.web.news import MOST as WAITING_MOST

AT_WORK_MOST: Final = 200
"""Requests besides those that wait for a rotation's next key: a second's worth, where this server is slow."""
_COME_BACK_S: Final = "2"
_FULL: Final = "Too many requests are being served at once; this one was not begun."
_ALWAYS: Final = frozenset({"/healthz"})
"""Whoever asks whether the process lives must not be told otherwise because it is busy."""


class Crowd:
    """Serves ``most`` requests at once, and refuses the rest with a 503."""

    def __init__(self, app: ASGIApp, *, most: int = AT_WORK_MOST + WAITING_MOST) -> None:
        self._app, self._most, self._count = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it."""
        if scope["type"] == "http" and self._count >= self._most and scope["path"] not in _ALWAYS:
            refusal = answer(Request(scope), HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
            refusal.headers["Retry-After"] = _COME_BACK_S
            await refusal(scope, receive, send)
            return
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1
