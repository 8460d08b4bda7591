"""Connections: a key is proven while one waits, and never shown."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tasks.rotation.errors import CredentialRejected, InvalidInput, RotatorError, TryAgain
from worker.web.access.gate import guarded_router
from worker.web.console.forms import Form, confirmed
from worker.web.console.rendering import go_to, now_of, page, refused
from worker.web.context import operations_of
from worker.web.waiting import slowly

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)
_APP: Final = "open-router"


@router.get("/connections")
def console_connections(request: Request) -> HTMLResponse:
    """Every connection."""
    connections = operations_of(request).list_connections()
    return page(request, "connections.html", title="Connections", connections=connections, now=now_of(request))


@router.get("/new-connection")
def console_new_connection(request: Request) -> HTMLResponse:
    """The form for one more."""
    return page(request, "connection_new.html", title="Add connection")


@router.post("/new-connection")
@slowly
def console_add_connection(request: Request, form: Form) -> Response:
    """Prove the key, and store it with its name."""
    try:
        if form["app"] != _APP:
            raise InvalidInput("app", "it is not known", "Choose OpenRouter.")
        view = operations_of(request).create_connection(
            form["name"], form.needed_secret("api_key"), form.given("description")
        )
    except RotatorError as error:
        shown: dict[str, Any] = {"title": "Add connection", "form": form, "error": error, "secret": ("api_key",)}
        return refused(request, "connection_new.html", at=_where(error), **shown)
    return go_to(f"/connections/{view.name}", "connected")


@router.get("/connections/{name}")
def console_connection(request: Request, name: str) -> HTMLResponse:
    """One connection."""
    view = operations_of(request).show_connection(name)
    return page(request, "connection.html", title=view.name, view=view, now=now_of(request))


@router.post("/connections/{name}/check")
@slowly
def console_check_connection(request: Request, name: str) -> Response:
    """Prove the stored key now."""
    operations_of(request).check_connection(name)
    return go_to(f"/connections/{name}", "checked")


@router.get("/connections/{name}/key")
def console_connection_key(request: Request, name: str) -> HTMLResponse:
    """The form for another key."""
    view = operations_of(request).show_connection(name)
    return page(request, "connection_key.html", title=f"Replace the key of {name}", view=view)


@router.post("/connections/{name}/key")
@slowly
def console_replace_connection_key(request: Request, name: str, form: Form) -> Response:
    """Prove another key, and put it in the old one's place."""
    operations = operations_of(request)
    view = operations.show_connection(name)
    try:
        operations.update_connection(name, api_key=form.needed_secret("api_key"))
    except RotatorError as error:
        shown: dict[str, Any] = {
            "title": f"Replace the key of {name}",
            "form": form,
            "error": error,
            "secret": ("api_key",),
        }
        return refused(request, "connection_key.html", at="api_key", view=view, **shown)
    return go_to(f"/connections/{name}", "key-replaced")


@router.get("/connections/{name}/edit")
def console_edit_connection(request: Request, name: str) -> HTMLResponse:
    """The form for its name and description."""
    view = operations_of(request).show_connection(name)
    return page(request, "connection_edit.html", title=f"Edit {name}", view=view)


@router.post("/connections/{name}/edit")
def console_update_connection(request: Request, name: str, form: Form) -> Response:
    """Change its name and description."""
    operations = operations_of(request)
    view = operations.show_connection(name)
    try:
        wanted = form["name"], form.given("description")
        if wanted != (view.name, view.description):
            operations.update_connection(
                name, rename=wanted[0], description=wanted[1], if_revision=form.given("revision")
            )
    except RotatorError as error:
        return refused(request, "connection_edit.html", title=f"Edit {name}", form=form, error=error, view=view)
    return go_to(f"/connections/{wanted[0]}", "saved")


@router.get("/connections/{name}/delete")
def console_end_connection(request: Request, name: str) -> HTMLResponse:
    """The question, or the rotations that forbid it."""
    view = operations_of(request).show_connection(name)
    return page(request, "connection_delete.html", title=f"Delete {name}", view=view)


@router.post("/connections/{name}/delete")
def console_delete_connection(request: Request, name: str, form: Form) -> Response:
    """Delete it, if its name was typed."""
    operations = operations_of(request)
    view = operations.show_connection(name)
    try:
        confirmed(form, name)
        operations.delete_connection(name)
    except RotatorError as error:
        return refused(request, "connection_delete.html", title=f"Delete {name}", form=form, error=error, view=view)
    return go_to("/connections", "connection-deleted")


def _where(error: RotatorError) -> str:
    """At which field it is told: a refused key and an unreachable OpenRouter at the key, what clashes at the name."""
    return "api_key" if isinstance(error, CredentialRejected | TryAgain) else "name"
