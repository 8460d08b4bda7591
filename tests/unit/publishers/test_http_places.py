"""What every destination that is asked over HTTP gets: bounded answers, and each failure as what happens next."""

from __future__ import annotations

import inspect
import socket
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from secrets import token_hex

import httpx
import pytest
from pydantic import BaseModel

from tasks.publishers._places.http import client
from tasks.publishers._places.http.client import LARGEST_ANSWER, Answer, Call, connected, web_address
from tasks.publishers._places.http.faults import FAULTS, LONGEST_PAUSE, TIMEOUT_S, pause_asked_by
from tasks.rotation.errors import (
    CredentialRejected,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)
from tasks.rotation.turn import PUBLISHING_LASTS

LABEL, URL = "place:here", "https://place.test/keys"
CANARY = f"canary-{token_hex(16)}"
HEADERS = {"Authorization": f"Bearer {CANARY}"}
READ = Call("GET", URL, "tell its key", headers=HEADERS)
WRITE = Call("PUT", URL, "take a key", headers=HEADERS, body=CANARY.encode(), changes=True)


class Shape(BaseModel):
    name: str


def asked(call: Call, answer: Callable[[httpx.Request], httpx.Response]) -> Answer:
    with connected(LABEL, URL, transport=httpx.MockTransport(answer)) as http:
        return http.ask(call)


def raised(call: Call, answer: Callable[[httpx.Request], httpx.Response]) -> RotatorError:
    with pytest.raises(RotatorError) as caught:
        asked(call, answer)
    return caught.value


def test_an_answer_is_handed_over_whole() -> None:
    answer = asked(READ, lambda request: httpx.Response(200, json={"heard": request.headers["authorization"]}))
    assert (answer.status, CANARY.encode() in answer.body) == (200, True)
    assert CANARY not in repr(answer) + repr(READ) + repr(WRITE)


# --- statuses ----------------------------------------------------------------------------------------------------

FAMILIES: dict[int, tuple[type[RotatorError], type[RotatorError]]] = {
    301: (Refused, Refused),
    307: (Refused, Refused),
    400: (Refused, Refused),
    401: (CredentialRejected, CredentialRejected),
    403: (OperatorNeeded, OperatorNeeded),
    404: (Refused, Refused),
    408: (Unavailable, OutcomeUnknown),
    409: (Refused, Refused),
    418: (Refused, Refused),
    422: (Refused, Refused),
    429: (RateLimited, RateLimited),
    500: (Unavailable, OutcomeUnknown),
    502: (Unavailable, OutcomeUnknown),
    503: (Unavailable, OutcomeUnknown),
    599: (Unavailable, OutcomeUnknown),
}


@pytest.mark.parametrize("status", FAMILIES)
def test_a_status_says_what_happens_next_and_its_body_nothing(status: int) -> None:
    errors = [raised(call, lambda request: httpx.Response(status, text=CANARY)) for call in (READ, WRITE)]
    assert tuple(type(error) for error in errors) == FAMILIES[status]
    assert all(str(error).startswith(LABEL) and error.remedy for error in errors)
    assert CANARY not in str(errors)


def test_an_accepted_status_is_an_answer() -> None:
    call = Call("GET", URL, "tell its key", accept=frozenset({404}))
    assert asked(call, lambda request: httpx.Response(404)).status == 404


def test_a_remedy_of_the_place_is_told() -> None:
    call = Call("GET", URL, "tell its key", remedies={403: "Give it the right."})
    assert raised(call, lambda request: httpx.Response(403)).remedy == "Give it the right."


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    heard: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request.url.host)
        return httpx.Response(status, headers={"Location": "https://elsewhere.test/"})

    assert "redirect" in str(raised(READ, answer))
    assert heard == ["place.test"]


@pytest.mark.parametrize(
    ("headers", "body", "limited"),
    [
        ({"Retry-After": "7"}, "", True),
        ({"X-RateLimit-Remaining": "0"}, "", True),
        ({}, '{"message": "You have exceeded a secondary rate limit."}', True),
        ({"X-RateLimit-Remaining": "4999"}, '{"message": "Resource not accessible by integration"}', False),
    ],
)
def test_a_403_about_a_rate_limit_is_one(headers: dict[str, str], body: str, limited: bool) -> None:
    error = raised(WRITE, lambda request: httpx.Response(403, headers=headers, text=body))
    assert isinstance(error, RateLimited) == limited


NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True), "Date": DATE}, 90),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 30), "Date": DATE}, 30),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 30), "Date": DATE}, 1),
        ({"X-RateLimit-Reset": "9999999999"}, 3600),
        ({"X-RateLimit-Reset": "-1"}, None),
    ],
)
def test_a_pause_is_as_long_as_asked_for_and_an_hour_at_most(headers: dict[str, str], seconds: int | None) -> None:
    assert pause_asked_by(httpx.Headers(headers)) == (None if seconds is None else timedelta(seconds=seconds))
    limited = raised(READ, lambda request: httpx.Response(429, headers=headers))
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=seconds or 60) <= LONGEST_PAUSE


# --- what httpx raises -------------------------------------------------------------------------------------------


def test_every_exception_of_the_library_has_its_fault() -> None:
    def of_library(kind: object) -> bool:
        return inspect.isclass(kind) and issubclass(kind, Exception)

    assert {kind for _, kind in inspect.getmembers(httpx, of_library)} == set(FAULTS)


