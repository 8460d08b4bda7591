"""For whoever watches the process: is it alive, and could it work?"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from tasks.rotation.errors import RotatorError
from worker.web.access.gate import guarded_router
from worker.web.context import web_of

router = guarded_router(tags=["probes"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """It could work."""

    status: Literal["ready"] = "ready"


class NotReady(BaseModel):
    """It could not."""

    status: Literal["not ready"] = "not ready"
    reason: str = Field(description="What is wrong, and what to do.")


@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers; restart it when it does not."""
    return Alive()


@router.get(
    "/readyz",
    response_model=Ready,
    responses={503: {"description": "It could not work now; `reason` says why.", "model": NotReady}},
)
def readyz(request: Request) -> Ready | Response:
    """The database answers, and schema and master key suit this release; send it no requests while not."""
    try:
        web_of(request).rotator.check()
    except RotatorError as error:
        return JSONResponse(NotReady(reason=str(error)).model_dump(), HTTPStatus.SERVICE_UNAVAILABLE)
    return Ready()
