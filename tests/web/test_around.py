"""What stands around every route: names, headers, limits, and what the log tells."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from starlette.types import Message

from config.logging import configure_logging
from tests.web.raw import ask, exchange, status_of
from tests.web.served import PATIENCE_S, Served, listening, served
from worker.web import errors
from worker.web.access.bodies import LARGEST, BodyLimit
from worker.web.app import make_web


@pytest.fixture
def lines(web: Served) -> Iterator[io.StringIO]:
    """What is logged, as JSON."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(web.settings.model_copy(update={"log_format": "json", "log_level": "debug"}), stream)
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def _told(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def _requests(lines: io.StringIO, count: int) -> list[dict[str, Any]]:
    """So many requests' lines: each is written when its answer is on its way already."""
    give_up_at = time.monotonic() + PATIENCE_S
    while len(found := [line for line in _told(lines) if line["event"] == "request"]) < count:
        assert time.monotonic() < give_up_at
    return found


def _crash(web: Served, error: Exception) -> None:
    """Let /readyz run into a fault of ours."""

    def fail() -> None:
        raise error

    web.rotator.check = fail  # type: ignore[method-assign]  # for this test


def test_every_answer_has_a_name_and_the_headers_that_protect_it(web: Served) -> None:
    _crash(web, RuntimeError("a fault of ours"))
    anonymous = web.client()
    answers = {
        200: anonymous.get("/healthz"),
        404: anonymous.get("/nowhere"),
        405: anonymous.put("/healthz"),
        413: anonymous.post("/healthz", content=b"a" * (LARGEST + 1)),
        421: anonymous.get("/healthz", headers={"Host": "evil.example"}),
        500: anonymous.get("/readyz"),
    }
    names = set()
    for status, answer in answers.items():
        assert answer.status_code == status
        names.add(answer.headers["X-Request-Id"])
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in answer.headers, "that is for TLS"
        assert "Server" not in answer.headers
        if status >= 400:
            assert answer.json()["reqId"] == answer.headers["X-Request-Id"]
            assert answer.json()["statusCode"] == status
    assert len(names) == len(answers)


def test_browsers_are_told_to_insist_on_a_certificate_of_ours_but_not_on_this_machine(web: Served) -> None:
    ours = {"web_tls_certificate": web.folder / "certificate.pem", "web_hosts": "rotator.internal"}
    web.rotator.settings = web.settings.model_copy(update=ours)
    with listening(make_web(web.rotator)) as url:
        named, here = (ask(url, b"/healthz", host=host).lower() for host in (b"rotator.internal", b"localhost"))
    assert b"strict-transport-security: max-age=" in named
    assert b"strict-transport-security" not in here


def test_a_crash_is_told_to_the_log_without_values_and_to_nobody_else(web: Served, lines: io.StringIO) -> None:
    _crash(web, RuntimeError(f"sk-or-v1-{web.canary}"))
    answer = web.client().get("/readyz")
    assert answer.status_code == 500
    assert answer.json()["error"] == "InternalServerError"
    (crash,) = [line for line in _told(lines) if line["event"] == "request_crashed"]
    assert crash["reqId"] == answer.json()["reqId"]
    assert "RuntimeError" in crash["exception"]
    assert web.canary not in lines.getvalue() + answer.text


def test_a_request_leaves_one_line_without_its_query_or_its_token(web: Served, lines: io.StringIO) -> None:
    token = web.token("viewer")
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"rotator_session={web.canary}"}
    web.client().get(f"/nowhere?key={web.canary}", headers=headers)
    web.client().get(f"/docs?key={web.canary}", headers=headers)
    first, second = _requests(lines, 2)
    assert (first["method"], first["path"], first["status"]) == ("GET", "/nowhere", 404)
    assert (second["path"], second["status"], second["address"]) == ("/docs", 200, "127.0.0.1")
    assert first["ms"] >= 0
    assert first["reqId"] != second["reqId"]
    for secret in (web.canary, token, token.rpartition("_")[2]):
        assert secret not in lines.getvalue()


def test_probes_are_no_news_unless_they_fail(web: Served, lines: io.StringIO) -> None:
    web.client().get("/healthz")
    web.client().put("/healthz")
    assert [line["level"] for line in _requests(lines, 2)] == ["debug", "info"]


