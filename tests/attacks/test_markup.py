"""Attacks with markup: stored in every text that can be stored, said by OpenRouter, and sent in every request.

Each page is read as a browser reads it: no element, attribute or address may come from a text.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.providers.openrouter.emulator.faults import Fault, FaultKind
from tests.attacks.target import Browser, Target
from tests.property.effort import effort

MARKS: Final = (
    '"><script src=//evil.example/xss></script>',
    "'><img src=x onerror=xss()>",
    '" autofocus onfocus=xss() x="',
    "</title></textarea></script><svg onload=xss()>",
    "{{7*7}}${7*7}<%= xss %>{% raw %}",
    "javascript:xss()//",
    "<a href=javascript:xss()>xss</a>",
    "&lt;script&gt;xss()&lt;/script&gt;&#60;xss&#62;",
    "<!--><xss-element hx-get=/xss hx-trigger=load>",
    "+ADw-script+AD4-xss()+ADw-/script+AD4-",
)
ELEMENTS: Final = frozenset(
    {"iframe", "object", "embed", "base", "frame", "applet", "xss-element", "style", "textarea"}
)
ADDRESSES: Final = {"href", "src", "action", "formaction", "data", "poster", "hx-get", "hx-post", "xlink:href"}
_LOCAL: Final = re.compile(r"(/(?![/\\])|#)[^\x00-\x20]*")


class Reading(HTMLParser):
    """What is wrong with a page, as a browser would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        if tag in ELEMENTS:
            self.faults.append(f"<{tag}>")
        if tag == "script" and "src" not in dict(attrs):
            self.faults.append("a script in the page")
        for name, value in attrs:
            if name.startswith("on") or name in {"style", "srcdoc", "autofocus"} or name.startswith("hx-on"):
                self.faults.append(f"<{tag} {name}>")
            if name in ADDRESSES and value is not None and not _LOCAL.fullmatch(value):
                self.faults.append(f"<{tag} {name}={value[:80]}>")


def read(text: str) -> None:
    """Raise ``AssertionError`` for a page with anything in it that a text could have brought."""
    reading = Reading()
    reading.feed(text)
    assert not reading.faults, reading.faults


def _pages(browser: Browser) -> None:
    """Read every page that shows what is stored."""
    operations = browser.target.web.operations
    paths = ["/", "/connections", "/rotations", "/events", "/new-connection", "/new-rotation", "/_overview"]
    paths += [
        f"/connections/{c.name}{tail}"
        for c in operations.list_connections()
        for tail in ("", "/edit", "/key", "/delete")
    ]
    tails = ("", "/events", "/edit", "/delete", "/emergency", "/rotate", "/destinations", "/key", "/undo", "/pause")
    paths += [f"/rotations/{r.name}{tail}" for r in operations.list_rotations() for tail in tails]
    for path in paths:
        for query in (
            "",
            f"?said={quote(MARKS[0])}&next={quote(MARKS[1])}&before={quote(MARKS[2])}&connection={quote(MARKS[3])}",
        ):
            page = browser.get("markup in what is stored", path + query)
            if page.headers.get("content-type", "").startswith("text/html"):
                read(page.text)
                _guarded(page.headers)


def _guarded(headers: Any) -> None:
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.fixture(scope="module")
def stored(_stage: Target) -> Target:
    """Markup in each text that can be stored."""
    operations = _stage.web.operations
    for number, mark in enumerate(MARKS):
        operations.create_connection(f"marked-{number}", _stage.web.management_key, mark)
        folder = _stage.web.folder / mark.replace("/", "_").replace("?", "_")
        folder.mkdir(exist_ok=True)
        operations.create_rotation(
            RotationRequest(
                f"marked-{number}",
                f"marked-{number}",
                schedule=ScheduleRequest(every="30d"),
                key_name=mark,
                publish=(Secret(f"dotenv:{folder / 'x.env'}"),),
                description=mark,
                project_id=mark,
                environment=f"env-{number}",
                secret_path=f"/{mark}",
            )
        )
        _stage.web.until_version(f"marked-{number}", 1)
    return _stage


def test_no_stored_text_becomes_part_of_a_page(stored: Target, target: Target) -> None:
    _pages(target.browser())


def test_nothing_that_openrouter_says_becomes_part_of_a_page(stored: Target, target: Target) -> None:
    """In errors of every status, in a body that is JSON or not."""
    browser, faults = target.browser(), target.web.emulator.faults
    for status in (400, 401, 403, 404, 429, 500):
        for body in (json.dumps({"error": {"message": MARKS[0], "code": status}}), MARKS[1], MARKS[3]):
            faults.add(Fault(kind=FaultKind.STATUS, status=status, body=body))
            browser.post("markup in OpenRouter's answers", "/connections/marked-1/check")
            form = {"app": "open-router", "name": "fresh", "api_key": "emulator-made-up-key", "description": MARKS[2]}
            read(browser.post("markup in OpenRouter's answers", "/new-connection", form).text)
            faults.clear()
    _pages(browser)


