"""OpenRouter API key rotations: ``/api/v2/secret-rotations``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import Query, Request, Response
from starlette.concurrency import run_in_threadpool

from tasks.operations import Operations
from tasks.operations.requests import RotationUpdate
from tasks.operations.views import RotationView
from tasks.rotation.errors import InvalidInput, NotAsSeen, NotFound
from tasks.rotation.model import ById, Removal
from tasks.rotation.parameters import validated_slug
from worker.web.access.gate import guarded_router
from worker.web.access.idempotency import request_id_of
from worker.web.context import operations_of
from worker.web.etag import IfMatch, tag
from worker.web.infisical import answered, orders, outcomes, showing
from worker.web.infisical.asked import (
    ChangedRotation,
    Flag,
    NewRotation,
    ProjectId,
    RotationId,
    RotationName,
    SecretsMapping,
)
from worker.web.infisical.fields import without_slash
from worker.web.infisical.words import about_rotations, no_rotation_called
from worker.web.openapi import failing
from worker.web.waiting import Patience

BASE: Final = "/api/v2/secret-rotations"
_OURS: Final = f"/{showing.TYPE}"
_ONE: Final = f"{_OURS}/{{rotationId}}"
_TRIES: Final = 5
_OPTION: Final = answered.RotationOption(
    name="OpenRouter API Key",
    connection=showing.APP,
    type=showing.TYPE,
    template=answered.Template(secrets_mapping=SecretsMapping(api_key="OPEN_ROUTER_API_KEY")),
)
Label = Annotated[str | None, Query(max_length=1024)]

router = guarded_router(prefix=BASE, tags=["secret rotations"])


# --- reading ---------------------------------------------------------------------------------------------------


@router.get("/options")
async def infisical_rotation_options() -> answered.RotationOptions:
    """The kinds of rotations that there are: OpenRouter API keys."""
    return answered.RotationOptions(secret_rotation_options=[_OPTION])


@router.get("/", include_in_schema=False)
@router.get("")
def infisical_all_rotations(request: Request, project_id: ProjectId = None) -> answered.Rotations:
    """Every rotation, or those of a project."""
    return _listed(operations_of(request), project_id)


@router.get(f"{_OURS}/", include_in_schema=False)
@router.get(_OURS)
def infisical_rotations(request: Request, project_id: ProjectId = None) -> answered.Rotations:
    """Every OpenRouter API key rotation, or those of a project."""
    return _listed(operations_of(request), project_id)


def _listed(operations: Operations, project_id: str | None) -> answered.Rotations:
    org_id, found = operations.installation_id(), operations.list_rotations()
    shown = [showing.rotation(v, org_id) for v in found if project_id in {None, v.project_id}]
    return answered.Rotations(secret_rotations=shown, broken=list(found.broken))


@router.get(f"{_OURS}/rotation-name/{{rotationName}}")
def infisical_rotation_by_name(
    request: Request,
    response: Response,
    name: RotationName,
    *,
    project_id: ProjectId = None,
    environment: Label = None,
    secret_path: Annotated[str | None, Query(alias="secretPath", max_length=1024)] = None,
) -> answered.OneRotation:
    """The rotation of this name, if it has the labels that are given."""
    operations = operations_of(request)
    path = None if secret_path is None else without_slash(secret_path)
    try:
        view = operations.show_rotation(validated_slug("name", name))
    except (InvalidInput, NotFound):
        raise no_rotation_called(name) from None
    wanted = ((project_id, view.project_id), (environment, view.environment), (path, view.secret_path))
    if any(label not in {None, its} for label, its in wanted):
        raise no_rotation_called(name)
    return _shown(operations, response, view)


@router.get(_ONE)
def infisical_rotation(request: Request, response: Response, rotation_id: RotationId) -> answered.OneRotation:
    """One rotation as it stands."""
    operations, id_ = operations_of(request), str(rotation_id)
    with about_rotations(id_=id_):
        return _shown(operations, response, operations.show_rotation(ById(id_)))


@router.get(f"{_ONE}/generated-credentials")
def infisical_generated_credentials(
    request: Request, response: Response, rotation_id: RotationId
) -> answered.GeneratedCredentials:
    """Every key that works now. That each was read leaves an event."""
    operations, id_ = operations_of(request), str(rotation_id)
    with about_rotations(id_=id_):
        keys = operations.reveal_keys(ById(id_))
    response.headers["Cache-Control"] = "no-store"
    return answered.GeneratedCredentials(
        generated_credentials=[answered.GeneratedCredential(api_key=k.key.reveal(), key_hash=k.key_hash) for k in keys],
        active_index=next((i for i, k in enumerate(keys) if k.active), 0),
        rotation_id=id_,
        type=showing.TYPE,
    )


# --- changing --------------------------------------------------------------------------------------------------


@router.post(f"{_OURS}/", include_in_schema=False)
@router.post(_OURS, responses=failing(404))
async def infisical_create_rotation(
    request: Request, response: Response, body: NewRotation, wait_s: Patience = 30
) -> answered.OneRotation:
    """Store a rotation and wait for its first key. It stays when that fails: ``rotationStatus`` tells."""
    operations = operations_of(request)
    with about_rotations(name=body.name, path=body.secret_path, connection_id=str(body.connection_id)):
        view = await run_in_threadpool(operations.create_rotation, orders.creation(body))
    view = await outcomes.served(operations, view, version=1, wait_s=wait_s)
    return await run_in_threadpool(_shown, operations, response, view)


@router.patch(_ONE, responses=failing(412))
def infisical_update_rotation(
    request: Request, response: Response, rotation_id: RotationId, body: ChangedRotation, if_match: IfMatch
) -> answered.OneRotation:
    """Change a rotation; parameters apply to keys that are minted from now on."""
    operations, id_ = operations_of(request), str(rotation_id)
    with about_rotations(id_=id_, name=body.name):
        return _shown(operations, response, _updated(operations, ById(id_), body, if_match))


def _updated(operations: Operations, which: ById, body: ChangedRotation, if_match: str | None) -> RotationView:
    """Decided from how it stands; decided anew when that changes meanwhile, unless the caller insists on it."""
    for _ in range(_TRIES):
        view = operations.show_rotation(which)
        if if_match not in {None, view.revision}:
            break
        if (update := orders.change(body, view)) == RotationUpdate():
            return view
        try:
            return operations.update_rotation(which, update, if_revision=view.revision)
        except NotAsSeen:
            continue
    raise NotAsSeen(view.name)


@router.delete(_ONE, responses=failing(401, 412))
async def infisical_delete_rotation(
    request: Request,
    rotation_id: RotationId,
    if_match: IfMatch,
    *,
    delete_secrets: Annotated[Flag, Query(alias="deleteSecrets")] = "false",
    revoke: Annotated[Flag, Query(alias="revokeGeneratedCredentials")] = "false",
    wait_s: Patience = 30,
) -> answered.OneRotation:
    """Delete a rotation, its keys kept alive or revoked, and wait until it is gone; as it was seen last."""
    operations, id_ = operations_of(request), str(rotation_id)
    removal = Removal.REVOKE_KEYS if revoke == "true" else Removal.KEEP_KEYS
    with about_rotations(id_=id_):
        view = await run_in_threadpool(operations.show_rotation, ById(id_))
        delete = partial(operations.delete_rotation, withdraw=delete_secrets == "true", if_revision=if_match)
        await run_in_threadpool(delete, ById(id_), removal)
    view = await outcomes.gone(operations, view, removal, wait_s=wait_s)
    org_id = await run_in_threadpool(operations.installation_id)
    return answered.OneRotation(secret_rotation=showing.rotation(view, org_id))


@router.post(f"{_ONE}/rotate-secrets", responses=failing(401))
async def infisical_rotate_secrets(
    request: Request, response: Response, rotation_id: RotationId, wait_s: Patience = 30
) -> answered.OneRotation:
    """Rotate now and wait until the new key is in service. Who asks while a rotation is on its way joins it."""
    operations, id_ = operations_of(request), str(rotation_id)
    with about_rotations(id_=id_):
        asked = await run_in_threadpool(partial(operations.rotate, ById(id_), request_id=request_id_of(request)))
        view = await run_in_threadpool(operations.show_rotation, ById(id_))
    view = await outcomes.served(operations, view, version=asked.version, wait_s=wait_s)
    await run_in_threadpool(outcomes.refuse_failure, operations, view, version=asked.version)
    return await run_in_threadpool(_shown, operations, response, view)


def _shown(operations: Operations, response: Response, view: RotationView) -> answered.OneRotation:
    tag(response, view.revision)
    return answered.OneRotation(secret_rotation=showing.rotation(view, operations.installation_id()))
