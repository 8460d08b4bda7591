"""The web application, put together."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from tasks.wiring import Rotator
from worker.web import assets, docs, errors, probes
from worker.web.access.sessions import SignInNeeded, sign_in_needed
from worker.web.api import words
from worker.web.api.routers import ROUTERS as API
from worker.web.around import surround
from worker.web.console.failing import failed_page
from worker.web.console.pages import ROUTERS
from worker.web.context import Web
from worker.web.infisical import routers as infisical
from worker.web.metrics import routes as metrics
from worker.web.metrics.times import Timed

_NAMES_AT: Final = {words.PREFIX: words.NAMES, **infisical.NAMES_AT}
"""What the options of the command line are called, by the beginning of a path."""


def make_web(rotator: Rotator) -> FastAPI:
    """The application over an open ``rotator``, which the caller closes."""
    app = FastAPI(
        title="openrouter-rotator",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would name a scheme and host that a proxy in front may not go by
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.web = web = Web(rotator)
    errors.install(app, _NAMES_AT)
    app.add_exception_handler(SignInNeeded, sign_in_needed)
    surround(app, rotator.settings)
    app.add_middleware(Timed, times=web.times)  # around all else
    routers = (*(part.router for part in (probes, metrics, assets, docs)), *infisical.ROUTERS, *API, *ROUTERS)
    for router in routers:
        app.include_router(router)
    app.state.addresses = tuple(route for router in routers for route in router.routes)
    app.state.failed_page = failed_page
    return app
