"""The HTTP client: one question, one bounded answer, every failure as one of our families.

It never logs, sleeps, retries or follows a redirect, and remembers nothing between calls but open connections. Whoever
counts is told of each call: what for, how it came out, and how long it took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel

from config.secret import Secret
from tasks.providers import Observe
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.address import validated_base_url
from tasks.providers.openrouter.exchange import Answer, Call, retry_after, server_time
from tasks.providers.openrouter.faults import (
    Failure,
    Verdict,
    error_of,
    failure_of_answer,
    failure_of_exception,
)
from tasks.rotation.errors import InvalidInput, RotatorError

LARGEST_ANSWER: Final = 4 * 1024 * 1024
"""Bytes. A page of 100 keys takes about 80 KiB; whatever is larger than this is not OpenRouter's."""

ANSWERED: Final = "answered"
"""The outcome of a call that brought what was asked for; else it is a ``Verdict``."""

Parsed = TypeVar("Parsed", bound=BaseModel)


def unobserved(call: str, outcome: str, seconds: float) -> None:
    """Tell nobody of a call."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of a call may take, in seconds.

    ``read_s`` and ``write_s`` bound one piece each, as httpx means them; ``total_s`` is looked at between the
    pieces of an answer's body, so that a trickle ends too.
    """

    connect_s: float = 5
    read_s: float = 10
    write_s: float = 5
    pool_s: float = 5
    total_s: float = 25


CALL_TIMEOUT: Final = timedelta(seconds=45)
"""The longest that one call takes with the default timeouts.

``total_s`` and one last ``read_s`` make 35 s; the rest is room for name resolution, which the system bounds, and
for a host with several dead addresses, each of which gets ``connect_s``. Only a peer that trickles its *headers*
could take longer: no httpx timeout ends that, and the lease's fence makes it harmless.
"""


class OpenRouterClient:
    """One pool of connections to OpenRouter, shared by the threads of a process. Build it after a fork.

    The key travels with each call and is no property of the client: one client serves every connection.

    Proxies: over https, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are
    honoured (httpx ``trust_env``), as operators behind a proxy expect; the proxy sees a tunnel and no key. Over
    http, which is loopback alone, the environment is ignored: a proxy there would be handed the key in the clear.

    Raises ``InvalidInput`` for a base URL that ``validated_base_url`` refuses or an environment that httpx refuses.
    """

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts | None = None,
        observe: Observe = unobserved,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._observe = observe
        self._http = _http_client(validated_base_url(base_url), transport, self._timeouts)

    def close(self) -> None:
        """Close every connection. A second call does nothing; a call to ``ask`` afterwards fails."""
        self._http.close()

    def ask(self, call: Call, key: Secret, *, accept: frozenset[int] = frozenset()) -> Answer:
        """The answer to a call: a 2xx, or an error of OpenRouter's own with a status in ``accept``.

        Raises the families of ``faults``. An accepted status counts only with OpenRouter's error body: the 404
        page of some other server must not pass for "that key is gone".
        """
        if not wire.is_sendable(key):
            raise error_of(Failure(Verdict.REJECTED, "it holds characters that no key has; nothing was sent"), call)
        began_at_s = time.monotonic()
        outcome = self._judged(call, key, accept)
        what = outcome.verdict.name.lower() if isinstance(outcome, Failure) else ANSWERED
        self._observe(call.purpose, what, time.monotonic() - began_at_s)
        if isinstance(outcome, Failure):
            raise error_of(outcome, call)
        return outcome

    def _judged(self, call: Call, key: Secret, accept: frozenset[int]) -> Answer | Failure:
        outcome = self._exchange(call, key)
        if isinstance(outcome, Failure) or outcome.is_success:
            return outcome
        foreign = wire.parsed(wire.ErrorBody, outcome.body) is None
        if outcome.status not in accept:
            return failure_of_answer(outcome, wire.quoted(outcome.body, without=key))
        if foreign:
            return _not_openrouter(outcome.status)
        return outcome

    def ask_for(self, shape: type[Parsed], call: Call, key: Secret) -> Parsed:
        """The answer to a call, parsed. Raises as ``ask`` does, also when the answer has another shape."""
        return read_as(shape, self.ask(call, key), call)

    def _exchange(self, call: Call, key: Secret) -> Answer | Failure:
        """Send and receive. Whatever goes wrong comes back as data, for its exception holds the bearer token."""
        deadline = time.monotonic() + self._timeouts.total_s
        try:
            request = self._http.build_request(
                call.method,
                call.path,
                params=dict(call.params) or None,
                json=None if call.body is None else dict(call.body),
                headers={"Authorization": f"Bearer {key.reveal()}"},
            )
            response = self._http.send(request, stream=True)
            try:
                return _received(response, deadline)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - httpx lets foreign errors through, and every frame here holds the key
            return failure_of_exception(type(error))


def read_as(shape: type[Parsed], answer: Answer, call: Call) -> Parsed:
    """A successful answer in its documented shape; a family of ``faults`` when it has another."""
    found = wire.parsed(shape, answer.body)
    if found is None:
        raise unreadable(answer, call)
    return found


def unreadable(answer: Answer, call: Call) -> RotatorError:
    """The error for an answer of success whose body is not the documented one."""
    detail = f"it answered {answer.status} with a body that is not the documented one"
    return error_of(Failure(Verdict.UNCERTAIN, detail, answer.status), call)


def _not_openrouter(status: int) -> Failure:
    return Failure(Verdict.UNCERTAIN, f"it answered {status}, but not in OpenRouter's words", status)


def _received(response: httpx.Response, deadline: float) -> Answer | Failure:
    """Read the body, no more of it than ``LARGEST_ANSWER`` and no longer than until ``deadline``.

    We ask for no compression: a small answer must not unfold into a large one.
    """
    if response.is_redirect:
        detail = f"it answered {response.status_code}, a redirect, which would take the key elsewhere"
        return Failure(Verdict.UNCERTAIN, detail, response.status_code)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return Failure(Verdict.UNCERTAIN, "it answered in a compression that was not asked for", response.status_code)
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > LARGEST_ANSWER:
            return Failure(Verdict.UNCERTAIN, "its answer is too large", response.status_code)
        if time.monotonic() > deadline:
            return Failure(Verdict.UNCERTAIN, "its answer took too long", response.status_code)
    return Answer(response.status_code, bytes(body), server_time(response.headers), retry_after(response.headers))


def _http_client(base_url: str, transport: httpx.BaseTransport | None, timeouts: Timeouts) -> httpx.Client:
    try:
        return httpx.Client(
            base_url=base_url,
            transport=transport,
            timeout=httpx.Timeout(
                connect=timeouts.connect_s, read=timeouts.read_s, write=timeouts.write_s, pool=timeouts.pool_s
            ),
            # Idle connections are dropped before the usual 60 s of a server: a POST on one that the server has
            # just closed would leave its outcome unknown.
            limits=httpx.Limits(max_connections=128, max_keepalive_connections=128, keepalive_expiry=20),
            follow_redirects=False,
            trust_env=base_url.startswith("https:"),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": _user_agent(), "Accept": "application/json", "Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL):
        pass
    raise InvalidInput(
        "environment",
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE or SSL_CERT_DIR has a value that cannot be used.",
        "Proxies are http:// or https:// URLs; the certificate settings name what exists.",
    )


def _user_agent() -> str:
    try:
        return f"openrouter-rotator/{version('openrouter-rotator')}"
    except PackageNotFoundError:
        return "openrouter-rotator"
