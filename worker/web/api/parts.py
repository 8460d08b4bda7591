"""What the routes of this API have in common: how they are made and what they are given."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from tasks.operations.views import RotateAnswer
from worker.web.access.gate import guarded_router
from worker.web.api.bodies import Name
from worker.web.api.shapes import shape_of
from worker.web.api.words import PREFIX
from worker.web.openapi import failing

MOST: Final = 200
"""Lines of one page."""

Called = Annotated[Name, Path(description="The name.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]
Position = Annotated[int | None, Query(ge=0, le=2**63 - 1)]

ASKING: Final = (400, 401, 503)
"""How a call may fail that asks OpenRouter or a destination."""


def tagged(status: int = 200) -> dict[int | str, dict[str, Any]]:
    """``responses=`` for an answer whose state has a name, which ``If-Match`` takes."""
    header = {"description": "Names this state; send it as `If-Match`.", "schema": {"type": "string"}}
    return {status: {"headers": {"ETag": header}}}


def own_router(tag: str) -> APIRouter:
    """A router of this API, behind the gate."""
    return guarded_router(prefix=PREFIX, tags=[tag])


ASKED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_model": shape_of(RotateAnswer),
    "responses": failing(404, 409, 422),
}
"""A request that workers carry out."""
