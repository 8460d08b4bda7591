"""Attacks with tokens: guessed, ended, used for more than they are for, and answers that were another's."""

from __future__ import annotations

import resource
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa

from tests.attacks.target import Target, attacked, secret_part, wrong_token
from worker.web.access.limits import FAILURES_PER_MINUTE

STATUS: Final = "/api/rotator/v1/status"
SECRET: Final = "/api/rotator/v1/rotations/web/secret"  # an address
GUESSES: Final = 10_000
MOST_MEMORY_KIB: Final = 65_536


@pytest.mark.timeout(600)
def test_ten_thousand_wrong_tokens_open_nothing_and_shut_nobody_out(tmp_path: Path, record_property: object) -> None:
    """From one address, beside somebody with a right token, who is served all the while."""
    with attacked(tmp_path / "it", guesses_a_minute=FAILURES_PER_MINUTE) as target:
        answers, served = _guessed_beside(target)
        assert set(answers) <= {403, 429}, answers
        assert answers[429] > GUESSES * 0.9, "it is told to wait long before"
        assert served, "nobody was served beside them"
        assert set(served) == {200}, Counter(served)
        target.search_what_is_left()
        assert not target.findings
    assert callable(record_property)
    for attack, number in target.sent.items():
        record_property(f"attack:{attack}", number)


def _guessed_beside(target: Target) -> tuple[Counter[int], list[int]]:
    answers: Counter[int] = Counter()
    served: list[int] = []
    done = threading.Event()

    def go_on_asking() -> None:
        with httpx.Client(base_url=target.web.url, headers=target.header("viewer")) as client:
            while not done.is_set():
                served.append(client.get(STATUS).status_code)
                done.wait(0.05)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    thread = threading.Thread(target=go_on_asking)
    thread.start()
    try:
        _guess_on(target, answers)
    finally:
        done.set()
        thread.join()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KIB
    return answers, served


def _guess_on(target: Target, answers: Counter[int]) -> None:
    """Every guess on one connection; what was said is searched at the end."""
    said = bytearray()
    with closing(HTTPConnection(target.web.url.removeprefix("http://"))) as connection:
        for number in range(GUESSES):
            connection.request("GET", STATUS, headers={"Authorization": f"Bearer {_guess(target, number)}"})
            answer = connection.getresponse()
            said += repr(answer.getheaders()).encode() + answer.read()
            answers[answer.status] += 1
    target.look("answers to wrong tokens", bytes(said))
    target.sent["wrong tokens"] += GUESSES


def _guess(target: Target, number: int) -> str:
    """Wrong in every way: an id that is there or not, a secret of any length."""
    known = target.tokens["admin"].split("_")[1]
    kinds = (f"rtk_{known}_{number:043d}", f"rtk_{number:012x}_{number:043d}", f"guess{number}", f"rtk_{known}_")
    return kinds[number % len(kinds)]


def test_nothing_tells_an_unknown_token_from_one_that_has_ended(tmp_path: Path) -> None:
    with attacked(tmp_path / "it") as target:
        operations = target.web.operations
        expired = operations.create_token("passing", "admin", expires="1d")[1].reveal()
        revoked = operations.create_token("ending", "admin")[1].reveal()
        operations.revoke_token("ending")
        engine = sa.create_engine(f"sqlite:///{target.web.settings.data_dir / 'rotator.sqlite3'}")
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE api_tokens SET expires_at = 1 WHERE name = 'passing'"))
        engine.dispose()
        told = {
            _without_name(target.ask("ended tokens", "GET", STATUS, headers={"Authorization": f"Bearer {token}"}))
            for token in (
                expired,
                revoked,
                wrong_token(target.tokens["admin"]),
                "rtk_000000000000_" + "A" * 43,
                "x",
                "\x7f",
            )
        }
        assert len(told) == 1, told
        target.hunt_also(secret_part(expired), secret_part(revoked))
        target.search_what_is_left()
        assert not target.findings


def _without_name(response: httpx.Response) -> tuple[int, str, tuple[str, ...]]:
    body = {k: v for k, v in response.json().items() if k != "reqId"}
    return response.status_code, repr(body), tuple(sorted(set(response.headers) - {"date", "content-length"}))


DISGUISES: Final = [
    "Basic {}",
    "bearer{}",
    "Bearer\x00{}",
    "Bearer {}x",
    "Bearer x{}",
    "Bearer Bearer {}",
    "Token {}",
    "{}",
    "Bearer {},x",
    'Bearer "{}"',
    "Bearer token={}",
    "Bearer {} x",
    "Digest {}",
]


