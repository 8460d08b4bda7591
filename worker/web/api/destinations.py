"""Where a rotation publishes."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request

from tasks.operations.requests import RotationUpdate
from tasks.operations.views import RotationView
from worker.web.api.answers import DestinationList, TrialList, told
from worker.web.api.bodies import NewDestination
from worker.web.api.parts import ASKING, Called, own_router
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of
from worker.web.etag import IfMatch
from worker.web.openapi import failing
from worker.web.waiting import slowly

Withdraw = Annotated[bool, Query(description="Take the key away there too.")]

router = own_router("destinations")
_SHAPE = shape_of(DestinationList)
_CHANGING: Final = failing(404, 409, 412, 422, *ASKING)

Label = Annotated[
    str,
    Query(
        min_length=1, max_length=2000, pattern="^[^\\x00-\\x1f]+$", description="As the list of destinations has it."
    ),
]


@router.get("/rotations/{name}/destinations", response_model=_SHAPE, responses=failing(404, 422))
def list_destinations(request: Request, name: Called) -> object:
    """Every destination, by a label without credentials."""
    return _listed(operations_of(request).show_rotation(name))


@router.post("/rotations/{name}/destinations", status_code=201, response_model=_SHAPE, responses=_CHANGING)
@slowly
def add_destination(request: Request, name: Called, wanted: NewDestination, if_match: IfMatch) -> object:
    """Publish there too, or change how. It is tried first; then it gets the current key at once."""
    update = RotationUpdate(add_publish=(wanted.request(),))
    return _listed(operations_of(request).update_rotation(name, update, if_revision=if_match))


@router.delete("/rotations/{name}/destinations", response_model=_SHAPE, responses=_CHANGING)
def remove_destination(
    request: Request, name: Called, label: Label, if_match: IfMatch, *, withdraw: Withdraw = False
) -> object:
    """Stop publishing there. What it holds is left as it is, and works until that key is retired; or it is withdrawn,
    and the destination is listed as leaving until that is done."""
    update = RotationUpdate(remove_publish=(label,), withdraw=withdraw)
    return _listed(operations_of(request).update_rotation(name, update, if_revision=if_match))


@router.post("/rotations/{name}/destinations/check", response_model=shape_of(TrialList), responses=failing(404, 422))
@slowly
def check_destinations(request: Request, name: Called) -> object:
    """Try out each destination, its rights to write included; no value there is changed."""
    return told(TrialList(name, operations_of(request).check_destinations(name)))


def _listed(view: RotationView) -> object:
    return told(DestinationList(view.name, view.destinations))