@pytest.mark.parametrize("length", [LARGEST + 1, 10**15])
def test_a_body_that_says_it_is_too_large_is_refused_unread(web: Served, length: int) -> None:
    answer = ask(web.url, b"/healthz", method=b"POST", more=b"Content-Length: %d\r\n" % length)
    assert status_of(answer) == 413
    assert b'"PayloadTooLarge"' in answer


def _reading(slowest_s: float = 30.0) -> FastAPI:
    """An application that reads what it is sent."""
    app = FastAPI()
    errors.install(app, {})
    app.add_middleware(BodyLimit, slowest_s=slowest_s)

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.mark.parametrize(("size", "status"), [(LARGEST, 200), (LARGEST + 1, 413)])
def test_a_body_that_does_not_say_how_large_it_is_is_counted(size: int, status: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield b"a" * min(1000, size - start)

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=_reading())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/", content=pieces())

    answer = asyncio.run(call())
    assert "Content-Length" not in answer.request.headers
    assert answer.status_code == status


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    headers: list[object] = []
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers, "scheme": "http"}
    asyncio.run(asyncio.wait_for(_reading(slowest_s=0.01)(scope, receive, send), 10))
    assert sent[0]["status"] == 408


def test_a_head_that_does_not_end_is_cut_off(web: Served) -> None:
    assert status_of(exchange(web.url, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 20_000, ends=False)) == 400
    assert web.client().get("/healthz").status_code == 200


@pytest.mark.parametrize("name", [b"evil.example", b"localhost.evil.example", b"", b"a b", b"[", b"rotator.internal/"])
def test_a_name_that_is_not_ours_is_refused_and_the_setting_named(web: Served, name: bytes) -> None:
    answer = ask(web.url, b"/healthz", host=name)
    assert status_of(answer) in {400, 421}
    assert status_of(answer) == 400 or b"ROTATOR_WEB_HOSTS" in answer


@pytest.mark.parametrize(
    "name", [b"localhost:8080", b"LOCALHOST", b"127.0.0.1", b"[::1]:1", b"10.1.2.3:80", b"a.localhost", b"localhost."]
)
def test_this_machine_and_addresses_need_no_setting(web: Served, name: bytes) -> None:
    assert status_of(ask(web.url, b"/healthz", host=name)) == 200


def test_a_name_that_was_given_is_ours(tmp_path: Path) -> None:
    with served(tmp_path, WEB_HOSTS="rotator.internal, other.internal") as stage:
        assert status_of(ask(stage.url, b"/healthz", host=b"Rotator.internal:80")) == 200
        assert status_of(ask(stage.url, b"/healthz", host=b"third.internal")) == 421


@pytest.mark.parametrize(
    "target",
    [
        *[b"*", b"//", b"//evil.example/", b"/%00", b"/%zz", b"/%", b"/%ff%fe", b"/..", b"/%2e%2e/%2e%2e/etc/passwd"],
        *[b"http://evil.example/", b"/\\evil.example", b"/" + b"a" * 15_000, b"/%ed%a0%80", b"/%0d%0aSet-Cookie:a=b"],
        *[b"/?a=%00", b"/?%00", b"/?" + b"&" * 10_000, b"/healthz?x=%ed%a0%80", b"/healthz/", b"/static/../app.py"],
        *[b"/static/%2e%2e/app.py", b"/events?rotation=%00", b"/docs#a", b"/docs;a", b"a"],
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"BREW"])
def test_no_target_however_odd_is_our_fault(web_once: Served, method: bytes, target: bytes) -> None:
    answer = ask(web_once.url, target, method=method)
    assert 200 <= status_of(answer) < 500
    assert b"Set-Cookie" not in answer
    assert b"Location: //" not in answer
    assert b"Location: http://evil" not in answer


@pytest.mark.parametrize(
    "sent",
    [
        *[b"", b"\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff" * 70_000, b"GET / HTTP/1.1\r\n\r\n"],
        *[b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"],
        *[b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        *[b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        *[b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nshort"],
    ],
)
def test_what_is_no_http_is_not_our_fault_either(web_once: Served, sent: bytes) -> None:
    assert status_of(exchange(web_once.url, sent)) < 500
    assert web_once.client().get("/healthz").status_code == 200
