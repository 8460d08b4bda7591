"""The one page that shows a key: once, to an admin who asks, with an event."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from worker.web.access.gate import guarded_router
from worker.web.console.rendering import page
from worker.web.context import operations_of

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/rotations/{name}/key")
def console_key(request: Request, name: str) -> HTMLResponse:
    """The question."""
    current = operations_of(request).current_key(name)
    return page(request, "key.html", title=f"The key of {name}", current=current, shown=None)


@router.post("/rotations/{name}/key")
def console_show_key(request: Request, name: str) -> HTMLResponse:
    """The key, in this answer alone: no browser keeps it, and to see it again is to ask again."""
    operations = operations_of(request)
    current, key = operations.current_key(name), operations.reveal_key(name)
    made = page(request, "key.html", title=f"The key of {name}", current=current, shown=key.reveal())
    made.headers["Cache-Control"] = "no-store"
    return made