@pytest.mark.parametrize("disguise", DISGUISES, ids=ascii)
def test_only_a_whole_token_after_bearer_counts(target: Target, disguise: str) -> None:
    text = disguise.format(target.tokens["admin"]).encode()
    head = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: %s\r\n\r\n" % (
        STATUS.encode(),
        text,
    )
    assert target.raw("disguised tokens", head).status in {400, 403, 429}


def test_a_token_counts_nowhere_but_in_its_header(target: Target) -> None:
    token = target.tokens["admin"]
    for name in ("token", "access_token", "api_key", "key", "authorization", "bearer", "rtk"):
        for more in (
            {"params": {name: token}},
            {"headers": {"Cookie": f"{name}={token}"}},
            {"headers": {f"X-{name}": token}},
        ):
            sent = target.ask("disguised tokens", "GET", STATUS, **more)  # type: ignore[arg-type]  # one of httpx's
            assert sent.status_code == 403
    credentials = target.ask("disguised tokens", "GET", STATUS, auth=("admin", token))
    assert credentials.status_code in {403, 429}


def test_two_tokens_in_one_request_are_not_the_better_of_both(target: Target) -> None:
    viewer, admin = (target.tokens[role].encode() for role in ("viewer", "admin"))
    for first, second in ((viewer, admin), (admin, viewer)):
        lines = b"Authorization: Bearer %s\r\nAuthorization: Bearer %s" % (first, second)
        reply = target.raw(
            "disguised tokens",
            b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\nConnection: close\r\n\r\n" % (SECRET.encode(), lines),
        )
        target.sent["disguised tokens"] += 1
        assert reply.status in {400, 403}, reply.raw


OVERRIDES: Final = (
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-HTTP-Method": "DELETE"},
    {"X-Method-Override": "DELETE"},
    {"X-Original-Method": "DELETE"},
    {"X-Original-URL": "/api/rotator/v1/rotations/web"},
    {"X-Rewrite-URL": "/healthz"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"X-Remote-User": "admin"},
    {"X-Forwarded-User": "admin"},
    {"X-Role": "admin"},
    {"X-Actor": "token:admin"},
)


@pytest.mark.parametrize("role", [None, "viewer", "operator", "consumer"])
def test_no_header_makes_a_request_more_than_it_is(target: Target, role: str | None) -> None:
    """On each address of the APIs, a method of less right that claims to be one of more."""
    before = target.state()
    for path in sorted(set(target.api_paths("delete")) | set(target.api_paths("patch"))):
        for header in OVERRIDES:
            target.ask("overridden methods", "GET", f"{path}?_method=DELETE", role=role, headers=header)
            sent = target.ask("overridden methods", "DELETE", path, role=role, headers=header)
            assert sent.status_code in {403, 404, 405}, path
    assert target.state() == before


def test_a_consumer_reaches_no_other_rotation_by_any_name_of_it(target: Target) -> None:
    other = target.web.operations.show_rotation("other")
    names = [
        "other",
        "OTHER",
        "Other",
        "%6fther",
        "%6f%74%68%65%72",
        "%256fther",
        "other%00",
        "other%20",
        " other",
        "other/",
        "./other",
        "web/../other",
        "web%2f..%2fother",
        "web;other",
        "web,other",
        "web%0aother",
        "other?name=web",
        "other#web",
        "other%3fweb",
        "\u043ether",
        "\uff4fther",
        "*",
        "%",
        "_ther",
        "o%25",
        "",
        "null",
        "undefined",
        other.id,
        f"id:{other.id}",
        other.id.upper(),
        f"{{{other.id}}}",
        "web' OR '1'='1",
        "web\u200b",
        "-",
        "1",
    ]
    held = target.ask("rotations of others", "GET", SECRET, role="consumer", may_hold_key=True)
    assert held.status_code == 200
    tails = ("/secret?wait=1", "/secret?format=text&name=other&rotation=other", "", "/versions", "/destinations")
    marks: tuple[dict[str, str], ...] = (
        {},
        {"If-None-Match": held.headers["etag"]},
        {"If-None-Match": "*"},
        {"X-Rotation": "other"},
    )
    for name in names:
        for tail, headers in [*(("/secret", mark) for mark in marks), *((tail, {}) for tail in tails)]:
            path = f"/api/rotator/v1/rotations/{name}{tail}"
            sent = target.ask("rotations of others", "GET", path, role="consumer", headers=headers)
            assert sent.status_code in {400, 403, 404, 405, 422}, (name, tail, sent.status_code)
    for method in ("get", "post", "patch", "delete"):
        for path in target.api_paths(method):
            if not path.endswith("/rotations/web/secret"):
                sent = target.ask("rotations of others", method.upper(), path, role="consumer")
                assert sent.status_code == 403, path


