"""Every path the emulator knows, who may call it, and the way from a request to its answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from . import binding_calls, chat, key_calls
from .calls import Call
from .messages import Answer, ApiError, Request
from .state import Caller, CallerKind, State

Handler = Callable[[State, Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. ``refusal`` is the status an ordinary key gets; None lets it in."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    refusal: int | None


def answer(state: State, request: Request, caller: Caller, now: datetime) -> Answer:
    """Do what ``request`` asks and answer it. A refusal is an answer too, and changes nothing."""
    try:
        route, subject = _find(request)
        _authorize(route, caller)
        return route.handler(state, Call(request, subject, caller, now))
    except ApiError as error:
        return error.answer()


def _find(request: Request) -> tuple[Route, str]:
    known_path = False
    for route in ROUTES:
        match = route.pattern.fullmatch(request.path)
        if match and route.method == request.method:
            return route, "".join(match.groups())
        known_path = known_path or match is not None
    if known_path:
        raise ApiError(405, "Method not allowed")
    raise ApiError(404, "Not found: the emulator knows no such path")


def _authorize(route: Route, caller: Caller) -> None:
    if caller.kind is CallerKind.NOBODY:
        raise ApiError(401, "Missing, unknown, disabled, expired or deleted key; management keys begin with emulator-")
    if caller.kind is CallerKind.KEY and route.refusal is not None:
        raise ApiError(route.refusal, "Only management keys can perform this operation")


def _route(method: str, path: str, handler: Handler, refusal: int | None = 401) -> Route:
    return Route(method, re.compile(re.sub(r"\{\w+\}", "([^/]+)", path)), handler, refusal)


# An ordinary key is refused with 403 where the OpenAPI document of 2026-08-22 lists 403 for the call, else with 401.
ROUTES: Final = (
    _route("GET", "/key", key_calls.current_key, refusal=None),
    _route("POST", "/chat/completions", chat.complete, refusal=None),
    _route("GET", "/keys", key_calls.list_keys),
    _route("POST", "/keys", key_calls.create_key, refusal=403),
    _route("GET", "/keys/{hash}", key_calls.get_key),
    _route("PATCH", "/keys/{hash}", key_calls.update_key),
    _route("DELETE", "/keys/{hash}", key_calls.delete_key),
    _route("GET", "/credits", key_calls.credits_left, refusal=403),
    _route("GET", "/workspaces", key_calls.list_workspaces),
    _route("POST", "/workspaces", key_calls.create_workspace, refusal=403),
    _route("GET", "/guardrails/assignments/keys", binding_calls.list_assignments),
    _route("GET", "/guardrails", binding_calls.list_guardrails),
    _route("POST", "/guardrails", binding_calls.create_guardrail, refusal=403),
    _route("GET", "/guardrails/{id}", binding_calls.get_guardrail),
    _route("PATCH", "/guardrails/{id}", binding_calls.update_guardrail),
    _route("DELETE", "/guardrails/{id}", binding_calls.delete_guardrail),
    _route("GET", "/guardrails/{id}/assignments/keys", binding_calls.list_assignments),
    _route("POST", "/guardrails/{id}/assignments/keys", binding_calls.assign),
    _route("POST", "/guardrails/{id}/assignments/keys/remove", binding_calls.unassign),
    _route("GET", "/byok", binding_calls.list_byok),
    _route("POST", "/byok", binding_calls.create_byok, refusal=403),
    _route("GET", "/byok/{id}", binding_calls.get_byok),
    _route("PATCH", "/byok/{id}", binding_calls.update_byok),
    _route("DELETE", "/byok/{id}", binding_calls.delete_byok),
    _route("GET", "/observability/destinations", binding_calls.list_destinations),
    _route("POST", "/observability/destinations", binding_calls.create_destination, refusal=403),
    _route("GET", "/observability/destinations/{id}", binding_calls.get_destination),
    _route("PATCH", "/observability/destinations/{id}", binding_calls.update_destination, refusal=403),
    _route("DELETE", "/observability/destinations/{id}", binding_calls.delete_destination),
)
