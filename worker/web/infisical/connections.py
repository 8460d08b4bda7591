"""App connections: ``/api/v1/app-connections``."""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from tasks.operations import Operations
from tasks.operations.requests import UNSET
from tasks.operations.views import ConnectionView
from tasks.rotation.errors import InvalidInput, NotAsSeen, NotFound
from tasks.rotation.model import ById
from tasks.rotation.parameters import validated_slug
from worker.web.access.gate import guarded_router
from worker.web.context import operations_of
from worker.web.etag import IfMatch, tag
from worker.web.infisical import answered, showing
from worker.web.infisical.asked import ChangedConnection, ConnectionId, ConnectionName, NewConnection, ProjectId
from worker.web.infisical.words import about_connections, no_connection_called
from worker.web.openapi import failing
from worker.web.waiting import asking_openrouter

BASE: Final = "/api/v1/app-connections"
_OPTION: Final = answered.ConnectionOption(name="OpenRouter", app=showing.APP, methods=["api-key"])

router = guarded_router(prefix=BASE, tags=["app connections"])


@router.get("/options")
async def infisical_connection_options() -> answered.ConnectionOptions:
    """The apps that can be connected: OpenRouter."""
    return answered.ConnectionOptions(app_connection_options=[_OPTION])


@router.get("/", include_in_schema=False)
@router.get("")
def infisical_all_connections(request: Request, project_id: ProjectId = None) -> answered.Connections:
    """Every connection, or those of a project."""
    return _listed(operations_of(request), project_id)


@router.get("/open-router/", include_in_schema=False)
@router.get("/open-router")
def infisical_connections(request: Request, project_id: ProjectId = None) -> answered.Connections:
    """Every OpenRouter connection, or those of a project."""
    return _listed(operations_of(request), project_id)


def _listed(operations: Operations, project_id: str | None) -> answered.Connections:
    org_id = operations.installation_id()
    chosen = (v for v in operations.list_connections() if project_id in {None, v.project_id})
    return answered.Connections(app_connections=[showing.connection(v, org_id) for v in chosen])


@router.get("/open-router/available")
def infisical_available_connections(request: Request, project_id: ProjectId = None) -> answered.AvailableConnections:
    """The connections that a rotation may use; of a project, with those that belong to none."""
    operations = operations_of(request)
    org_id = operations.installation_id()
    chosen = (v for v in operations.list_connections() if project_id is None or v.project_id in {None, project_id})
    return answered.AvailableConnections(app_connections=[showing.available(v, org_id) for v in chosen])


@router.get("/open-router/connection-name/{connectionName}")
def infisical_connection_by_name(
    request: Request, response: Response, name: ConnectionName, project_id: ProjectId = None
) -> answered.OneConnection:
    """The connection of this name in a project; without a project, one that belongs to none."""
    operations = operations_of(request)
    try:
        view = operations.show_connection(validated_slug("name", name))
    except (InvalidInput, NotFound):
        raise no_connection_called(name, project_id) from None
    if view.project_id != project_id:
        raise no_connection_called(name, project_id)
    return _shown(operations, response, view)


@router.get("/open-router/{connectionId}")
def infisical_connection(request: Request, response: Response, connection_id: ConnectionId) -> answered.OneConnection:
    """One connection, its key masked."""
    operations, id_ = operations_of(request), str(connection_id)
    with about_connections(id_=id_):
        return _shown(operations, response, operations.show_connection(ById(id_)))


@router.post("/open-router/", include_in_schema=False)
@router.post("/open-router", responses=failing(401))
async def infisical_create_connection(
    request: Request, response: Response, body: NewConnection
) -> answered.OneConnection:
    """Store a management key, once OpenRouter has proven that it is one."""
    operations = operations_of(request)
    with about_connections(name=body.name):
        view = await asking_openrouter(
            partial(
                operations.create_connection,
                body.name,
                body.credentials.api_key,
                body.description,
                project_id=body.project_id,
            )
        )
    return await run_in_threadpool(_shown, operations, response, view)


@router.patch("/open-router/{connectionId}", responses=failing(401, 412))
async def infisical_update_connection(
    request: Request,
    response: Response,
    connection_id: ConnectionId,
    body: ChangedConnection,
    if_match: IfMatch,
) -> answered.OneConnection:
    """Change the name, the description or, once proven, the key."""
    operations, id_ = operations_of(request), str(connection_id)
    run = run_in_threadpool if body.credentials is None else asking_openrouter
    with about_connections(id_=id_, name=body.name):
        view = await run(partial(_updated, operations, id_, body, if_match))
    return await run_in_threadpool(_shown, operations, response, view)


def _updated(operations: Operations, id_: str, body: ChangedConnection, if_match: str | None) -> ConnectionView:
    if not body.model_fields_set & {"name", "description", "credentials"}:
        view = operations.show_connection(ById(id_))
        if if_match not in {None, view.revision}:
            raise NotAsSeen(view.name)
        return view
    return operations.update_connection(
        ById(id_),
        api_key=None if body.credentials is None else body.credentials.api_key,
        description=body.description if "description" in body.model_fields_set else UNSET,
        rename=UNSET if body.name is None else body.name,
        if_revision=if_match,
    )


@router.delete("/open-router/{connectionId}", responses=failing(412))
def infisical_delete_connection(
    request: Request, connection_id: ConnectionId, if_match: IfMatch
) -> answered.OneConnection:
    """Delete a connection that no rotation uses, and the ciphertext of its key; as it was."""
    operations, id_ = operations_of(request), str(connection_id)
    with about_connections(id_=id_):
        view = operations.delete_connection(ById(id_), if_revision=if_match)
    return answered.OneConnection(app_connection=showing.connection(view, operations.installation_id()))


def _shown(operations: Operations, response: Response, view: ConnectionView) -> answered.OneConnection:
    tag(response, view.revision)
    return answered.OneConnection(app_connection=showing.connection(view, operations.installation_id()))
