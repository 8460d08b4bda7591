"""How often and how much, asked of a running server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.served import Served, served
from tests.web.session_clients import browser, session_of

STATUS = "/api/rotator/v1/status"
CONNECTIONS = "/api/rotator/v1/connections"


def test_a_token_that_asks_too_often_waits_and_no_other_does(tmp_path: Path) -> None:
    with served(tmp_path, WEB_REQUESTS_PER_MINUTE="10") as web:
        token = web.token("viewer")
        busy, other = web.client(), web.client("viewer")
        busy.headers["Authorization"] = f"Bearer {token}"
        answers = [busy.get(STATUS) for _ in range(12)]
        assert [a.status_code for a in answers] == [200] * 10 + [429] * 2
        assert answers[-1].json()["error"] == "RateLimitExceeded"
        assert "ROTATOR_WEB_REQUESTS_PER_MINUTE" in answers[-1].json()["message"]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
        assert browser(web, session_of(web, token)).get("/").status_code == 429, "a session is its token's"
        assert other.get(STATUS).status_code == 200
        assert web.client().get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        *[
            b'{"name": "a\\u0000b"}',
            b'{"a\\u0000": 1}',
            b'{"name": "\\ud800"}',
            b'[["\\udfff"]]',
            b"\xff\xfe",
            b'"\x80"',
        ],
        *[b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000, b"NaN", b"{", b"null", b"\x00", b'{"name": 1e999}'],
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json; charset=utf-16"])
def test_no_body_however_odd_is_our_fault(web_once: Served, body: bytes, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = web_once.client("admin").post(CONNECTIONS, content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"] == "ValidationFailure"


@pytest.mark.parametrize("body", [b"a=%00", b"csrf=%ff", b"\xff", b"&" * 5000, b"a=%ed%a0%80"])
def test_no_form_however_odd_is_our_fault(web_once: Served, body: bytes) -> None:
    client = browser(web_once, session_of(web_once, web_once.token("admin")))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert 200 <= client.post("/connections/new", content=body, headers=headers).status_code < 500
