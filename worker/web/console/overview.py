"""The first page: what needs attention, what comes, how old keys are, what happened last. It refreshes itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse

from tasks.operations.requests import EventsRequest
from tasks.operations.views import ComingRotation
from worker.web.access.gate import guarded_router
from worker.web.console.concerns import ages, concerns, is_beating, summary
from worker.web.console.rendering import page, text_of
from worker.web.context import operations_of, web_of

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)
_DAYS: Final = 30
_EVENTS: Final = 8
_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar."""

    date: date
    count: int


@router.get("/")
def console_overview(request: Request, poll: bool = False) -> HTMLResponse:
    """The overview; with ``poll``, the part of it that changes."""
    facts = _facts(request)
    if poll:
        return HTMLResponse(text_of(request, "_overview.html", **facts))
    return page(request, "overview.html", title="Overview", **facts)


def _facts(request: Request) -> dict[str, Any]:
    operations, tick = operations_of(request), web_of(request).settings.tick_s
    view, coming = operations.status(), operations.calendar(days=_DAYS)
    found = concerns(view, tick)
    return {
        "view": view,
        "concerns": found,
        "summary": summary(view, found),
        "beating": is_beating(view, tick),
        "coming": coming,
        "agenda": agenda(coming),
        "days": days(coming, view.now),
        "frequent": [run.rotation for run in coming if run.is_last_told],
        "ages": ages(view),
        "events": operations.find_events(EventsRequest(limit=_EVENTS, newest_first=True)).events,
    }


def agenda(coming: tuple[ComingRotation, ...]) -> tuple[ComingRotation, ...]:
    """The runs to name: all while they are few, else the first of each rotation."""
    if len(coming) <= _NAMED:
        return coming
    first = {run.rotation: run for run in reversed(coming)}
    return tuple(run for run in coming if first[run.rotation] is run)[:_NAMED]


def days(coming: tuple[ComingRotation, ...], now: datetime) -> tuple[Day, ...]:
    """How many rotations start on each of the coming days (UTC)."""
    on = [run.at.date() for run in coming]
    dates = (now.date() + timedelta(days=n) for n in range(_DAYS))
    return tuple(Day(day, on.count(day)) for day in dates)
