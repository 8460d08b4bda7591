"""Every page of the console."""

from __future__ import annotations

from typing import Final

from worker.web.console import (
    actions,
    connections,
    destinations,
    editing,
    events,
    overview,
    rotations,
    showing,
    sign_in,
    wizard,
)

ROUTERS: Final = tuple(
    part.router
    for part in (
        sign_in,
        overview,
        connections,
        rotations,
        events,
        actions,
        destinations,
        editing,
        showing,
        wizard,
    )
)
