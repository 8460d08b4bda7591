"""The audit log."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Final, Literal

from fastapi import Query, Request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from tasks.operations.requests import EventsRequest
from tasks.operations.views import EventPage
from worker.web.api.answers import told
from worker.web.api.bodies import Name
from worker.web.api.parts import MOST, Called, own_router
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of
from worker.web.openapi import failing

router = own_router("events")
_SHAPE = shape_of(EventPage)
_LAST: Final = 2**63 - 1
_DATED: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


def _dated(value: object) -> object:
    """As text that begins with a date: a bare number would be taken for seconds since 1970."""
    if isinstance(value, str) and not _DATED.match(value):
        raise ValueError("it must be a moment like 2026-11-21T03:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_dated)]


class OfOne(BaseModel):
    """Which events of a rotation; what is left out does not restrict them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    order: Literal["newest", "oldest"] | None = Field(
        default=None, description="What comes first; left out: the oldest where `after` is given, else the newest."
    )
    after: int | None = Field(
        default=None, ge=0, le=_LAST, description="Events after this id: the `cursor` of the page before, oldest first."
    )
    before: int | None = Field(
        default=None,
        ge=0,
        le=_LAST,
        description="Events before this id: the `cursor` of the page before, newest first.",
    )
    name: str | None = Field(default=None, max_length=100, pattern="^[a-z_]+$", description="Events so called.")
    actor: str | None = Field(
        default=None, max_length=300, pattern="^[^\\x00-\\x1f]+$", description="What it caused, like `token:ci`."
    )
    since: Moment | None = Field(default=None, description="Not before this moment, with its offset from UTC.")
    until: Moment | None = Field(default=None, description="Not after this moment.")
    limit: int = Field(default=100, ge=1, le=MOST, description="At most so many.")

    def request(self) -> EventsRequest:
        """The page that is asked for."""
        newest_first = self.order == "newest" if self.order else self.after is None
        return EventsRequest(
            name=self.name,
            actor=self.actor,
            since=self.since,
            until=self.until,
            after=self.after or 0,
            before=self.before,
            limit=self.limit,
            newest_first=newest_first,
        )


class OfAll(OfOne):
    """Which events of the installation; what is left out does not restrict them."""

    rotation: Name | None = Field(default=None, description="Events of it, also when it was deleted.")
    connection: Name | None = Field(default=None, description="Events of it.")

    def request(self) -> EventsRequest:
        """The page that is asked for."""
        return replace(super().request(), rotation=self.rotation, connection=self.connection)


@router.get("/events", response_model=_SHAPE, responses=failing(404, 422))
def list_events(request: Request, asked: Annotated[OfAll, Query()]) -> object:
    """The audit log in pages. Who goes on from `cursor` misses no event, whatever is written meanwhile."""
    return told(operations_of(request).find_events(asked.request()))


@router.get("/rotations/{name}/events", response_model=_SHAPE, responses=failing(404, 422))
def list_events_of_rotation(request: Request, name: Called, asked: Annotated[OfOne, Query()]) -> object:
    """The audit log of one rotation."""
    return told(operations_of(request).find_events(replace(asked.request(), rotation=name)))
