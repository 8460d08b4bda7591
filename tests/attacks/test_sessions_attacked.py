"""Attacks on people who are signed in: forged forms, planted and stolen cookies, links that lead elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from tests.attacks.target import Browser, Target, attacked
from worker.web.access.table import CONSOLE, Proof

ADDRESSES: Final = {"name": "web", "version": "1", "destination": "x"}
FORM: Final = {
    "name": "planted",
    "description": "planted",
    "api_key": "emulator-planted-key",
    "confirm": "web",
    "app": "open-router",
}


def _routes(target: Target, method: str) -> Iterator[tuple[str, str]]:
    """Name and address of each route of the console."""
    for route in target.routes():
        if method in (route.methods or ()) and route.name in CONSOLE and CONSOLE[route.name].proof is Proof.SESSION:
            blanks = {**ADDRESSES, "name": "prod" if "/connections/" in route.path else "web"}
            path = route.path
            for blank, value in blanks.items():
                path = path.replace(f"{{{blank}}}", value)
            assert "{" not in path, f"what is to be filled in for {path}?"
            yield route.name, path


FORGERIES: Final[dict[str, dict[str, str | None]]] = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "a neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.localhost"},
    "another port": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
    "an address that was typed": {"Sec-Fetch-Site": "none"},
    "a sandboxed frame": {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    "an old browser, another site": {"Sec-Fetch-Site": None, "Origin": "https://evil.example"},
    "an old browser, a null origin": {"Sec-Fetch-Site": None, "Origin": "null"},
    "an old browser, an origin like ours": {"Sec-Fetch-Site": None, "Origin": "http://127.0.0.1.evil.example"},
    "an old browser, no origin": {"Sec-Fetch-Site": None},
    "two words": {"Sec-Fetch-Site": "same-origin, cross-site"},
    "an empty word": {"Sec-Fetch-Site": ""},
}


def _forged(browser: Browser, path: str, forgery: str, csrf: str) -> httpx.Response:
    headers = {name: value for name, value in FORGERIES[forgery].items() if value is not None}
    return browser.target.looked_at(
        "forged forms", browser.client.post(path, data={**FORM, "csrf": csrf}, headers=headers)
    )


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_form_from_elsewhere_does_anything_even_with_the_right_proof(target: Target, forgery: str) -> None:
    browser = target.browser()
    before = target.state()
    for name, path in _routes(target, "POST"):
        assert _forged(browser, path, forgery, browser.csrf).status_code == 403, name
    assert _forged(browser, "/sign-in", forgery, browser.csrf).status_code == 403
    assert _forged(browser, "/sign-out", forgery, browser.csrf).status_code == 403
    assert target.state() == before


@pytest.mark.parametrize(
    "proof", ["missing", "empty", "another's", "cut", "of the cookie", "twice", "as a file", "not ASCII"]
)
def test_no_form_without_the_session_s_own_proof_does_anything(target: Target, proof: str) -> None:
    browser, other = target.browser(), target.browser()
    before = target.state()
    headers = {"Sec-Fetch-Site": "same-origin"}
    wrong = {
        "empty": "",
        "another's": other.csrf,
        "cut": browser.csrf[:-1],
        "of the cookie": browser.cookie,
        "not ASCII": "\u0661" * 64,
    }
    for name, path in _routes(target, "POST"):
        if proof == "missing":
            sent = browser.client.post(path, data=FORM, headers=headers)
        elif proof == "twice":
            sent = browser.client.post(path, data={**FORM, "csrf": [browser.csrf, "x"]}, headers=headers)
        elif proof == "as a file":
            sent = browser.client.post(
                path, data=FORM, files={"csrf": ("csrf", browser.csrf.encode())}, headers=headers
            )
        else:
            sent = browser.client.post(path, data={**FORM, "csrf": wrong[proof]}, headers=headers)
        target.looked_at("forms without proof", sent)
        assert sent.status_code in {400, 403, 422}, (name, sent.status_code)
    assert target.state() == before


def test_no_form_is_taken_in_a_form_that_other_sites_can_send_unasked(target: Target) -> None:
    """Other sites can send text, forms and files without asking first; JSON only by calling it text."""
    browser = target.browser()
    before = target.state()
    for kind in (
        "text/plain",
        "application/json",
        "application/xml",
        "",
        "application/x-www-form-urlencoded; charset=utf-7",
    ):
        for _, path in _routes(target, "POST"):
            body = f'{{"csrf":"{browser.csrf}","confirm":"web","x":"=&csrf={browser.csrf[:-1]}"}}'
            headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": kind}
            sent = target.looked_at("forged forms", browser.client.post(path, content=body, headers=headers))
            assert sent.status_code == 403
    assert target.state() == before


def test_no_get_changes_anything(target: Target) -> None:
    """Whoever signs in reads every page, and every address of a form as if it were a page."""
    browser = target.browser()
    before = target.state()
    paths = {path for method in ("GET", "POST") for _, path in _routes(target, method)}
    for path in sorted(paths):
        for method in ("GET", "HEAD"):
            for query in ("", f"?csrf={browser.csrf}&confirm=web&name=web", "?_method=POST&said=saved"):
                sent = browser.client.request(
                    method, path + query, headers={"Accept": "text/html", "X-HTTP-Method-Override": "POST"}
                )
                target.looked_at("reading that should change nothing", sent)
    assert target.state() == before


def test_a_planted_cookie_is_worth_nothing_after_signing_in(target: Target) -> None:
    for planted in ("planted", "a" * 43, target.browser().cookie):
        with httpx.Client(base_url=target.web.url) as client:
            headers = {"Cookie": f"rotator_session={planted}", "Sec-Fetch-Site": "same-origin"}
            sent = client.post("/sign-in", data={"token": target.tokens["admin"]}, headers=headers)
            target.looked_at("planted cookies", sent)
            assert sent.status_code == 303
            assert sent.cookies["rotator_session"] != planted
        assert not _opens(target, planted, "planted cookies")


def test_made_up_cookies_open_nothing(target: Target) -> None:
    real = target.browser().cookie
    made_up = [
        "",
        " ",
        "x",
        "a" * 43,
        "a" * 4000,
        real[:-2],
        real + "x",
        real.swapcase(),
        f'"{real}',
        "%00",
        "' OR 1=1 --",
        "\u00e9".encode("latin-1").decode("latin-1"),
        target.tokens["admin"],
        "null",
        "[]",
    ]
    for cookie in made_up:
        assert not _opens(target, cookie, "made-up cookies"), cookie
    assert _opens(target, real, "made-up cookies")


def test_a_cookie_ends_with_the_sign_out(target: Target) -> None:
    browser = target.browser()
    assert _opens(target, browser.cookie, "cookies after the end")
    assert browser.post("cookies after the end", "/sign-out").status_code == 303
    assert not _opens(target, browser.cookie, "cookies after the end")


def test_a_cookie_ends_with_its_token(target: Target) -> None:
    token = target.web.token("admin")
    name = next(t.name for t in target.web.operations.list_tokens() if t.id == token.split("_")[1])
    target.tokens["passing"] = token
    browser = target.browser("passing")
    assert _opens(target, browser.cookie, "cookies after the end")
    target.web.operations.revoke_token(name)
    assert not _opens(target, browser.cookie, "cookies after the end")
    before = target.state()
    for _, path in _routes(target, "POST"):
        assert browser.post("cookies after the end", path, FORM).status_code in {303, 403}
    assert target.state() == before


@pytest.mark.parametrize(("column", "hours"), [("seen_at", 1), ("started_at", 13)])
def test_a_cookie_ends_after_its_time_however_busy_it_is(tmp_path: Path, column: str, hours: int) -> None:
    """Idle for longer than half an hour, or begun longer than twelve hours ago."""
    with attacked(tmp_path / "it") as target:
        browser = target.browser()
        assert _opens(target, browser.cookie, "cookies after the end")
        engine = sa.create_engine(f"sqlite:///{target.web.settings.data_dir / 'rotator.sqlite3'}")
        with engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE sessions SET {column} = {column} - :ms"), {"ms": hours * 3_600_000})
        engine.dispose()
        assert not _opens(target, browser.cookie, "cookies after the end")
        assert browser.post("cookies after the end", "/new-connection", FORM).status_code == 303
        assert [c.name for c in target.web.operations.list_connections()] == ["prod"]


def test_a_consumer_cannot_sign_in(target: Target) -> None:
    headers = {"Sec-Fetch-Site": "same-origin"}
    sent = target.ask("signing in", "POST", "/sign-in", data={"token": target.tokens["consumer"]}, headers=headers)
    assert sent.status_code in {403, 422}
    assert "set-cookie" not in sent.headers


def test_a_cookie_opens_no_api_and_a_token_no_page(target: Target) -> None:
    """So that no other site can have a browser call the API, and no script needs a browser's rights."""
    browser = target.browser()
    for path in target.api_paths("get"):
        sent = browser.client.get(path, headers={"Sec-Fetch-Site": "same-origin"})
        assert target.looked_at("cookies at the API", sent).status_code == 403, path
    for _, path in _routes(target, "GET"):
        sent = target.ask("tokens at the console", "GET", path, role="admin", headers={"Accept": "text/html"})
        assert sent.status_code == 303, path


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(target: Target) -> None:
    said = target.browser().signed_in.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in said.split(";")}
    assert "domain" not in said
    outside = target.ask(
        "signing in",
        "POST",
        "/sign-in",
        data={"token": target.tokens["admin"]},
        headers={"Sec-Fetch-Site": "same-origin", "Host": "192.0.2.1"},
    )
    assert outside.headers["set-cookie"].startswith("__Host-")
    assert "; secure" in outside.headers["set-cookie"].lower()
    target.hunt_also(outside.headers["set-cookie"].partition("=")[2].partition(";")[0])


