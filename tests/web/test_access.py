"""Every route and everybody who might ask: all is as the table says."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from secrets import token_hex

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from config.settings import read_settings
from tasks.store.tokens import Role
from tasks.wiring import open_rotator
from tests.web.served import Served, served
from tests.web.session_clients import browser, session_of
from worker.web.access.gate import GuardedRoute, guarded_router
from worker.web.access.sessions import SIGN_IN
from worker.web.access.table import ROUTES, Proof
from worker.web.app import make_web

NOTHING = "00000000-0000-4000-8000-000000000000"
"""Fills every place in an address: a name and an id that nothing has, so that whoever may ask changes nothing."""
PLACE = re.compile(r"\{[^}]+\}")
SAFE = {"GET", "HEAD"}
SIGNING_IN = "console_begin_session"
"""Open to everybody, and refuses by itself who brings no token."""


@dataclass(frozen=True)
class Asked:
    """One way to call a route."""

    name: str
    method: str
    path: str


@cache
def _every_route(folder: str) -> tuple[APIRoute, ...]:
    with closing(open_rotator(read_settings({"ROTATOR_DATA_DIR": folder}))) as rotator:
        return tuple(_routes_of(make_web(rotator)))


def _routes_of(app: FastAPI) -> Iterator[APIRoute]:
    def walk(routes: list[BaseRoute]) -> Iterator[APIRoute]:
        for route in routes:
            if (inner := getattr(route, "original_router", None)) is not None:
                yield from walk(inner.routes)
            else:
                assert isinstance(route, APIRoute), f"{route} stands beside the gate"
                yield route

    yield from walk(list(app.routes))


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> tuple[APIRoute, ...]:
    return _every_route(str(tmp_path_factory.mktemp("routes")))


@pytest.fixture(scope="module")
def asked(routes: tuple[APIRoute, ...]) -> list[Asked]:
    """Every route by each of its methods."""
    return [Asked(r.name, m, PLACE.sub(NOTHING, r.path)) for r in routes for m in sorted(r.methods or ())]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all of it."""
    with served(tmp_path_factory.mktemp("stage")) as made:
        made.connect()
        made.rotation("web")
        yield made


def test_the_table_and_the_routes_are_the_same_and_all_stand_behind_the_gate(routes: tuple[APIRoute, ...]) -> None:
    assert all(isinstance(route, GuardedRoute) for route in routes)
    assert {route.name for route in routes} == set(ROUTES)


def test_what_is_open_to_everybody_is_short_enough_to_be_read_here() -> None:
    """Whoever adds to it adds to this line too."""
    known = {"healthz", "readyz", "docs", "openapi_document", "asset", "console_sign_in", SIGNING_IN}
    assert {name for name, grant in ROUTES.items() if grant.proof is Proof.NONE} == known
    assert all(grant.roles for grant in ROUTES.values() if grant.proof is not Proof.NONE)


def test_a_route_that_the_table_lacks_cannot_be_made() -> None:
    router = guarded_router()
    with pytest.raises(LookupError):

        @router.get("/backdoor")
        def backdoor() -> None: ...


def _ask(client: httpx.Client, call: Asked) -> httpx.Response:
    return client.request(call.method, call.path, follow_redirects=False)


def _passed(answer: httpx.Response) -> bool:
    """Whether the gate let it through; whatever the route itself says then."""
    assert answer.status_code < 500, answer.text
    if answer.status_code in {405, 421, 429}:
        raise AssertionError(answer.text)
    if answer.status_code == 303 and re.fullmatch(rf"{SIGN_IN}(\?next=.*)?", answer.headers["Location"]):
        return False
    return answer.status_code != 403


def _by_proof(asked: list[Asked], proof: Proof) -> list[Asked]:
    found = [call for call in asked if ROUTES[call.name].proof is proof]
    assert found
    return found


def _expired(web: Served) -> str:
    name = f"expired-{token_hex(4)}"
    text = web.operations.create_token(name, "admin", expires="1h")[1].reveal()
    _age(web, name, timedelta(hours=1))
    return text


def _revoked(web: Served) -> str:
    name = f"revoked-{token_hex(4)}"
    text = web.operations.create_token(name, "admin")[1].reveal()
    web.operations.revoke_token(name)
    return text


def _bearer(web: Served, text: str) -> httpx.Client:
    client = web.client()
    client.headers["Authorization"] = f"Bearer {text}"
    return client


@pytest.mark.parametrize("role", [*Role])
def test_each_role_may_do_what_the_table_says_and_nothing_else(stage: Served, asked: list[Asked], role: Role) -> None:
    client = stage.client(role, *(["web"] if role is Role.CONSUMER else []))
    for call in _by_proof(asked, Proof.BEARER):
        own = call.path.replace(NOTHING, "web") if call.name == "read_secret" else call.path
        answer = _ask(client, replace(call, path=own))
        assert _passed(answer) == (role in ROUTES[call.name].roles), f"{role} {call}: {answer.text}"
        if not _passed(answer):
            assert answer.json()["error"] == "PermissionDenied"
            assert answer.json()["message"].startswith(f"A token of the role {role}")