def test_nothing_of_a_request_becomes_part_of_an_answer(target: Target) -> None:
    """Signed in or not, for addresses that are there or not, of whatever kind the answer is."""
    browser = target.browser()
    for mark in MARKS:
        for path in (
            "/{}",
            "/rotations/{}",
            "/connections/{}",
            "/events?before={}",
            "/static/{}",
            "/sign-in?next={}",
            "/?said={}",
        ):
            asked = path.format(quote(mark, safe=""))
            read(browser.get("markup in requests", asked).text)
            headers = {"Accept": "text/html", "User-Agent": mark, "Referer": mark, "X-Request-Id": mark}
            answer = target.ask("markup in requests", "GET", asked, headers=headers)
            if answer.headers.get("content-type", "").startswith("text/html"):
                read(answer.text)
            assert "xss" not in answer.headers.get("x-request-id", "")


def test_no_form_gives_markup_back(target: Target) -> None:
    browser = target.browser()
    fields = (
        "name",
        "description",
        "app",
        "confirm",
        "key_name",
        "connection",
        "every",
        "cron",
        "at",
        "timezone",
        "limit",
        "overlap",
        "cooling",
        "target",
        "kind",
        "draft",
        "step",
        "secret_name",
        "label",
        "api_key",
        "token",
        "next",
    )
    paths = [route.path.replace("{name}", "web") for route in target.routes() if "POST" in (route.methods or ())]
    for path in paths:
        if path.startswith(("/api/", "/sign-out")) or "{" in path:
            continue
        for mark in MARKS:
            sent = browser.post(
                "markup in forms", path, dict.fromkeys(fields, mark), may_hold_key=path.endswith("/key")
            )
            if sent.headers.get("content-type", "").startswith("text/html"):
                read(sent.text)


TEXTS: Final = (
    st.text(max_size=60)
    | st.sampled_from(MARKS)
    | st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "\ud800".encode("utf-8", "replace").decode(),
            "9" * 400,
            "NaN",
            "-1",
            "1e999",
            "../..",
            "\u202e",
        ]
    )
)


def test_no_junk_in_a_form_is_a_fault_of_ours(target: Target) -> None:
    browser = target.browser()
    paths = [
        route.path
        for route in target.routes()
        if "POST" in (route.methods or ()) and not route.path.startswith("/api/")
    ]
    filled = [path.replace("{name}", "web") for path in paths if "sign-out" not in path and "delete" not in path]
    fields = st.sampled_from(
        [
            "name",
            "description",
            "app",
            "confirm",
            "key_name",
            "connection",
            "every",
            "cron",
            "at",
            "timezone",
            "limit",
            "limit_reset",
            "overlap",
            "cooling",
            "target",
            "kind",
            "draft",
            "step",
            "secret_name",
            "go",
        ]
    )

    @effort(150)
    @given(path=st.sampled_from(filled), form=st.dictionaries(fields, TEXTS, max_size=8))
    def send(path: str, form: dict[str, str]) -> None:
        sent = browser.post("junk in forms", path, form, may_hold_key=True)
        if sent.headers.get("content-type", "").startswith("text/html"):
            read(sent.text)

    send()


NESTED: Final = 30_000
BODIES: Final = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"0",
    b'"x"',
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'{"limit_usd":NaN}',
    b'{"limit_usd":1e999}',
    b'{"limit_usd":' + b"9" * 5_000 + b"}",
    b"[" * NESTED,
    b"[" * NESTED + b"]" * NESTED,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"description":"a","description":"b"}',
    b'{"name":"\\ud800"}',
    b'{"\\ud800":1}',
    b'{"name":"\\u0000"}',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b'{"__proto__":{"role":"admin"}}',
    b'{"name":{"$ne":null}}',
    b'{"name":["web"]}',
    b'{"name":true}',
    b'{"rtk_planted":"' + b"x" * 60_000 + b'"}',
    b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" * 500,
]
KINDS: Final = [
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/xml",
    "application/vnd.x+json",
    "",
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_body_is_a_fault_of_ours(target: Target, kind: str) -> None:
    """Whatever its form, and whatever it says that it is."""
    paths = [("POST", path) for path in target.api_paths("post")] + [
        ("PATCH", path) for path in target.api_paths("patch")
    ]
    bodies = BODIES if kind == KINDS[0] else BODIES[::4]
    for method, path in paths:
        for body in bodies:
            sent = target.ask(
                "malformed bodies", method, path, role="admin", content=body, headers={"Content-Type": kind}
            )
            assert sent.headers["content-type"] == "application/json"
            assert sent.status_code < 400 or len(sent.content) < 20_000, "it does not grow with what was asked"