def test_a_consumer_is_told_the_same_of_a_rotation_that_is_there_and_of_none(target: Target) -> None:
    told = {
        _without_name(
            target.ask("rotations of others", "GET", f"/api/rotator/v1/rotations/{name}/secret", role="consumer")
        )
        for name in ("other", "nothing")
    }
    assert len(told) == 1


def _rotate(
    target: Target, role: str, key: str, path: str = "/api/rotator/v1/rotations/web/pause", **more: Any
) -> httpx.Response:
    return target.ask("kept answers", "POST", path, role=role, headers={"Idempotency-Key": key}, **more)


def test_another_s_key_gets_nobody_s_answer(target: Target) -> None:
    """The same key by another token is another request."""
    target.tokens["second"] = target.web.token("operator")
    first = _rotate(target, "operator", "shared")
    again = _rotate(target, "operator", "shared")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert "idempotency-replayed" not in _rotate(target, "second", "shared").headers
    for role in ("viewer", "consumer"):
        assert _rotate(target, role, "shared").status_code == 403


def test_a_kept_answer_is_refused_to_a_token_that_has_ended(target: Target) -> None:
    token = target.web.token("operator")
    target.tokens["ended"] = token
    assert _rotate(target, "ended", "mine").status_code == 200
    name = next(t.name for t in target.web.operations.list_tokens() if t.id == token.split("_")[1])
    target.web.operations.revoke_token(name)
    assert _rotate(target, "ended", "mine").status_code in {403, 429}


def test_a_key_belongs_to_one_request_down_to_the_byte(target: Target) -> None:
    assert _rotate(target, "admin", "one").status_code == 200
    for path, more in (
        ("/api/rotator/v1/rotations/other/pause", {}),
        ("/api/rotator/v1/rotations/web/pause?x=1", {}),
        ("/api/rotator/v1/rotations/we%62/pause", {}),
        ("/api/rotator/v1/rotations/web/resume", {}),
        ("/api/rotator/v1/rotations/web/pause", {"content": b"{}"}),
    ):
        assert _rotate(target, "admin", "one", path, **more).status_code == 422


@pytest.mark.parametrize(
    "key", [b"", b" ", b"\x01", b"a\tb", b"\xff\xfe", b"a" * 256, b"a" * 10_000, "\u00e9".encode(), b"a\x00b", b"\x7f"]
)
def test_a_key_that_is_none_is_refused_and_nothing_done(target: Target, key: bytes) -> None:
    before = target.state()
    lines = [
        b"POST /api/rotator/v1/rotations/web/undo HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Connection: close",
        b"Content-Length: 0",
    ]
    lines += [b"Authorization: Bearer " + target.tokens["admin"].encode(), b"Idempotency-Key: " + key, b"", b""]
    assert target.raw("kept answers", b"\r\n".join(lines)).status in {400, 422}
    assert target.state() == before


def test_hundreds_of_keys_are_hundreds_of_requests(target: Target) -> None:
    """... which cost no more than others: nothing grows but a table that is emptied."""
    began = time.monotonic()
    for number in range(300):
        assert _rotate(target, "admin", f"key-{number}").status_code == 200
    assert time.monotonic() - began < 60


def test_a_kept_answer_and_its_key_are_nowhere_in_the_open(target: Target) -> None:
    """A body may hold a management key: neither it nor the key of the request is stored."""
    secret = "emulator-planted-0123456789abcdef"  # not a real one
    target.hunt_also(secret, "planted-idempotency-key")
    body = {"name": "planted", "api_key": secret}
    path = "/api/rotator/v1/connections"
    _rotate(target, "admin", "planted-idempotency-key", path, json=body)
    target.search_what_is_left()


TAGS: Final = [
    '"x"',
    '""',
    "x",
    'W/"x"',
    '"a", "b"',
    '"' + "a" * 5_000 + '"',
    '"\u00e9"',
    "'*'",
    '"*"',
    '"\\""',
    ",",
    '"x',
    "**",
]


@pytest.mark.parametrize("tag", TAGS, ids=ascii)
def test_a_tag_that_is_not_of_this_state_changes_nothing(target: Target, tag: str) -> None:
    before = target.state()
    for path in target.api_paths("patch"):
        body = {"description": "planted"}
        sent = target.ask("tags", "PATCH", path, role="admin", headers={"If-Match": tag.encode()}, json=body)
        assert sent.status_code in {400, 412, 422}, (path, sent.text)
    assert target.state() == before