@pytest.mark.parametrize("kind", ["none", "revoked", "expired", "unknown", "cookie", "basic", "no scheme", "query"])
def test_without_a_valid_token_nothing_but_the_open_routes_answers(
    stage: Served, asked: list[Asked], kind: str
) -> None:
    good = stage.token("admin")
    client = _with_nothing_good(stage, kind, good)
    events = len(stage.operations.events(limit=1000))
    usual = kind in {"none", "revoked", "expired", "unknown"}
    for call in _by_proof(asked, Proof.BEARER)[:: 1 if usual else 5]:
        answer = _ask(client, call)
        told = answer.json()
        assert (answer.status_code, told["error"]) in {(403, "TokenError"), (429, "RateLimitExceeded")}, call
        assert good not in answer.text
    assert len(stage.operations.events(limit=1000)) == events
    for call in _by_proof(asked, Proof.NONE):
        assert call.name == SIGNING_IN or _passed(_ask(client, call))


def _with_nothing_good(web: Served, kind: str, good: str) -> httpx.Client:
    if kind == "cookie":
        return browser(web, session_of(web, good))
    wrong = {
        "none": None,
        "revoked": f"Bearer {_revoked(web)}",
        "expired": f"Bearer {_expired(web)}",
        "unknown": f"Bearer {good[:-1]}{'a' if good[-1] != 'a' else 'b'}",
        "basic": f"Basic {b64encode(f'admin:{good}'.encode()).decode()}",
        "no scheme": good,
    }.get(kind)
    client = web.client()
    client.headers.update({"Authorization": wrong} if wrong else {})
    client.params = client.params.merge({"token": good, "access_token": good} if kind == "query" else {})
    return client


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_each_role_sees_the_pages_that_the_table_says(stage: Served, asked: list[Asked], role: Role) -> None:
    client = browser(stage, session_of(stage, stage.token(role)))
    for call in _by_proof(asked, Proof.SESSION):
        answer = _ask(client, call)
        if call.path == "/sign-out":  # which ends the session that the others need
            client = browser(stage, session_of(stage, stage.token(role)))
        assert _passed(answer) == (role in ROUTES[call.name].roles), f"{role} {call}: {answer.status_code}"


@pytest.mark.parametrize("kind", ["none", "bearer", "unknown", "signed out", "revoked", "expired", "idle"])
def test_without_a_session_every_page_sends_to_the_sign_in_page(stage: Served, asked: list[Asked], kind: str) -> None:
    name = f"{kind.replace(' ', '-')}-pages"
    text = stage.operations.create_token(name, "admin", expires="1h")[1].reveal()
    cookie = session_of(stage, text)
    match kind:
        case "signed out":
            stage.rotator.store.sessions.end(cookie)
        case "revoked":
            stage.operations.revoke_token(name)
        case "expired" | "idle":
            _age(stage, name, timedelta(hours=1) if kind == "expired" else stage.settings.web_session_idle_s)
    client = {
        "none": browser(stage, None),
        "bearer": _bearer(stage, text),
        "unknown": browser(stage, cookie[::-1]),
    }.get(kind, browser(stage, cookie))
    for call in _by_proof(asked, Proof.SESSION):
        answer = _ask(client, call)
        assert answer.status_code == 303, call
        location = httpx.URL(answer.headers["Location"])
        assert (location.host, location.path) == ("", SIGN_IN)
        wanted = location.params.get("next", "/")
        assert wanted == (call.path if call.method in SAFE else "/")


def _age(web: Served, token: str, by: timedelta) -> None:
    """Move what there is of this token into the past."""
    ms = int(by.total_seconds() * 1000)
    engine = sa.create_engine(web.settings.database().reveal())
    its = f"token_id = (SELECT id FROM api_tokens WHERE name = '{token}')"
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE api_tokens SET expires_at = expires_at - {ms} WHERE name = '{token}'"))
        if by <= web.settings.web_session_idle_s:
            connection.execute(sa.text(f"UPDATE sessions SET seen_at = seen_at - {ms} WHERE {its}"))
    engine.dispose()


@pytest.mark.parametrize(
    "kind", ["no sign", "another session's", "another site", "no site", "null", "sub", "cross-site"]
)
def test_what_changes_something_must_come_from_a_page_of_the_session(
    stage: Served, asked: list[Asked], kind: str
) -> None:
    token = stage.token("admin")
    cookie, other = session_of(stage, token), session_of(stage, token)
    client = {
        "no sign": lambda: browser(stage, cookie, csrf=""),
        "another session's": lambda: browser(stage, cookie, csrf=browser(stage, other).headers["X-CSRF-Token"]),
        "another site": lambda: browser(stage, cookie, origin="http://evil.example"),
        "no site": lambda: browser(stage, cookie, origin=""),
        "null": lambda: browser(stage, cookie, origin="null"),
        "sub": lambda: browser(stage, cookie, origin=stage.url.replace("127.0.0.1", "evil.127.0.0.1")),
        "cross-site": lambda: browser(stage, cookie),
    }[kind]()
    if kind == "cross-site":
        client.headers["Sec-Fetch-Site"] = "same-site"
    events = len(stage.operations.events(limit=1000))
    changing = [call for call in _by_proof(asked, Proof.SESSION) if call.method not in SAFE]
    assert changing
    for call in changing:
        answer = _ask(client, call)
        assert (answer.status_code, answer.json()["error"]) == (403, "PermissionDenied"), call
    assert len(stage.operations.events(limit=1000)) == events
