"""Rotations: the list, and a page for each with the picture of its keys."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tasks.operations.requests import EventsRequest
from tasks.rotation.errors import NotFound
from tasks.rotation.model import KeyVersion, VersionState
from worker.web.access.gate import guarded_router
from worker.web.console import promises
from worker.web.console.lives import MEANING, SHOWN, Plan, Stage, draw, lives
from worker.web.console.rendering import go_to, now_of, page, text_of
from worker.web.context import operations_of

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)
_EVENTS: Final = 8
_ENDED: Final = "/rotations?said=rotation-deleted"
_MOST_DRAWN: Final = 200


@router.get("/rotations")
def console_rotations(request: Request) -> HTMLResponse:
    """Every rotation."""
    view = operations_of(request).status()
    return page(request, "rotations.html", title="Rotations", view=view, now=view.now)


@router.get("/rotations/{name}")
def console_rotation(request: Request, name: str, poll: bool = False, lives: str = "") -> Response:
    """One rotation; with ``poll`` the part of its page that changes, with ``lives=all`` every version. Who looks at one
    that has ended meanwhile is sent to the list."""
    try:
        facts = _facts(request, name, everything=lives == "all")
    except NotFound:
        if poll:
            return Response(headers={"HX-Redirect": _ENDED})
        if request.query_params.get("said") == "removing":
            return go_to("/rotations", "rotation-deleted")
        raise
    if poll:
        return HTMLResponse(text_of(request, "_rotation.html", **facts))
    return page(request, "rotation.html", title=name, **facts)


def _facts(request: Request, name: str, *, everything: bool) -> dict[str, Any]:
    operations, now = operations_of(request), now_of(request)
    view, versions = operations.show_rotation(name), operations.versions(name)
    told = lives(versions, Plan(view.overlap, view.cooling, view.upcoming), now)
    shown = _MOST_DRAWN if everything else SHOWN
    return {
        "view": view,
        "now": now,
        "everything": everything,
        "picture": draw(told, now, shown=shown),
        "told": list(reversed(told[-shown - 1 :])),
        "meaning": MEANING,
        "Stage": Stage,
        "places": operations.deliveries(name),
        "waiting": _waiting(versions),
        "pace": 2 if view.status in {"rotating", "removing"} else 15,
        "events": operations.find_events(EventsRequest(rotation=name, limit=_EVENTS, newest_first=True)).events,
        "undo": promises.on_undo(view, versions, now),
        "promises": promises,
        "versions": versions,
    }


def _waiting(versions: tuple[KeyVersion, ...]) -> KeyVersion | None:
    """The version whose work was stopped by something, and is tried again."""
    stuck = [v for v in versions if v.attempt.error and v.state is not VersionState.DELETED]
    return stuck[-1] if stuck else None
