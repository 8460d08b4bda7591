"""What the cloud vendors' clients send through ``requests``: bounded in time and size, nothing twice, nowhere else.

Their clients try again by themselves, wait in between, follow redirects, and read whatever comes. Below them stands
this adapter, which ends all of that in one place. Imports requests, which only those clients bring: import this file
inside ``needed``.
"""

from __future__ import annotations

import io
import logging
from time import monotonic
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, RequestException, SSLError
from urllib3 import HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

TIMEOUT_S: Final = 5.0
"""For connecting, and for each piece of an answer. One small value is moved."""
BUDGET_S: Final = 20.0
"""For everything that one call of ours sends, logging in included."""
LARGEST: Final = 1 << 20
"""Of an answer, in bytes; the vendors allow secrets of 64 KiB."""

_CHUNK: Final = 1 << 16
_FAILED_STATUS: Final = frozenset({408, 429, *range(500, 600)})


class Stopped(Exception):
    """Nothing usable came of a request. No ``RequestException``, so no client takes it for a reason to try again."""


class Unreached(Stopped):
    """No connection could be made."""


class Untrusted(Stopped):
    """The server's certificate is not trusted, or what it would be checked against cannot be read."""


class OutOfTime(Stopped):
    """The time for this call was up before the request was sent."""


class SentBefore(Stopped):
    """The same request failed a moment ago, and a client wanted to send it again."""


class Lost(Stopped):
    """The answer did not come, or broke off."""


class TooLarge(Stopped):
    """The answer was larger than any that belongs here."""


class Redirected(Stopped):
    """The answer points elsewhere; credentials are not taken there."""


class Bounded(HTTPAdapter):
    """Sends the requests of one call of ours, to whatever hosts it needs."""

    def __init__(self, budget_s: float = BUDGET_S) -> None:
        super().__init__(max_retries=0)
        self._ends_at_s = monotonic() + budget_s
        self._failed: set[tuple[str | None, str | None]] = set()

    @property
    def outage(self) -> bool:
        """Whether some server was not reached or failed. Not those asked without TLS: a machine outside of the
        vendor's cloud has no metadata service."""
        return any(url and url.startswith("https:") for _, url in self._failed)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """The whole answer, read; raises a kind of ``Stopped``."""
        key = (request.method, request.url)
        left_s = self._ends_at_s - monotonic()
        if left_s <= 0:
            raise OutOfTime
        if key in self._failed:
            raise SentBefore
        self._failed.add(key)
        timeout = _at_most(kwargs.get("timeout"), min(TIMEOUT_S, left_s))
        response = self._sent(request, *args, **{**kwargs, "stream": True, "timeout": timeout})
        if response.status_code not in _FAILED_STATUS:
            self._failed.discard(key)
        return response

    def _sent(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().send(request, *args, **kwargs)
            return self._whole(response)
        except (OSError, HTTPError) as error:  # requests' own are OSErrors
            stopped = _stopped(error)
        # Raised outside the handler: the foreign error holds the request, with its credential and the value.
        raise stopped

    def _whole(self, response: requests.Response) -> requests.Response:
        """Read it, here, where time and size are looked at after every piece."""
        content = bytearray()
        try:
            if response.is_redirect:
                raise Redirected
            while piece := response.raw.read1(_CHUNK, decode_content=True):
                content += piece
                if len(content) > LARGEST:
                    raise TooLarge
                if monotonic() > self._ends_at_s:
                    raise Lost
        except Stopped:
            response.close()
            raise
        response.raw.release_conn()
        response.raw = _read_already(response, bytes(content))
        return response


def bounded_session(adapter: Bounded) -> requests.Session:
    """A session that sends everything through ``adapter``."""
    session = requests.Session()
    bind(session, adapter)
    return session


def bind(session: requests.Session, adapter: Bounded) -> None:
    """Send everything of ``session`` through ``adapter``, with no credentials but those that the client sets."""
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _as_it_is  # otherwise requests looks into ~/.netrc, and overwrites the client's token


def hushed(*names: str, least: int = logging.WARNING) -> None:
    """Keep loggers from printing requests and answers: they would show headers, and values of secrets."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, least))


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _at_most(timeout: Any, limit_s: float) -> tuple[float, float]:  # whatever a client hands to requests
    connect_s, read_s = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return min(connect_s or limit_s, limit_s), min(read_s or limit_s, limit_s)


def _stopped(error: Exception) -> Stopped:
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Untrusted()
    if isinstance(error, OSError) and not isinstance(error, RequestException):
        return Untrusted()  # the file of certificates: requests gives its own errors to everything else
    return Unreached() if isinstance(error, ConnectTimeout) or _is_unsent(_reason(error)) else Lost()


def _reason(error: Exception) -> object:
    """What urllib3 gave up for, inside of what requests made of it."""
    return getattr(error.args[0], "reason", None) if error.args else None


def _is_unsent(reason: object) -> bool:
    """Whether there was no connection yet. Behind a proxy, urllib3 blames the proxy for whatever happens later, too."""
    if isinstance(reason, ProxyError):
        return _is_unsent(reason.original_error) or "Tunnel connection failed" in str(reason.original_error)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _read_already(response: requests.Response, content: bytes) -> HTTPResponse:
    """A body that is at hand, decoded, in the place of the one that stood on the connection."""
    dropped = ("content-encoding", "transfer-encoding", "content-length")
    for name in dropped:
        response.headers.pop(name, None)
    return HTTPResponse(
        body=io.BytesIO(content),
        headers=dict(response.headers),
        status=response.status_code,
        reason=response.reason,
        preload_content=False,
    )
