"""How answers of Vault come in: whole, within a size and a time, from the place that was asked and no other.

Imports the optional client, so it is itself imported on demand.
"""

from __future__ import annotations

import io
import time
from typing import Any, Final

import urllib3
from hvac import Client
from requests import PreparedRequest, Response, Session
from requests import exceptions as http
from requests.adapters import HTTPAdapter

from tasks.publishers._places.vault.faults import CALL_S, TIMEOUT_S, AnswerTooLong, Redirected
from tasks.publishers._places.vault.target import VaultOptions
from tasks.publishers._shared.authorities import authorities

LARGEST_BYTES: Final = 4 * 1024 * 1024
"""Vault itself takes no secret of more than 1 MiB (its ``max_entry_size``), which JSON may blow up."""

_PIECE_BYTES: Final = 65_536
_REDIRECTS: Final = range(300, 400)


class Transport(HTTPAdapter):
    """Bounds each answer, and all of them together. ``status`` and ``retry_after`` are those of the last."""

    def __init__(self) -> None:
        super().__init__()
        self._give_up_at = time.monotonic() + CALL_S
        self.status = 0
        self.retry_after = ""

    def extend(self, seconds: float) -> None:
        """Leave at least so much time from now on."""
        self._give_up_at = max(self._give_up_at, time.monotonic() + seconds)

    def send(self, request: PreparedRequest, *args: Any, **sending: Any) -> Response:
        """Send, and read the whole answer. Raises exceptions of ``requests``, and ours for what is none of Vault."""
        self.status, self.retry_after = 0, ""
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise http.ConnectTimeout  # nothing was sent
        limit = min(TIMEOUT_S, left)
        response = super().send(request, *args, **{**sending, "stream": True, "timeout": limit})
        self.status, self.retry_after = response.status_code, response.headers.get("Retry-After", "")
        try:
            body = self._whole(response.raw)
        finally:
            response.raw.release_conn()
        response.raw = io.BytesIO(body)
        if response.status_code in _REDIRECTS:
            raise Redirected
        return response

    def _whole(self, raw: urllib3.HTTPResponse) -> bytes:
        body = bytearray()
        try:
            while piece := raw.read1(_PIECE_BYTES, decode_content=False):
                body += piece
                if len(body) > LARGEST_BYTES:
                    raise AnswerTooLong
                if time.monotonic() > self._give_up_at:
                    raise http.ReadTimeout
        except (http.RequestException, urllib3.exceptions.HTTPError) as error:
            raw.close()
            if isinstance(error, http.RequestException):
                raise
            lost = http.ReadTimeout if isinstance(error, urllib3.exceptions.TimeoutError) else http.ConnectionError
            raise lost(error) from error
        return bytes(body)


def client_for(options: VaultOptions, transport: Transport, label: str) -> Client:
    """A client that takes nothing from its surroundings but, for https, the proxy: no token, certificate or address."""
    session = Session()
    session.trust_env = options.scheme == "https"  # over http a proxy would be handed the token in the clear
    session.auth = _as_it_is  # or the password of a .netrc would be sent along
    session.verify = authorities(label, options.ca_file) or True
    session.headers["Accept-Encoding"] = "identity"
    session.mount(options.address, transport)
    return Client(
        url=options.address,
        token="",
        verify=session.verify,
        timeout=int(TIMEOUT_S),
        session=session,
        allow_redirects=False,
        namespace=options.namespace or None,
    )


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    return request
