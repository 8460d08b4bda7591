"""Every part of this API."""

from __future__ import annotations

from typing import Final

from worker.web.api import connections, destinations, events, overview, rotating, rotations, secret

ROUTERS: Final = tuple(
    part.router for part in (overview, connections, rotations, rotating, destinations, events, secret)
)
