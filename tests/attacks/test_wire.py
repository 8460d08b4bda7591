"""Attacks below HTTP's meaning: two requests in one, malformed and oversized ones, addresses with tricks in them."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.attacks.target import Target

HOST = b"Host: 127.0.0.1"
SECOND = b"GET /smuggled-request HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
REFUSED = {400, 404, 405, 408, 413, 414, 421, 422, 431}
OUTSIDE = (b"root:", b"[project]", b"BEGIN ", b"SQLite format", b"import ", b"master")
"""How files begin that nobody may read: /etc/passwd, pyproject.toml, keys, the database, modules."""


def _post(*headers: bytes, body: bytes = b"", path: bytes = b"/sign-in") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", HOST, *headers, b"", body])


SMUGGLED = {
    "length and chunks": _post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND),
    "chunks and length": _post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SECOND),
    "two lengths": _post(b"Content-Length: 0", b"Content-Length: 77", body=SECOND),
    "two lengths in one": _post(b"Content-Length: 0, 77", body=SECOND),
    "negative length": _post(b"Content-Length: -1", body=SECOND),
    "length with a sign": _post(b"Content-Length: +0", body=SECOND),
    "length in hex": _post(b"Content-Length: 0x0", body=SECOND),
    "length with a break in it": _post(b"Content-Length: 0\x0b", body=SECOND),
    "endless length": _post(b"Content-Length: " + b"9" * 5000, body=SECOND),
    "unknown coding": _post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SECOND),
    "two codings": _post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SECOND),
    "coding twice": _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND),
    "coding with a tab before it": _post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + SECOND),
    "space before the colon": _post(b"Content-Length : 0", body=SECOND),
    "folded header": _post(
        b"X: a", b" Transfer-Encoding: chunked", b"Content-Length: %d" % (5 + len(SECOND)), body=b"0\r\n\r\n" + SECOND
    ),
    "return in a header": _post(b"X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND),
    "zero in a header": _post(b"X: a\0b", body=SECOND),
    "chunk with a bad size": _post(b"Transfer-Encoding: chunked", body=b"zz\r\n\r\n0\r\n\r\n" + SECOND),
    "chunk with a signed size": _post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n0\r\n\r\n" + SECOND),
    "chunk that is longer than it says": _post(b"Transfer-Encoding: chunked", body=b"1\r\nabc\r\n0\r\n\r\n" + SECOND),
    "chunk of endless size": _post(b"Transfer-Encoding: chunked", body=b"f" * 30 + b"\r\n" + SECOND),
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no method": b" / HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "space in the target": b"GET / / HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n\r\n",
    "an older protocol": b"GET /\r\n\r\n",
    "no HTTP at all": bytes(range(256)) * 20,
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\x11" * 200,
    "a header without a name": _post(b": x"),
    "a header without a colon": _post(b"just text"),
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\n",
}


@pytest.mark.parametrize("shape", SMUGGLED)
def test_what_two_servers_could_read_differently_is_refused_or_read_once(target: Target, shape: str) -> None:
    said = len(target.log.read_bytes())
    reply = target.raw("smuggling and malformed heads", SMUGGLED[shape])
    assert reply.status in REFUSED | {0, 303, 403}, reply.raw
    assert b"smuggled" not in target.log.read_bytes()[said:], "the second request was taken for one"
    assert reply.raw.count(b"HTTP/1.1 ") <= 1, reply.raw


def test_a_line_feed_alone_ends_a_line_everywhere_or_nowhere(target: Target) -> None:
    """RFC 9112 (2.2) allows both; then it must also end a line in front of a length."""
    with_length = _post(b"X: a\nContent-Length: %d" % len(SECOND), body=SECOND)
    reply = target.raw("smuggling and malformed heads", with_length)
    assert reply.raw.count(b"HTTP/1.1 ") <= 1, reply.raw


def test_a_request_after_another_is_its_own(target: Target) -> None:
    """Pipelining is allowed; what matters is that a refused one ends the connection."""
    ill = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: x\r\n\r\n"
    reply = target.raw("smuggling and malformed heads", ill + SECOND)
    assert reply.status == 400
    assert reply.raw.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"a" * 1_000_000,
        b"\r\n".join(b"X%d: a" % i for i in range(20_000)),
        b"Cookie: rotator_session=" + b"a" * 1_000_000,
        b"Authorization: Bearer " + b"a" * 1_000_000,
        b"Accept: " + b"text/html," * 100_000,
    ],
)
def test_a_head_that_is_too_large_is_refused(target: Target, head: bytes) -> None:
    reply = target.raw("oversized heads", b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + head + b"\r\n\r\n")
    assert reply.status in REFUSED | {0}
    assert target.ask("oversized heads", "GET", "/healthz").status_code == 200


def test_an_address_that_is_too_long_is_refused(target: Target) -> None:
    for line in (b"/" + b"a" * 1_000_000, b"/?" + b"a=b&" * 250_000, b"/" + b"../" * 300_000):
        reply = target.raw("oversized heads", b"GET " + line + b" HTTP/1.1\r\n" + HOST + b"\r\n\r\n")
        assert reply.status in REFUSED | {0}


SECRET_PLACES = [
    b"/static/../app.py",
    b"/static/..%2fapp.py",
    b"/static/%2e%2e/app.py",
    b"/static/%2e%2e%2fapp.py",
    b"/static/..%5capp.py",
    b"/static/..%255capp.py",
    b"/static/....//app.py",
    b"/static/..;/app.py",
    b"/static/..%00/app.py",
    b"/static/console.css%00.py",
    b"/static/console.css/../../app.py",
    b"/static//etc/passwd",
    b"/static/%2fetc%2fpasswd",
    b"/static/%252e%252e%252fapp.py",
    b"/static/..%c0%af..%c0%afetc/passwd",
    b"/static/%ff%fe",
    b"/static/\\..\\app.py",
    b"/static/vendor/LICENSE",
    b"/static/.",
    b"/static/",
    b"/static",
    b"//static/..//../data/rotator.db",
    b"/../../../../etc/passwd",
    b"/..%2f..%2f..%2fetc%2fpasswd",
    b"/.git/config",
    b"/.env",
    b"/web.env",
    b"/data/master.key",
    b"/%2e%2e/data/master.key",
    b"file:///etc/passwd",
    b"http://evil.example/etc/passwd",
    b"http://127.0.0.1/static/../app.py",
    b"*",
    b"?",
    b"/static/console.css;v=1",
    b"/static/" + b"a" * 10_000,
    b"/static/" + b"%00" * 1_000,
    b"/static/" + b"%F0%9F%94%91",
]


@pytest.mark.parametrize("path", SECRET_PLACES, ids=lambda path: repr(path[:40]))
def test_no_address_leads_to_a_file_that_is_not_meant_for_browsers(target: Target, path: bytes) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND"):
        request = b"%s %s HTTP/1.1\r\n%s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % (method, path, HOST)
        reply = target.raw("paths to files", request)
        assert reply.status in REFUSED | {0, 303, 307, 403}, reply.raw[:300]
        assert not any(begin in reply.body for begin in OUTSIDE), reply.body[:300]
        _stays_here(reply.headers.get("location", ""))


PAGES = [b"/", b"/events", b"/connections", b"/connections/prod", b"/rotations", b"/rotations/web", b"/new-connection"]
APIS = [b"/api/rotator/v1/status", b"/api/rotator/v1/rotations/web/secret", b"/api/v1/app-connections/open-router"]
DISGUISES = [
    b"/%s",
    b"//%s",
    b"/./%s",
    b"/x/../%s",
    b"/%%2e/%s",
    b"/healthz/../%s",
    b"/healthz/..%%2f%s",
    b"/healthz%%2f..%%2f%s",
    b"/healthz;/../%s",
    b"/static/../%s",
    b"/static/..%%2f%s",
    b"/docs#/../%s",
    b"/%s/",
    b"/%s//",
    b"/%s%%00",
    b"/%s%%20",
    b"/%s%%0a",
    b"/%s;",
    b"/%s;/healthz",
    b"/%s%%3f/healthz",
    b"/%s%%23/healthz",
    b"/%s/../healthz",
    b"/%s.json",
    b"/%s?/healthz",
    b"/%s?x=/healthz",
    b"http://127.0.0.1/%s",
    b"http://evil.example/%s",
]


@pytest.mark.parametrize("page", [*PAGES, *APIS], ids=repr)
def test_no_disguise_of_an_address_passes_the_gate(target: Target, page: bytes) -> None:
    """Without a token the answer is the way to sign in, or a refusal; never the page."""
    for disguise in DISGUISES:
        for path in {disguise % page.lstrip(b"/"), (disguise % page.lstrip(b"/")).replace(b"api", b"%61pi")}:
            request = b"GET %s HTTP/1.1\r\n%s\r\nAccept: text/html\r\nConnection: close\r\n\r\n" % (path, HOST)
            reply = target.raw("paths around the gate", request)
            assert reply.status in REFUSED | {303, 307, 403}, (path, reply.raw[:300])
            _stays_here(reply.headers.get("location", ""))


def test_every_character_in_an_address_is_refused_or_means_itself(target: Target) -> None:
    for byte in range(256):
        for path in (
            b"/events%c" % byte,
            b"/events%%%02x" % byte,
            b"/connections/%%%02x" % byte,
            b"/?next=%%%02x" % byte,
        ):
            request = b"GET %s HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n" % (path, HOST)
            reply = target.raw("paths around the gate", request)
            assert reply.status in REFUSED | {0, 303, 307, 403}, (path, reply.raw[:300])


EVIL = b"evil.example"


@pytest.mark.parametrize(
    "path", [b"/", b"/events/", b"/connections", b"/docs", b"/docs/", b"/openapi.json", b"/nothing"]
)
def test_no_header_that_names_a_host_gets_into_an_answer(target: Target, path: bytes) -> None:
    port = target.web.url.rpartition(":")[2].encode()
    hosts = [
        [b"Host: evil.example"],
        [b"Host: evil.example:" + port],
        [b"Host: 127.0.0.1@evil.example"],
        [b"Host: 127.0.0.1.evil.example"],
        [b"Host: 127.0.0.1:80@evil.example"],
        [b"Host: 127.0.0.1/evil.example"],
        [b"Host: localhost.evil.example"],
        [b"Host: evil.example#localhost"],
        [b"Host: "],
        [b"Host: [::1"],
        [b"Host: [::1]evil.example"],
        [b"Host: \xff\xfe"],
        [b"Host: xn--0"],
        [HOST, b"X-Forwarded-Host: evil.example"],
        [HOST, b"X-Host: evil.example", b"X-Original-Host: evil.example", b"X-Forwarded-Server: evil.example"],
        [HOST, b"Forwarded: host=evil.example;proto=https", b"X-Forwarded-Proto: https"],
        [HOST, b"X-Original-URL: //evil.example/", b"X-Rewrite-URL: //evil.example/"],
        [HOST, b"X-Forwarded-Prefix: //evil.example", b"X-Script-Name: //evil.example"],
        [HOST, b"Referer: http://evil.example/", b"Origin: http://evil.example"],
    ]
    for lines in hosts:
        head = b"\r\n".join([b"GET " + path + b" HTTP/1.1", *lines, b"Connection: close", b"", b""])
        reply = target.raw("hosts", head)
        assert EVIL not in reply.raw, (lines, reply.raw[:500])
        _stays_here(reply.headers.get("location", ""))


def test_a_slash_too_many_leads_to_no_other_server(target: Target) -> None:
    for path in (
        b"//evil.example/",
        b"///evil.example/",
        b"/\\evil.example/",
        b"//evil.example/%2f..",
        b"/%2f/evil.example/",
    ):
        request = b"GET %s HTTP/1.1\r\n%s\r\nAccept: text/html\r\nConnection: close\r\n\r\n" % (path, HOST)
        _stays_here(target.raw("hosts", request).headers.get("location", ""))


def _stays_here(location: str) -> None:
    """A redirect stays on this server, as browsers read it."""
    here = not location or re.match(r"(http://127\.0\.0\.1(:\d+)?)?/(?![/\\])", location)
    assert here, location


def test_ten_megabytes_are_refused_before_they_are_read(target: Target) -> None:
    large = b"x" * 10_000_000
    began = time.monotonic()
    for path in (b"/sign-in", b"/api/rotator/v1/connections", b"/api/v1/app-connections/open-router", b"/nothing"):
        for kind in (b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
            headers = [b"Content-Type: " + kind, b"Connection: close", b"Authorization: Bearer " + _token(target)]
            told = target.raw("oversized bodies", _post(b"Content-Length: 10000000", *headers, body=large, path=path))
            assert told.status in REFUSED | {0}, told.raw[:300]
            chunked = b"989680\r\n" + large + b"\r\n0\r\n\r\n"
            told = target.raw(
                "oversized bodies", _post(b"Transfer-Encoding: chunked", *headers, body=chunked, path=path)
            )
            assert told.status in REFUSED | {0}, told.raw[:300]
    assert time.monotonic() - began < 60


def test_a_packed_body_is_not_unpacked(target: Target) -> None:
    """What would be a bomb is a few bytes that are no JSON."""
    packed = gzip.compress(b" " * 50_000_000 + b"{}")
    for path in ("/api/rotator/v1/connections", "/api/v1/app-connections/open-router"):
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        sent = target.ask("oversized bodies", "POST", path, role="admin", headers=headers, content=packed)
        assert sent.status_code in {400, 413, 415, 422}


def test_bodies_that_do_not_come_keep_nobody_else_waiting(target: Target) -> None:
    """More of them than threads."""
    head = [b"Content-Length: 1000", b"Content-Type: application/json", b"Authorization: Bearer " + _token(target)]
    address = urlsplit(target.web.url)
    with ExitStack() as open_:
        for begun in (
            _post(*head, body=b"{", path=b"/api/rotator/v1/connections"),
            b"POST /sign-in HTTP/1.1\r\n",
            b"",
        ) * 30:
            connection = socket.create_connection((str(address.hostname), address.port or 0))
            open_.enter_context(connection).sendall(begun)
            target.sent["bodies that do not come"] += 1
        began = time.monotonic()
        assert target.ask("bodies that do not come", "GET", "/api/rotator/v1/status", role="viewer").status_code == 200
        assert time.monotonic() - began < 5


def test_a_log_line_is_one_line_and_json_whatever_was_asked_for(target: Target) -> None:
    for path in (
        b"/%0d%0a%7b%22event%22:%22forged%22%7d",
        b"/%1b%5b2Jforged",
        b"/%e2%80%a8forged",
        b"/%22,%22event%22:%22forged",
    ):
        target.raw("log lines", b"GET %s HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n" % (path, HOST))
    for line in target.log.read_text(encoding="utf-8").split("\n"):
        assert "\x1b" not in line
        assert not line or json.loads(line)["event"] != "forged"


def _token(target: Target) -> bytes:
    return target.tokens["admin"].encode()