ELSEWHERE: Final = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "http:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/%09/evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/;//evil.example",
    "?//evil.example",
    "#//evil.example",
    "/\u2044evil.example",
    "/\uff0fevil.example",
    "evil.example",
    "@evil.example",
    ":80",
    "/x\r\nSet-Cookie: planted=1",
    "/x\r\n\r\n<script>",
    "/" + "a" * 5000,
    "/sign-in",
    "/sign-out",
    "/\x00/evil.example",
    "/\x7f",
    "\u00a0//evil.example",
    "//127.0.0.1@evil.example",
    "//[::1]@evil.example/",
]


@pytest.mark.parametrize("wanted", ELSEWHERE, ids=ascii)
def test_nobody_is_sent_elsewhere_after_signing_in(target: Target, wanted: str) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    sent = target.ask(
        "links that lead elsewhere",
        "POST",
        "/sign-in",
        data={"token": target.tokens["viewer"], "next": wanted},
        headers=headers,
    )
    if sent.status_code == 303:
        _is_here(sent.headers["location"], target)
        assert sent.headers.get_list("set-cookie")[0].startswith("rotator_session=")
        assert len(sent.headers.get_list("set-cookie")) == 1
        target.hunt_also(sent.cookies["rotator_session"])
    page = target.ask(
        "links that lead elsewhere", "GET", "/sign-in", params={"next": wanted}, headers={"Accept": "text/html"}
    )
    assert "planted" not in page.headers
    for found in re.findall(r'name="next" value="([^"]*)"', page.text):
        _is_here(found, target)


def _is_here(location: str, target: Target) -> None:
    """As the laxest browser reads it: backslashes are slashes, control characters and spaces around do not count."""
    read = re.sub(r"[\x00-\x20]", "", location).replace("\\", "/")
    assert read.startswith("/"), location
    assert not read.startswith("//"), location
    assert urlsplit(httpx.URL(target.web.url).join(location).__str__()).netloc == urlsplit(target.web.url).netloc


def _opens(target: Target, cookie: str, attack: str) -> bool:
    """Whether this cookie shows the overview."""
    header = f"Cookie: rotator_session={cookie}".encode("utf-8", "replace")
    head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nConnection: close\r\n"
    reply = target.raw(attack, head + header + b"\r\n\r\n")
    assert reply.status in {200, 303, 400}, reply.raw[:300]
    return reply.status == 200
