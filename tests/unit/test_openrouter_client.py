"""OpenRouter's client: every failure becomes the family that says what happens next, and none shows a key."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import pytest

from config.secret import Secret
from tasks.providers.openrouter import client as client_module
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.address import validated_base_url
from tasks.providers.openrouter.client import CALL_TIMEOUT, LARGEST_ANSWER, OpenRouterClient, Timeouts
from tasks.providers.openrouter.exchange import Call, Effect
from tasks.providers.openrouter.faults import STATUS, TRANSPORT, Verdict
from tasks.providers.openrouter.looks import BINDINGS_TIMEOUT
from tasks.rotation import turn
from tasks.rotation.errors import (
    CredentialRejected,
    InvalidInput,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)

BASE = "https://openrouter.test/api/v1"
READ = Call("GET", "/keys", Effect.READ, "list the keys")
CHANGE = Call("DELETE", "/keys/abc", Effect.CHANGE, "delete a key")
CREATE = Call("POST", "/keys", Effect.CREATE, "create a key", body={"name": "n"})
CALLS = [READ, CHANGE, CREATE]
BEARER = Secret("emulator-canary-" + secrets.token_hex(16))
"""Looks like no key of OpenRouter's, so that it must be known to be hidden."""
MINTED = Secret("sk-or-canary-" + secrets.token_hex(16))

FAMILY = {
    (Verdict.NEVER_SENT, Effect.READ): Unavailable,
    (Verdict.NEVER_SENT, Effect.CHANGE): Unavailable,
    (Verdict.NEVER_SENT, Effect.CREATE): Unavailable,
    (Verdict.UNCERTAIN, Effect.READ): Unavailable,
    (Verdict.UNCERTAIN, Effect.CHANGE): OutcomeUnknown,
    (Verdict.UNCERTAIN, Effect.CREATE): OutcomeUnknown,
    **{(Verdict.RATE_LIMITED, effect): RateLimited for effect in Effect},
    **{(Verdict.REJECTED, effect): CredentialRejected for effect in Effect},
    **{(Verdict.REFUSED, effect): Refused for effect in Effect},
}

Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler) -> OpenRouterClient:
    return OpenRouterClient(BASE, transport=httpx.MockTransport(handler))


def answering(response: httpx.Response) -> OpenRouterClient:
    return client_of(lambda _request: response)


def raising(error: Exception) -> OpenRouterClient:
    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(error, httpx.RequestError):
            error.request = request
        raise error

    return client_of(handler)


def error_from(client: OpenRouterClient, call: Call = READ, key: Secret = BEARER) -> RotatorError:
    with pytest.raises(RotatorError) as caught:
        client.ask(call, key)
    return caught.value


def httpx_exceptions() -> list[type[Exception]]:
    classes = (getattr(httpx, name) for name in httpx.__all__)
    return sorted(
        (cls for cls in classes if isinstance(cls, type) and issubclass(cls, Exception)), key=lambda cls: cls.__name__
    )


def made(kind: type[Exception]) -> Exception:
    """An instance, as httpx would make it."""
    if kind is httpx.HTTPStatusError:
        request = httpx.Request("GET", BASE)
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500, request=request))
    wordless = (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead)
    return kind() if issubclass(kind, wordless) else kind("x")


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_knows_every_exception_that_httpx_exports() -> None:
    missing = set(httpx_exceptions()) - set(TRANSPORT)
    assert not missing, f"httpx has grown {missing}: decide whether a request may have arrived"
    assert set(TRANSPORT) == set(httpx_exceptions())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.effect)
@pytest.mark.parametrize("kind", httpx_exceptions(), ids=lambda kind: kind.__name__)
def test_each_httpx_exception_becomes_its_family(kind: type[Exception], call: Call) -> None:
    error = error_from(raising(made(kind)), call)
    assert type(error) is FAMILY[TRANSPORT[kind], call.effect]
    assert kind.__name__ in error.message


@pytest.mark.parametrize(
    "kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol]
)
def test_a_create_that_never_left_may_simply_run_again(kind: type[httpx.TransportError]) -> None:
    error = error_from(raising(kind("x")), CREATE)
    assert type(error) is Unavailable
    assert "Nothing was sent" in error.message


