"""Connections: management keys, which come in and never go out again."""

from __future__ import annotations

from fastapi import Request, Response

from tasks.operations.requests import UNSET
from tasks.operations.views import ConnectionView
from tasks.rotation.errors import InvalidInput
from worker.web.api.answers import ConnectionList, Gone, told
from worker.web.api.bodies import ConnectionChange, NewConnection
from worker.web.api.parts import ASKING, Called, own_router, tagged
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of
from worker.web.etag import IfMatch, tag
from worker.web.openapi import failing
from worker.web.waiting import slowly

router = own_router("connections")
_SHAPE = shape_of(ConnectionView)


@router.get("/connections", response_model=shape_of(ConnectionList))
def list_connections(request: Request) -> object:
    """Every connection, by name; its key is shown only as a keyed fingerprint."""
    return told(ConnectionList(operations_of(request).list_connections()))


@router.get("/connections/{name}", response_model=_SHAPE, responses=tagged() | failing(404, 422))
def show_connection(request: Request, response: Response, name: Called) -> object:
    """One connection."""
    return _tagged(response, operations_of(request).show_connection(name))


@router.post("/connections", status_code=201, response_model=_SHAPE, responses=tagged(201) | failing(409, 422, *ASKING))
@slowly
def create_connection(request: Request, response: Response, wanted: NewConnection) -> object:
    """Prove a management key at OpenRouter, and store it."""
    view = operations_of(request).create_connection(
        wanted.name, wanted.api_key, wanted.description, project_id=wanted.project_id
    )
    return _tagged(response, view)


@router.patch("/connections/{name}", response_model=_SHAPE, responses=tagged() | failing(404, 409, 412, 422, *ASKING))
@slowly
def update_connection(
    request: Request, response: Response, name: Called, change: ConnectionChange, if_match: IfMatch
) -> object:
    """Replace the key, once the new one is proven, or change the name or the description."""
    given = change.model_fields_set
    if not given:
        raise InvalidInput("body", "there is nothing to change", "Give at least one field.")
    view = operations_of(request).update_connection(
        name,
        api_key=change.api_key if "api_key" in given else None,
        description=change.description if "description" in given else UNSET,
        rename=change.name if "name" in given else UNSET,
        if_revision=if_match,
    )
    return _tagged(response, view)


@router.delete("/connections/{name}", response_model=shape_of(Gone), responses=failing(404, 409, 412, 422))
def delete_connection(request: Request, name: Called, if_match: IfMatch) -> object:
    """Delete a connection that no rotation uses, and its key with it."""
    operations_of(request).delete_connection(name, if_revision=if_match)
    return told(Gone(name))


@router.post("/connections/{name}/check", response_model=_SHAPE, responses=failing(404, 409, 422, *ASKING))
@slowly
def check_connection(request: Request, name: Called) -> object:
    """Prove the stored key now. What was found, also that it is refused, is stored and answered."""
    return told(operations_of(request).check_connection(name))


def _tagged(response: Response, view: ConnectionView) -> object:
    tag(response, view.revision)
    return told(view)
