"""The audit log, newest first, a page at a time."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from tasks.operations.requests import EventsRequest
from worker.web.access.gate import guarded_router
from worker.web.console.rendering import now_of, page
from worker.web.context import operations_of

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)
_PAGE: Final = 50
Before = Annotated[int | None, Query(ge=1, le=2**62)]


@router.get("/events")
def console_events(request: Request, before: Before = None) -> HTMLResponse:
    """Everything that happened."""
    return _page(request, "Events", None, before)


@router.get("/rotations/{name}/events")
def console_rotation_events(request: Request, name: str, before: Before = None) -> HTMLResponse:
    """Everything that happened to one rotation."""
    return _page(request, f"History of {name}", name, before)


def _page(request: Request, title: str, rotation: str | None, before: int | None) -> HTMLResponse:
    wanted = EventsRequest(rotation=rotation, before=before, limit=_PAGE, newest_first=True)
    found = operations_of(request).find_events(wanted)
    return page(
        request,
        "events.html",
        title=title,
        rotation=rotation,
        events=found.events,
        newest=before is None,
        older=found.cursor if found.more else None,
        now=now_of(request),
    )
