"""How long this server takes to answer: measured around everything else, kept in memory."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.store.tallies import bucket_of

_UNMATCHED: Final = "unmatched"
"""Requests that no route is for: their paths could be anything."""
_UNANSWERED: Final = "unanswered"
"""The caller went away first."""


class Times:
    """Durations by route and class of status, as buckets and sums. Threads may add."""

    def __init__(self) -> None:
        self._adding = threading.Lock()
        self._buckets: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._sums: Counter[tuple[str, str]] = Counter()

    def add(self, route: str, status: str, seconds: float) -> None:
        """Count one request."""
        with self._adding:
            self._buckets[route, status][bucket_of(seconds)] += 1
            self._sums[route, status] += seconds  # type: ignore[assignment]  # numbers of both kinds

    def all(self) -> dict[tuple[str, str], tuple[dict[str, float], float]]:
        """Counts by bucket, and the sum, for each route and class of status."""
        with self._adding:
            return {key: (dict(self._buckets[key]), self._sums[key]) for key in self._buckets}


class Timed:
    """ASGI middleware that tells ``times`` of each request."""

    def __init__(self, app: ASGIApp, times: Times) -> None:
        self._app = app
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when its answer has been sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at_s, status = time.perf_counter(), _UNANSWERED

        async def heeded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = f"{message['status'] // 100}xx"
            await send(message)

        try:
            await self._app(scope, receive, heeded)
        finally:
            self._times.add(_route(scope), status, time.perf_counter() - began_at_s)


def _route(scope: Scope) -> str:
    name = getattr(scope.get("route"), "name", None)
    return name if isinstance(name, str) else _UNMATCHED
