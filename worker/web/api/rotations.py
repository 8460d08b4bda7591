"""Rotations: the standing orders."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from tasks.operations.views import RotationPreview, RotationView, VersionPage
from tasks.rotation.model import Removal
from worker.web.api.answers import Deletion, DeliveryList, RotationList, told
from worker.web.api.bodies import NewRotation, RotationChange
from worker.web.api.parts import ASKING, Called, Limit, Position, own_router, tagged
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of
from worker.web.etag import IfMatch, tag
from worker.web.openapi import failing
from worker.web.waiting import slowly

router = own_router("rotations")
_SHAPE = shape_of(RotationView)
_REMOVALS: Final = {"keep": Removal.KEEP_KEYS, "revoke": Removal.REVOKE_KEYS}

Fate = Annotated[
    Literal["keep", "revoke"],
    Query(description="What becomes of its keys at OpenRouter: they stay alive, or are deleted."),
]


@router.get("/rotations", response_model=shape_of(RotationList))
def list_rotations(request: Request) -> object:
    """Every rotation, by name; what cannot be read is named in `broken`."""
    status = operations_of(request).status()
    return told(RotationList(status.rotations, status.broken))


@router.post(
    "/rotations", status_code=201, response_model=_SHAPE, responses=tagged(201) | failing(404, 409, 422, *ASKING)
)
@slowly
def create_rotation(request: Request, response: Response, wanted: NewRotation) -> object:
    """Set up a rotation; unless asked otherwise its first key is minted, proven and published at once."""
    return _tagged(response, operations_of(request).create_rotation(wanted.request()))


@router.post("/rotations/preview", response_model=shape_of(RotationPreview), responses=failing(404, 409, 422, *ASKING))
@slowly
def preview_rotation(request: Request, wanted: NewRotation) -> object:
    """What creating would make of this, and every refusal it would meet. Nothing is stored; destinations are tried."""
    return told(operations_of(request).preview_rotation(wanted.request()))


@router.get("/rotations/{name}", response_model=_SHAPE, responses=tagged() | failing(404, 422))
def show_rotation(request: Request, response: Response, name: Called) -> object:
    """One rotation, with its next three times."""
    return _tagged(response, operations_of(request).show_rotation(name))


@router.patch("/rotations/{name}", response_model=_SHAPE, responses=tagged() | failing(404, 409, 412, 422, *ASKING))
@slowly
def update_rotation(
    request: Request, response: Response, name: Called, change: RotationChange, if_match: IfMatch
) -> object:
    """Change the order. Destinations have routes of their own."""
    return _tagged(response, operations_of(request).update_rotation(name, change.update(), if_revision=if_match))


@router.delete(
    "/rotations/{name}", status_code=202, response_model=shape_of(Deletion), responses=failing(404, 409, 412, 422)
)
def delete_rotation(request: Request, name: Called, keys: Fate, if_match: IfMatch) -> object:
    """Ask for the rotation's end; workers carry it out. What becomes of its keys must be said."""
    removal = _REMOVALS[keys]
    notice = operations_of(request).delete_rotation(name, removal, if_revision=if_match)
    return told(Deletion(name, removal, notice))


@router.post("/rotations/{name}/pause", response_model=_SHAPE, responses=tagged() | failing(404, 409, 422))
def pause_rotation(request: Request, response: Response, name: Called) -> object:
    """Stop the schedule; what is in flight finishes, and old keys are still retired."""
    return _tagged(response, operations_of(request).pause_rotation(name))


@router.post("/rotations/{name}/resume", response_model=_SHAPE, responses=tagged() | failing(404, 409, 422))
def resume_rotation(request: Request, response: Response, name: Called) -> object:
    """Start the schedule again, and try at once what waits after a failure."""
    return _tagged(response, operations_of(request).resume_rotation(name))


@router.get("/rotations/{name}/versions", response_model=shape_of(VersionPage), responses=failing(404, 422))
def list_versions(request: Request, name: Called, before: Position = None, limit: Limit = 100) -> object:
    """Versions below the number `before`, the newest first, deleted ones included."""
    return told(operations_of(request).version_page(name, before=before, limit=limit))


@router.get("/rotations/{name}/deliveries", response_model=shape_of(DeliveryList), responses=failing(404, 422))
def list_deliveries(request: Request, name: Called) -> object:
    """What each destination holds, as far as is recorded, and what is still to come there."""
    return told(DeliveryList(name, operations_of(request).deliveries(name)))


def _tagged(response: Response, view: RotationView) -> object:
    tag(response, view.revision)
    return told(view)
