"""Where a rotation publishes: one more, one less, and whether a key could be published there now."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tasks.operations.requests import DestinationRequest, RotationUpdate
from tasks.rotation.errors import NotFound, RotatorError
from worker.web.access.gate import guarded_router
from worker.web.console.forms import Form
from worker.web.console.order import on_drift_in, publish_in
from worker.web.console.rendering import go_to, page, refused
from worker.web.context import operations_of
from worker.web.waiting import slowly

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/rotations/{name}/destinations")
def console_new_destination(request: Request, name: str) -> HTMLResponse:
    """The form for one more."""
    operations = operations_of(request)
    view, kinds = operations.show_rotation(name), operations.destination_kinds()
    return page(request, "destination_new.html", title=f"Add a destination to {name}", view=view, kinds=kinds)


@router.post("/rotations/{name}/destinations")
@slowly
def console_add_destination(request: Request, name: str, form: Form) -> Response:
    """Publish there too, from now on."""
    operations = operations_of(request)
    view = operations.show_rotation(name)
    try:
        wanted = DestinationRequest(publish_in(form), form["optional"] == "yes", on_drift_in(form))
        operations.update_rotation(name, RotationUpdate(add_publish=(wanted,)))
    except RotatorError as error:
        shown: dict[str, Any] = {
            "title": f"Add a destination to {name}",
            "view": view,
            "kinds": operations.destination_kinds(),
        }
        where: dict[str, Any] = {"at": "target", "secret": ("target",)}
        return refused(request, "destination_new.html", form=form, error=error, **where, **shown)
    return go_to(f"/rotations/{name}", "destination-added")


@router.post("/rotations/{name}/destinations/remove")
def console_remove_destination(request: Request, name: str, form: Form) -> Response:
    """Stop publishing there; first it is asked whether that is meant."""
    operations, label = operations_of(request), form["label"]
    view = operations.show_rotation(name)
    place = next((d for d in view.destinations if d.label == label), None)
    if place is None:
        raise NotFound(f"{name} does not publish there.", "Its page lists where it does.")
    if form["sure"] != "yes":
        title = "Call a withdrawal off" if place.leaving else "Remove a destination"
        return page(request, "destination_remove.html", title=title, view=view, place=place)
    change = RotationUpdate(remove_publish=(label,), withdraw=form["withdraw"] == "yes")
    operations.update_rotation(name, change)
    return go_to(f"/rotations/{name}", "destination-removed")


@router.post("/rotations/{name}/destinations/check")
@slowly
def console_check_destinations(request: Request, name: str) -> HTMLResponse:
    """Try each of them, rights to write included."""
    trials = operations_of(request).check_destinations(name)
    return page(request, "destinations_checked.html", title=f"Destinations of {name}", name=name, trials=trials)
