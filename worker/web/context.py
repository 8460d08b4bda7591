"""What every request may use: one ``Web`` for the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from tasks.operations import Operations
from worker.web.access.limits import Limits
from worker.web.access.lookups import Lookups
from worker.web.metrics.times import Times
from worker.web.news import News
from worker.web.shared import Shared

if TYPE_CHECKING:
    from config.settings import Settings
    from tasks.wiring import Rotator
    from worker.web.access.caller import Caller


class Web:
    """The open installation that this server shows."""

    def __init__(self, rotator: Rotator) -> None:
        self.rotator = rotator
        self.news = News(rotator)
        self.times = Times()
        self.status = Shared()
        """The whole installation, as its routes tell it."""
        self.limits = Limits(rotator.settings.web_requests_per_minute)
        self.tokens = Lookups(rotator.store.tokens.holder)

    @property
    def settings(self) -> Settings:
        """As the process read them."""
        return self.rotator.settings

    def operations(self, caller: Caller) -> Operations:
        """What an operator may ask, its events naming the caller."""
        return Operations(self.rotator.acting_as(caller.actor))


def web_of(request: Request) -> Web:
    """The server's context."""
    return cast("Web", request.app.state.web)


def operations_of(request: Request) -> Operations:
    """What the caller may ask. Only on routes that not everybody may call."""
    return web_of(request).operations(request.state.caller)
