"""The gate: before a request's body is even read, it is known who asks and whether the table lets them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, assert_never

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tasks.rotation.errors import InvalidInput
from worker.web.access.caller import Caller, address_of
from worker.web.access.idempotency import once
from worker.web.access.sessions import CSRF_FIELD, CSRF_HEADER, csrf_of, is_csrf, require_same_origin, session_caller
from worker.web.access.table import READ, ROUTES, Grant, Proof
from worker.web.access.texts import is_storable, require_text
from worker.web.context import web_of
from worker.web.errors import Denied

_BEARER: Final = "bearer"
_SAFE: Final = frozenset({"GET", "HEAD"})


class GuardedRoute(APIRoute):
    """A route that the table knows. Raises ``LookupError`` when it is made under a name that is not there."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the gate."""
        grant, handler = ROUTES[self.name], super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await admit(request, grant)
            if request.method not in _SAFE:
                await require_text(request)
            if grant.proof is Proof.BEARER and request.method == "POST":
                return await once(request, caller_of(request), _bearer_in(request), handler)
            return await handler(request)

        return guarded


def guarded_router(**options: Any) -> APIRouter:
    """A router whose routes stand behind the gate."""
    return APIRouter(route_class=GuardedRoute, **options)


async def admit(request: Request, grant: Grant) -> None:
    """Let the caller pass, known from now on as ``caller_of(request)``. Raises ``Denied`` and ``SignInNeeded``."""
    match grant.proof:
        case Proof.NONE:
            return
        case Proof.BEARER:
            known = web_of(request).tokens.remembered(_bearer_in(request)) if grant is READ else None
            caller = Caller(known) if known is not None else await run_in_threadpool(_by_bearer, request)
        case Proof.SESSION:
            caller = await run_in_threadpool(session_caller, request)
            request.state.csrf = csrf_of(request)
        case _:
            assert_never(grant.proof)
    request.state.caller = caller
    web_of(request).limits.count(caller.token)
    if caller.role not in grant.roles:
        raise Denied.forbidden(caller.role, grant.roles)
    if grant.proof is Proof.SESSION and request.method not in _SAFE:
        await _require_own_form(request)


def caller_of(request: Request) -> Caller:
    """Who asks, on a route that not everybody may call."""
    caller: Caller = request.state.caller
    return caller


async def _require_own_form(request: Request) -> None:
    """Raise ``Denied`` unless a page of this session sent what changes something."""
    require_same_origin(request)
    await request.body()  # kept, so that the route can read it again, in whatever form
    form = await request.form(max_files=0, max_fields=100)  # no page sends files
    field = form.get(CSRF_FIELD)
    sent = request.headers.get(CSRF_HEADER, field if isinstance(field, str) else "")
    if not is_csrf(request, sent):
        raise Denied(403, "PermissionDenied", "The form is not of this session: load the page again and repeat it.")
    if not all(is_storable(value) for value in form.values() if isinstance(value, str)):
        raise InvalidInput("form", "a text in it holds a NUL character", "Leave it out.")


def _by_bearer(request: Request) -> Caller:
    web = web_of(request)
    token = web.tokens.holder(_bearer_in(request))
    if token is None:
        raise web.limits.refuse(address_of(request))
    return Caller(token)


def _bearer_in(request: Request) -> str:
    sent = request.headers.getlist("authorization")
    scheme, _, text = (sent[0] if len(sent) == 1 else "").partition(" ")  # of two, a proxy may have looked at the other
    if scheme.lower() != _BEARER or not text.strip():
        raise Denied.no_token()
    return text.strip()
