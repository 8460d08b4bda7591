"""Places that are asked over HTTP: one question, one bounded answer, every failure as one of our families.

Nothing is retried, logged or remembered, and no redirect is followed: it would take the credential elsewhere.

Over https the environment's proxies and certificates count (``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``, ``SSL_CERT_DIR``), as whoever sets them expects, and as they do for OpenRouter: a proxy sees no more
than a tunnel. Over http, which is loopback alone, they do not: a proxy would be handed the credential in the clear.

Whoever is ``connected`` is done after ``PATIENCE_S`` and two more phases of ``TIMEOUT_S``, which is less than the lease
allows, unless a peer trickles its *headers*: no timeout of httpx ends that, and the lease's fence makes it harmless.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from tasks.publishers._places.http.faults import TIMEOUT_S, Answer, Call, Fault, failed, fault_of, refused
from tasks.rotation.errors import CredentialRejected, OperatorNeeded

__all__ = ["Answer", "Call", "Http", "connected", "web_address"]

PATIENCE_S: Final = 15.0
"""For all questions to one place together, from when it is ``connected``."""
LARGEST_ANSWER: Final = 256 * 1024
"""Bytes."""

_NAME: Final = re.compile(r"[a-z0-9._-]+")
_SUCCESS: Final = range(200, 300)
_SHORTEST_TIMEOUT_S: Final = 1.0

Shape = TypeVar("Shape", bound=BaseModel)


def web_address(text: str) -> str:
    """The URL, in its normal form and without a slash at its end, once it is one that a credential may travel to.

    That is https anywhere, or http on loopback, where nobody listens in between. Raises ``ValueError``, which does not
    repeat it.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    host = url.raw_host.decode("ascii")
    if url.scheme not in {"https", "http"} or not (_NAME.fullmatch(host) or _is_address(host)):
        raise ValueError("it must be an https:// URL with a host")
    if url.scheme == "http" and not _is_loopback(host):
        raise ValueError("http would show the credential to the network; it must be https://")
    if url.userinfo or url.fragment or url.port == 0:
        raise ValueError("its URL must hold no user, no password and no fragment")
    return str(url).rstrip("/")


@contextmanager
def connected(label: str, url: str, *, transport: httpx.BaseTransport | None = None) -> Iterator[Http]:
    """Whoever answers at ``url``, for the questions of one call: nothing is shared between calls or processes."""
    with _client(label, url, transport) as client:
        yield Http(label, client)


class Http:
    """One place's server, for a short while."""

    def __init__(self, label: str, client: httpx.Client) -> None:
        self._label = label
        self._client = client
        self._deadline_s = time.monotonic() + PATIENCE_S

    def ask(self, call: Call) -> Answer:
        """The answer to a call: a 2xx, or a status that it accepts. Raises the families of ``faults``."""
        self._refuse_unsendable(call)
        outcome = self._exchanged(call)
        if isinstance(outcome, Fault):
            raise failed(outcome, self._label, call)
        if outcome.status not in _SUCCESS and outcome.status not in call.accept:
            raise refused(outcome, self._label, call)
        return outcome

    def read_as(self, shape: type[Shape], answer: Answer, call: Call) -> Shape:
        """The body of an answer in its documented shape. Raises ``Unavailable``, after a change ``OutcomeUnknown``."""
        try:
            return shape.model_validate_json(answer.body)
        except ValidationError:
            pass
        # Raised outside the handler: the foreign error holds the body.
        raise failed(Fault(f"its answer ({answer.status}) is not the documented one"), self._label, call)

    def _refuse_unsendable(self, call: Call) -> None:
        if not all(text.isascii() and text.isprintable() for text in call.headers.values()):
            raise CredentialRejected(
                f"{self._label}: the credential holds characters that no request can carry; nothing was sent.",
                "Correct the credential.",
            )

    def _exchanged(self, call: Call) -> Answer | Fault:
        """Send and receive. What goes wrong comes back as data, for its exception holds the request."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            return Fault(f"its answers took longer than {PATIENCE_S:g} s", may_have_arrived=False)
        timeout = max(_SHORTEST_TIMEOUT_S, min(TIMEOUT_S, left_s))
        try:
            request = self._client.build_request(
                call.method, call.url, headers=dict(call.headers), content=call.body, timeout=timeout
            )
            response = self._client.send(request, stream=True)
            try:
                return self._received(response)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - httpx lets foreign errors through, and every frame here holds the credential
            return fault_of(error)

    def _received(self, response: httpx.Response) -> Answer | Fault:
        """The body; none of one in a compression, which we did not ask for: small ones can unfold into large ones."""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return Answer(response.status_code, response.headers, b"")
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > LARGEST_ANSWER:
                return Fault(f"its answer is larger than {LARGEST_ANSWER // 1024} KiB")
            if time.monotonic() > self._deadline_s:
                return Fault(f"its answers took longer than {PATIENCE_S:g} s")
        return Answer(response.status_code, response.headers, bytes(body))


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _client(label: str, url: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    secure = url.startswith("https:")
    try:
        return httpx.Client(
            transport=transport,
            follow_redirects=False,
            trust_env=secure,
            # Where nothing is encrypted no authority is trusted: reading all of theirs would be most of the work.
            verify=True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            headers={"User-Agent": "openrouter-rotator", "Accept": "application/json", "Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL):
        pass
    # Raised outside the handler: the foreign message may repeat a proxy's password.
    raise OperatorNeeded(
        f"{label}: HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE or SSL_CERT_DIR has a value that cannot be used;"
        " nothing was changed.",
        "Proxies are http:// or https:// URLs; the certificate settings name what exists.",
    )