@pytest.mark.parametrize(
    "kind", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError]
)
def test_a_create_whose_reply_was_lost_is_unknown(kind: type[httpx.TransportError]) -> None:
    assert type(error_from(raising(kind("x")), CREATE)) is OutcomeUnknown


def test_an_exception_that_the_table_does_not_know_is_uncertain() -> None:
    class NewlyGrown(httpx.TransportError):
        pass

    class Foreign(Exception):
        pass

    assert type(error_from(raising(NewlyGrown("x")), CREATE)) is OutcomeUnknown
    assert type(error_from(raising(Foreign("x")), CREATE)) is OutcomeUnknown
    assert type(error_from(raising(Foreign("x")), READ)) is Unavailable


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.effect)
def test_each_status_becomes_its_family(call: Call) -> None:
    for status in range(300, 600):
        error = error_from(answering(httpx.Response(status, json={"error": {"code": status, "message": "m"}})), call)
        assert type(error) is FAMILY[STATUS.get(status, Verdict.UNCERTAIN), call.effect], status
        assert str(status) in error.message


@pytest.mark.parametrize("status", [400, 402, 403, 404, 409, 422])
def test_a_create_is_refused_only_by_a_status_that_says_so(status: int) -> None:
    assert STATUS[status] is Verdict.REFUSED


@pytest.mark.parametrize("status", [307, 408, 425, 500, 502, 503, 504, 520, 599])
def test_a_create_answered_by_a_gateway_is_unknown(status: int) -> None:
    assert type(error_from(answering(httpx.Response(status)), CREATE)) is OutcomeUnknown


def test_an_accepted_status_counts_only_in_openrouters_words() -> None:
    theirs = answering(httpx.Response(404, json={"error": {"code": 404, "message": "Key not found"}}))
    assert theirs.ask(CHANGE, BEARER, accept=frozenset({404})).status == 404
    strange = answering(httpx.Response(404, text="<html>nginx</html>"))
    with pytest.raises(OutcomeUnknown, match="not in OpenRouter's words"):
        strange.ask(CHANGE, BEARER, accept=frozenset({404}))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(200, json={}), "answered"),
        (httpx.Response(404, json={"error": {"code": 404, "message": "Key not found"}}), "answered"),
        (httpx.Response(404, text="<html>nginx</html>"), "uncertain"),
        (httpx.Response(401, json={"error": {"code": 401, "message": BEARER.reveal()}}), "rejected"),
        (httpx.Response(403), "refused"),
        (httpx.Response(429), "rate_limited"),
        (httpx.Response(503), "uncertain"),
        (httpx.ReadTimeout("too slow"), "uncertain"),
        (httpx.ConnectError("nobody there"), "never_sent"),
    ],
)
def test_who_counts_is_told_once_of_each_call_and_of_no_value(answer: httpx.Response | Exception, outcome: str) -> None:
    told: list[tuple[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = OpenRouterClient(
        BASE,
        transport=httpx.MockTransport(handler),
        observe=lambda call, outcome, seconds: told.append((call, outcome)) if seconds >= 0 else None,
    )
    with suppress(RotatorError):
        client.ask(CHANGE, BEARER, accept=frozenset({404}))
    assert told == [("delete a key", outcome)]


# --- hygiene -----------------------------------------------------------------------------------------------------


def everything_shown(error: BaseException) -> str:
    """All that a log, a debugger or a crash report could print of an error, with the locals of every frame."""
    seen, pending = [], [error]
    while pending:
        one = pending.pop()
        detailed = traceback.TracebackException.from_exception(one, capture_locals=True)
        seen += [str(one), repr(one), repr(one.args), repr(vars(one)), *detailed.format(chain=True)]
        pending += [linked for linked in (one.__cause__, one.__context__) if linked is not None]
    return "\n".join(seen)


def leaky_clients() -> Iterator[tuple[str, Callable[[], OpenRouterClient]]]:
    def quoting(request: httpx.Request) -> httpx.Response:
        raise ValueError(request.headers["authorization"])

    def echoing(status: int) -> Handler:
        def handler(request: httpx.Request) -> httpx.Response:
            said = f"bad token {request.headers['authorization']} or {MINTED.reveal()}"
            return httpx.Response(status, json={"error": {"code": status, "message": said}})

        return handler

    def half_made(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"data": {"no": "hash"}, "key": MINTED.reveal()})

    for kind in httpx_exceptions():
        yield kind.__name__, lambda kind=kind: raising(made(kind))  # type: ignore[misc]  # bound per loop
    yield "foreign", lambda: client_of(quoting)
    for status in (400, 401, 404, 429, 500):
        yield f"echo {status}", lambda status=status: client_of(echoing(status))  # type: ignore[misc]  # as above
    yield "half made", lambda: client_of(half_made)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.effect)
