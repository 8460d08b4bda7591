"""A new key now, the previous one back, and what either would do."""

from __future__ import annotations

from fastapi import Request

from tasks.operations.views import DryRun
from tasks.rotation.errors import InvalidInput
from worker.web.access.idempotency import request_id_of
from worker.web.api.answers import told
from worker.web.api.bodies import Confirmation
from worker.web.api.parts import ASKED, Called, own_router
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of
from worker.web.openapi import failing
from worker.web.waiting import slowly

router = own_router("rotating")


@router.post("/rotations/{name}/rotate", **ASKED)
def rotate(request: Request, name: Called) -> object:
    """Ask for a new key now. Who asks while one is on its way joins it and gets the same answer."""
    return told(operations_of(request).rotate(name, request_id=request_id_of(request)))


@router.post("/rotations/{name}/undo", **ASKED)
def undo(request: Request, name: Called) -> object:
    """Ask for the previous key back, while it is not deleted."""
    return told(operations_of(request).undo(name, request_id=request_id_of(request)))


@router.post("/rotations/{name}/emergency", **ASKED)
def rotate_in_emergency(request: Request, name: Called, confirmation: Confirmation) -> object:
    """Replace a key that leaked: the old one is deleted as soon as the new one is in service, without overlap."""
    if confirmation.confirm != name:
        raise InvalidInput("confirm", "it is not the rotation's name", "Repeat the name that the address has.")
    return told(operations_of(request).rotate(name, emergency=True, request_id=request_id_of(request)))


@router.get("/rotations/{name}/dry-run", response_model=shape_of(DryRun), responses=failing(404, 422))
@slowly
def dry_run(request: Request, name: Called) -> object:
    """Exactly what a rotation would do now. Destinations are tried out for it; no value there is changed."""
    return told(operations_of(request).dry_run(name))