@pytest.mark.parametrize("kind", sorted(FAULTS, key=str))
def test_no_exception_is_repeated_or_chained(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = () if kind is httpx.ConnectError else (CANARY,)

    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    reading, writing = raised(READ, fail), raised(WRITE, fail)
    assert type(reading) is Unavailable
    assert type(writing) is (OutcomeUnknown if FAULTS[kind].may_have_arrived else Unavailable)
    for mine in (reading, writing):
        assert CANARY not in "".join(traceback.format_exception(mine))
        assert mine.__cause__ is None
        assert mine.__context__ is None


@pytest.mark.parametrize("error", [RuntimeError(CANARY), UnicodeDecodeError("ascii", CANARY.encode(), 0, 1, CANARY)])
def test_what_httpx_lets_through_is_one_of_our_errors_too(error: Exception) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    assert type(raised(WRITE, fail)) is OutcomeUnknown


@pytest.mark.parametrize("credential", ["a\nb", "a\r\nX-More: 1", "b\0", "schlüssel", "\ud800"])
def test_a_credential_that_is_no_header_is_not_sent(credential: str) -> None:
    call = Call("PUT", URL, "take a key", headers={"Authorization": credential}, changes=True)
    error = raised(call, lambda request: pytest.fail("it was sent"))
    assert isinstance(error, CredentialRejected)
    assert credential not in str(error)


# --- hostile answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"name": 7}', b"\xff\x00", b"[" * 100_000, b"null"])
def test_a_body_that_is_not_the_documented_one_is_our_error(body: bytes) -> None:
    with connected(
        LABEL, URL, transport=httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    ) as http:
        for call, family in ((READ, Unavailable), (WRITE, OutcomeUnknown)):
            answer = http.ask(call)
            with pytest.raises(family, match="documented") as caught:
                http.read_as(Shape, answer, call)
            assert caught.value.__context__ is None


def test_a_documented_body_is_read() -> None:
    with connected(
        LABEL, URL, transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"name": "n"}))
    ) as http:
        assert http.read_as(Shape, http.ask(READ), READ).name == "n"


def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            yield b"x" * 1024

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless())

    assert "larger" in str(raised(READ, answer))
    assert sent <= LARGEST_ANSWER + 2048
    assert type(raised(WRITE, answer)) is OutcomeUnknown


def test_a_compressed_answer_is_not_unfolded() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8bbomb"))

    assert asked(READ, answer).body == b""


def test_a_trickle_ends_with_our_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(0, 1000, 4))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(moments)))

    def trickle() -> Iterator[bytes]:
        while True:
            yield b"x"

    assert "took longer" in str(raised(READ, lambda request: httpx.Response(200, content=trickle())))


def test_questions_after_our_patience_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, client.PATIENCE_S + 1])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    error = raised(WRITE, lambda request: pytest.fail("it was sent"))
    assert type(error) is Unavailable
    assert "Nothing was sent" in str(error)


def test_all_questions_of_a_call_end_before_the_lease() -> None:
    assert timedelta(seconds=client.PATIENCE_S + 2 * TIMEOUT_S) < PUBLISHING_LASTS


# --- a real socket -----------------------------------------------------------------------------------------------


@contextmanager
def answering(raw: bytes | None) -> Iterator[str]:
    """A server that reads a request, answers with these bytes, and hangs up; None: it does not even answer."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            if raw is not None:
                self.wfile.write(raw)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"\0" * 4096,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_whatever_answers_is_one_of_our_errors(raw: bytes | None) -> None:
    with answering(raw) as url, connected(LABEL, url) as http:
        with pytest.raises(Unavailable):
            http.ask(Call("GET", url, "tell its key"))
        with pytest.raises(OutcomeUnknown):
            http.ask(Call("PUT", url, "take a key", body=b"x", changes=True))


def test_nobody_there_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connected(LABEL, url) as http, pytest.raises(Unavailable, match=r"refused.*Nothing was sent"):
            http.ask(Call("PUT", url, "take a key", body=b"x", changes=True))


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.01)
    monkeypatch.setattr(client, "_SHORTEST_TIMEOUT_S", 0.01)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connected(LABEL, url) as http:
            with pytest.raises(Unavailable, match="did not answer"):
                http.ask(Call("GET", url, "tell its key"))
            with pytest.raises(OutcomeUnknown, match="doing it again is safe"):
                http.ask(Call("PUT", url, "take a key", body=b"x", changes=True))


def test_a_proxy_sees_nothing_of_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as url, answering(None) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)
        with connected(LABEL, url) as http:
            assert http.ask(Call("GET", url, "tell its key")).status == 204


def test_over_https_the_proxy_is_asked_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with connected(LABEL, URL) as http, pytest.raises(Unavailable, match="proxy refused"):
            http.ask(WRITE)


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1", "htp://u:hush@proxy", "http://proxy:hush"])
def test_a_proxy_that_cannot_be_used_is_named_but_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(OperatorNeeded, match="HTTPS_PROXY") as caught, connected(LABEL, URL):
        pass
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None


# --- addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://GHE.example/api/v3/", "https://ghe.example/api/v3"),
        ("https://ghe.example:443", "https://ghe.example"),
        ("https://ghe.example:8443/a", "https://ghe.example:8443/a"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1/x"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://bücher.example/a", "https://xn--bcher-kva.example/a"),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert web_address(text) == address
    assert web_address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghe.example",
        "http://ghe.example",
        "http://127.0.0.1.hush.example",
        "ftp://ghe.example",
        "https://",
        "https://hush@ghe.example",
        "https://u:hush@ghe.example",
        "https://ghe.example/#hush",
        "https://ghe.example:0",
        "https://ghe.example:hush",
        "https://[hush",
        "https://ghe\n.example",
        "x" * 70_000,
    ],
)
def test_an_address_that_would_show_a_credential_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        web_address(text)
    assert "hush" not in str(refused.value)