@pytest.mark.parametrize(("name", "make"), list(leaky_clients()), ids=lambda value: value if type(value) is str else "")
def test_no_error_leads_to_a_key(name: str, make: Callable[[], OpenRouterClient], call: Call) -> None:
    with pytest.raises(RotatorError) as caught:
        make().ask_for(wire.CreatedKey, call, BEARER)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = everything_shown(error)
    assert BEARER.reveal() not in shown
    assert MINTED.reveal() not in shown


def test_what_openrouter_says_is_bounded_on_one_line_and_holds_no_key() -> None:
    said = f"no\r\n\x1b[31m ({BEARER.reveal()}) Bearer abc.def sk-or-v1-rest " + "x" * 500
    error = error_from(answering(httpx.Response(400, json={"error": {"code": 400, "message": said}})))
    assert all(text not in error.message for text in (BEARER.reveal(), "abc.def", "sk-or-", "\n", "\r", "\x1b"))
    assert len(error.message) < 400


def test_a_key_that_no_header_can_carry_is_rejected_unsent() -> None:
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    for text in ("two words", "line\nbreak", "ключ", "x" * 513, "\x00"):
        assert type(error_from(client_of(handler), READ, Secret(text))) is CredentialRejected
    assert sent == []


def test_the_key_travels_with_the_call_and_is_no_property_of_the_client() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={}, headers={"Set-Cookie": "session=1; Path=/"})

    client = client_of(handler)
    for key in (BEARER, MINTED):
        client.ask(READ, key)
    assert seen == [f"Bearer {BEARER.reveal()}", f"Bearer {MINTED.reveal()}"]
    assert BEARER.reveal() not in repr(vars(client)) + repr(client._http.headers)
    assert list(client._http.cookies.jar) == []


# --- what is read ------------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    assert "redirect" in error_from(client_of(handler)).message
    assert asked == [f"{BASE}/keys"]


class Pieces(httpx.SyncByteStream):
    """A body in pieces, counted as they are taken."""

    def __init__(self, piece: bytes, count: int, between: Callable[[], None] = lambda: None) -> None:
        self.piece, self.count, self.between, self.taken = piece, count, between, 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.taken += 1
            self.between()
            yield self.piece


def test_a_huge_answer_is_left_unread() -> None:
    stream = Pieces(b" " * 65_536, 10_000)
    assert "too large" in error_from(answering(httpx.Response(200, stream=stream))).message
    assert stream.taken * 65_536 <= LARGEST_ANSWER + 2 * 65_536


def test_a_compressed_answer_is_not_unfolded() -> None:
    stream = Pieces(b"x", 1)
    response = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=stream)
    assert "compression" in error_from(answering(response)).message
    assert stream.taken == 0


def test_an_answer_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)

    def a_second_passes() -> None:
        clock.now += 1

    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    stream = Pieces(b" ", 10_000, between=a_second_passes)
    error = error_from(answering(httpx.Response(201, stream=stream)), CREATE)
    assert type(error) is OutcomeUnknown
    assert "too long" in error.message
    assert stream.taken == Timeouts().total_s + 1


def test_the_engine_keeps_its_lease_for_as_long_as_calls_take() -> None:
    patience = Timeouts()
    assert timedelta(seconds=patience.total_s + patience.read_s) < CALL_TIMEOUT <= turn.CALL_LASTS
    assert BINDINGS_TIMEOUT <= turn.BINDINGS_LAST


