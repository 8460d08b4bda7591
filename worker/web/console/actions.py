"""What one may do to a rotation. Each action is a page that says what it will do, and a form that does it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tasks.rotation.errors import InvalidInput, RotatorError
from tasks.rotation.model import Removal
from worker.web.access.gate import guarded_router
from worker.web.console import promises
from worker.web.console.forms import Form, confirmed
from worker.web.console.rendering import go_to, now_of, page, refused
from worker.web.context import operations_of
from worker.web.waiting import slowly

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/rotations/{name}/rotate")
@slowly
def console_rotate(request: Request, name: str) -> HTMLResponse:
    """The dry run, and the button."""
    operations, now = operations_of(request), now_of(request)
    view, versions = operations.show_rotation(name), operations.versions(name)
    told = promises.on_rotate(view, versions, now)
    dry = operations.dry_run(name)
    return page(request, "rotate.html", title=f"Rotate {name} now", view=view, dry=dry, promise=told, now=now)


@router.post("/rotations/{name}/rotate")
def console_rotate_now(request: Request, name: str) -> Response:
    """Ask for a new version."""
    answer = operations_of(request).rotate(name)
    return go_to(f"/rotations/{name}", "joined" if answer.joined else "rotating")


@router.get("/rotations/{name}/undo")
def console_undo(request: Request, name: str) -> HTMLResponse:
    """What would come back."""
    operations, now = operations_of(request), now_of(request)
    view, versions = operations.show_rotation(name), operations.versions(name)
    told = promises.on_undo(view, versions, now)
    return page(request, "undo.html", title=f"Undo on {name}", view=view, promise=told)


@router.post("/rotations/{name}/undo")
def console_undo_now(request: Request, name: str) -> Response:
    """Ask for the previous version back."""
    operations_of(request).undo(name)
    return go_to(f"/rotations/{name}", "undoing")


@router.post("/rotations/{name}/pause")
def console_pause(request: Request, name: str) -> Response:
    """Stop the schedule."""
    operations_of(request).pause_rotation(name)
    return go_to(f"/rotations/{name}", "paused")


@router.post("/rotations/{name}/resume")
def console_resume(request: Request, name: str) -> Response:
    """Start the schedule again."""
    operations_of(request).resume_rotation(name)
    return go_to(f"/rotations/{name}", "resumed")


@router.get("/rotations/{name}/emergency")
def console_emergency(request: Request, name: str) -> HTMLResponse:
    """What it would destroy, and the name to type."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    told = promises.on_emergency(view, operations.versions(name))
    return page(request, "emergency.html", title=f"Emergency on {name}", view=view, promise=told)


@router.post("/rotations/{name}/emergency")
def console_rotate_in_emergency(request: Request, name: str, form: Form) -> Response:
    """Replace the key and delete every older one, if the name was typed."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    try:
        confirmed(form, name)
        operations.rotate(name, emergency=True)
    except RotatorError as error:
        told = promises.on_emergency(view, operations.versions(name))
        title = f"Emergency on {name}"
        return refused(request, "emergency.html", title=title, form=form, error=error, view=view, promise=told)
    return go_to(f"/rotations/{name}", "emergency")


@router.get("/rotations/{name}/delete")
def console_end_rotation(request: Request, name: str) -> HTMLResponse:
    """What would become of its keys, and the name to type."""
    view = operations_of(request).show_rotation(name)
    versions = operations_of(request).versions(name)
    shown: dict[str, Any] = {"promises": promises, "versions": versions, "Removal": Removal}
    return page(request, "rotation_delete.html", title=f"Delete {name}", view=view, **shown)


@router.post("/rotations/{name}/delete")
def console_delete_rotation(request: Request, name: str, form: Form) -> Response:
    """Ask for its end, if the name was typed and its keys' fate chosen."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    try:
        if form["removal"] not in set(Removal):
            raise InvalidInput("removal", "it is not chosen what becomes of the keys", "Keep or revoke them.")
        confirmed(form, name)
        operations.delete_rotation(name, Removal(form["removal"]))
    except RotatorError as error:
        shown: dict[str, Any] = {
            "promises": promises,
            "versions": operations.versions(name),
            "Removal": Removal,
            "view": view,
        }
        title = f"Delete {name}"
        return refused(request, "rotation_delete.html", title=title, form=form, error=error, **shown)
    return go_to(f"/rotations/{name}", "removing")
