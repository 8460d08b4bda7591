"""Signing in and out: what a cookie is worth, who may have one, and where one is sent afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Form, Request, Response

from tests.web.served import PATIENCE_S, Served, listening
from tests.web.session_clients import COOKIE, browser, session_of
from worker.web.access.limits import FAILURES_PER_MINUTE
from worker.web.access.sessions import local_path, sign_in, sign_out
from worker.web.app import make_web

IN, OUT = "/try/sign-in", "/try/sign-out"


def _with_forms(app: FastAPI) -> FastAPI:
    """The application, with the barest of forms."""

    @app.post(IN)
    def come(request: Request, token: Annotated[str, Form()]) -> Response:
        response = Response()
        sign_in(request, token).keep(response)
        return response

    @app.post(OUT)
    def leave(request: Request) -> Response:
        response = Response()
        sign_out(request, response)
        return response

    return app


@pytest.fixture
def visitor(web: Served) -> Iterator[httpx.Client]:
    """A browser that was never here."""
    with listening(_with_forms(make_web(web.rotator))) as url:
        client = web.clients.enter_context(httpx.Client(base_url=url, headers={"Origin": url}, timeout=PATIENCE_S))
        yield client
        client.close()


def _events(web: Served) -> list[str]:
    return [e.name for e in web.operations.events(limit=1000) if e.name.startswith("signed")]


def test_a_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(web: Served, visitor: httpx.Client) -> None:
    token = web.token("viewer")
    answer = visitor.post(IN, data={"token": f" {token}\n"})
    assert answer.status_code == 200
    cookie = answer.headers["Set-Cookie"].lower()
    for part in ("httponly", "samesite=strict", "path=/", "max-age=43200"):
        assert part in cookie
    assert "domain" not in cookie
    assert "secure" not in cookie, "on this machine, without TLS, a browser would not send it back"
    assert token not in cookie
    assert visitor.get("/").status_code == 200
    assert _events(web) == ["signed_in"]
    assert visitor.post(OUT).status_code == 200
    assert COOKIE not in visitor.cookies
    assert visitor.get("/").status_code == 303
    assert _events(web) == ["signed_in", "signed_out"]


def test_off_this_machine_the_cookie_needs_tls_and_is_this_hosts_alone(web: Served, visitor: httpx.Client) -> None:
    """Behind a proxy that ends TLS the browser says the public name."""
    there = {"Host": "192.0.2.10", "Origin": "https://192.0.2.10"}
    answer = visitor.post(IN, data={"token": web.token("viewer")}, headers=there)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert "; Secure" in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    assert visitor.get("/", headers={**there, "Cookie": f"__Host-{COOKIE}={value}"}).status_code == 200
    assert visitor.get("/", headers={**there, "Cookie": f"{COOKIE}={value}"}).status_code == 303


def test_a_planted_cookie_is_worth_nothing_after_signing_in(web: Served, visitor: httpx.Client) -> None:
    token = web.token("admin")
    planted = session_of(web, token)
    visitor.cookies.set(COOKIE, planted)
    answer = visitor.post(IN, data={"token": token})
    assert planted not in answer.headers["Set-Cookie"]
    assert browser(web, planted).get("/").status_code == 303
    invented = "a" * 43
    visitor.cookies.clear()
    visitor.cookies.set(COOKIE, invented)
    assert invented not in visitor.post(IN, data={"token": token}).headers["Set-Cookie"]
    assert browser(web, invented).get("/").status_code == 303


def test_consumers_cannot_sign_in(web: Served, visitor: httpx.Client) -> None:
    web.connect()
    web.rotation()
    answer = visitor.post(IN, data={"token": web.token("consumer", "web")})
    assert (answer.status_code, answer.json()["error"]) == (403, "PermissionDenied")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}])
def test_another_site_signs_nobody_in(web: Served, visitor: httpx.Client, headers: dict[str, str]) -> None:
    answer = visitor.post(IN, data={"token": web.token("admin")}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_wrong_tokens_are_counted_by_header_and_form_together_and_right_ones_pass(
    web: Served, visitor: httpx.Client
) -> None:
    token = web.token("viewer")
    wrong = [{"Authorization": "Bearer rtk_wrong"}] * (FAILURES_PER_MINUTE // 2)
    statuses = [visitor.get("/api/rotator/v1/status", headers=h).status_code for h in wrong]
    statuses += [visitor.post(IN, data={"token": "rtk_wrong"}).status_code for _ in wrong]
    assert statuses == [403] * FAILURES_PER_MINUTE
    for answer in (
        visitor.get("/api/rotator/v1/status", headers=wrong[0]),
        visitor.post(IN, data={"token": "rtk_wrong"}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (429, "RateLimitExceeded")
        assert 1 <= int(answer.headers["Retry-After"]) <= 6
    assert visitor.get("/api/rotator/v1/status", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert visitor.post(IN, data={"token": token}).status_code == 200


def test_revoking_the_token_ends_the_session_at_once(web: Served) -> None:
    text = web.operations.create_token("ops", "admin")[1].reveal()
    client = browser(web, session_of(web, text))
    assert client.get("/").status_code == 200
    web.operations.revoke_token("ops")
    assert client.get("/").status_code == 303


def test_a_script_of_a_page_is_told_to_leave_it(web: Served) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"{web.url}/connections?x=1"}
    answer = browser(web, None).get("/?poll=1", headers=headers)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (403, "/sign-in?next=/connections")


@pytest.mark.parametrize("text", ["/", "/connections", "/rotations/web?tab=events", "/a%20b", "/a/../b"])
def test_a_path_of_ours_is_gone_to(text: str) -> None:
    assert local_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "//evil.example",
            "/\\evil.example",
            "http://evil.example",
            "javascript:alert(1)",
            "evil.example",
            "\\/a",
        ],
        *["/\t/evil.example", "/\n/evil.example", " //evil.example", "/é", "/sign-in?next=/", "///evil.example"],
    ],
)
def test_nobody_is_sent_elsewhere(text: str) -> None:
    assert local_path(text) == "/"