def test_each_phase_has_its_own_timeout() -> None:
    seen: list[dict[str, float]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    client_of(handler).ask(READ, BEARER)
    assert seen == [{"connect": 5, "read": 10, "write": 5, "pool": 5}]


# --- how long to wait --------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def headers_at(offset_s: float, **headers: str) -> dict[str, str]:
    return {"Date": format_datetime(NOW + timedelta(seconds=offset_s), usegmt=True), **headers}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": " 2.5 "}, 2.5),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        (headers_at(0, **{"Retry-After": "Sun, 01 Nov 2026 12:00:30 GMT"}), 30),
        (headers_at(0, **{"Retry-After": "Sun, 01 Nov 2020 12:00:30 GMT"}), 1),
        (headers_at(0, **{"Retry-After": "Sun, 01 Nov 2099 12:00:30 GMT"}), 3600),
        (headers_at(0, **{"X-RateLimit-Reset": str(int(NOW.timestamp() * 1000) + 45_000)}), 45),
        (headers_at(0, **{"X-RateLimit-Reset": "9" * 14}), 3600),
        (headers_at(0, **{"X-RateLimit-Reset": "9" * 40}), None),
        (headers_at(0, **{"X-RateLimit-Reset": "1"}), 1),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({"Retry-After": "7", "Date": "Mon, 01 Jan 0001 00:00:00 +2359"}, 7),
        ({"Retry-After": "", "Date": " "}, None),
    ],
)
def test_the_wait_that_was_asked_for_is_bounded(headers: dict[str, str], seconds: float | None) -> None:
    for status, call in ((429, CREATE), (503, READ)):
        error = error_from(answering(httpx.Response(status, headers=headers)), call)
        assert isinstance(error, RateLimited | Unavailable)
        assert error.retry_after == (None if seconds is None else timedelta(seconds=seconds))


# --- where a key may be sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        ("http://127.0.0.1:8080/api/v1", "http://127.0.0.1:8080/api/v1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost:1/x", "http://localhost:1/x"),
    ],
)
def test_a_key_may_travel_over_https_or_on_loopback(url: str, normal: str) -> None:
    assert validated_base_url(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        "http://openrouter.ai/api/v1",
        "http://localhost.evil.test/",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "openrouter.ai/api/v1",
        "https://",
        "https://user:hunter2@openrouter.ai/",
        "https://openrouter.ai/?a=b",
        "https://openrouter.ai/#x",
        "https://openrouter.ai/\n",
        "https://openrouter.ai:99999/",
        "https://[::1/",
        "",
    ],
)
def test_other_base_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        OpenRouterClient(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_proxy_setting_that_cannot_be_used_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:hunter2@proxy.test")
    with pytest.raises(InvalidInput, match="HTTPS_PROXY") as caught:
        OpenRouterClient(BASE)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_proxy_carries_https_and_never_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    over_https, over_loopback = OpenRouterClient(BASE), OpenRouterClient("http://127.0.0.1:1/api/v1")
    assert over_https._http.trust_env
    assert any(over_https._http._mounts.values())
    assert not any(over_loopback._http._mounts.values())
    over_https.close()
    over_loopback.close()


# --- shapes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "two words", "line\n", "nul\x00", "\u200bhidden", "x" * 513, None, 7, ["k"]])
def test_a_create_whose_key_cannot_be_one_is_unknown_for_a_key_exists(text: object) -> None:
    client = answering(httpx.Response(201, json={"data": {"hash": "abc"}, "key": text}))
    with pytest.raises(OutcomeUnknown, match="found by its name"):
        client.ask_for(wire.CreatedKey, CREATE, BEARER)


@pytest.mark.parametrize("hash_", ["", "../credits", "a/b", "a b", "a?b", "x" * 201, None, 1])
def test_a_hash_that_could_lead_elsewhere_is_no_hash(hash_: object) -> None:
    client = answering(httpx.Response(201, json={"data": {"hash": hash_}, "key": MINTED.reveal()}))
    with pytest.raises(OutcomeUnknown):
        client.ask_for(wire.CreatedKey, CREATE, BEARER)


def test_new_fields_do_no_harm_and_the_key_stands_at_the_top_level() -> None:
    body = {"data": {"hash": "abc", "newer": {"x": 1}}, "key": MINTED.reveal(), "also": []}
    created = answering(httpx.Response(201, json=body)).ask_for(wire.CreatedKey, CREATE, BEARER)
    assert (created.data.hash, Secret(created.key)) == ("abc", MINTED)
    assert MINTED.reveal() not in repr(created)
    inside = {"data": {"hash": "abc", "key": MINTED.reveal()}}
    with pytest.raises(OutcomeUnknown):
        answering(httpx.Response(201, json=inside)).ask_for(wire.CreatedKey, CREATE, BEARER)
