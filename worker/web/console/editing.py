"""A rotation's order, changed."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tasks.rotation.errors import RotatorError
from worker.web.access.gate import guarded_router
from worker.web.console.forms import Form, Typed
from worker.web.console.order import typed_of, update_in
from worker.web.console.rendering import go_to, page, refused
from worker.web.context import operations_of

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/rotations/{name}/edit")
def console_edit_rotation(request: Request, name: str) -> HTMLResponse:
    """The form, filled in."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    typed = typed_of(view, operations.schedule_of(name))
    return page(request, "rotation_edit.html", title=f"Edit {name}", view=view, typed=typed)


@router.post("/rotations/{name}/edit")
def console_update_rotation(request: Request, name: str, form: Form) -> Response:
    """Change it, unless somebody else did since the form was filled in."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    try:
        if _differs(form, typed_of(view, operations.schedule_of(name))):
            operations.update_rotation(name, update_in(form), if_revision=form.given("revision"))
    except RotatorError as error:
        return refused(request, "rotation_edit.html", title=f"Edit {name}", form=form, error=error, view=view)
    return go_to(f"/rotations/{form['name']}", "saved")


def _differs(form: Typed, stored: dict[str, str]) -> bool:
    return any(form[name] != value for name, value in stored.items())
