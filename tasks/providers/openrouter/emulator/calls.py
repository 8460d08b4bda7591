"""One routed call, and what handlers share: paging and the workspace a listing is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .bodies import read_count, read_identifier
from .messages import Answer, JsonObject, Request
from .state import Caller, State

OK: Final = 200
CREATED: Final = 201
DELETED: Final[JsonObject] = {"deleted": True}


@dataclass(frozen=True, slots=True)
class Call:
    """The request, the hash or id in its path (empty if none), who sent it, and when."""

    request: Request
    subject: str
    caller: Caller
    now: datetime


def page_of(call: Call, views: Sequence[JsonObject]) -> Answer:
    """One page by ``offset`` and ``limit`` (50, at most 100), with the total."""
    offset = read_count(call.request.query, "offset", 0)
    limit = read_count(call.request.query, "limit", 50, low=1, high=100)
    return Answer(OK, {"data": list(views[offset : offset + limit]), "total_count": len(views)})


def workspace_of(state: State, call: Call) -> str:
    """The workspace that the query names, else the default one; 400 when there is none such."""
    return state.workspaces.resolve(read_identifier(call.request.query, "workspace_id"))
