"""The names that a request may call this server by.

A page from elsewhere can make its own name mean this machine (DNS rebinding) and then read what is open to everybody
here. It cannot make the browser say another name than its own, so requests to names that are not ours are refused. An
address is no name, and cannot be rebound.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from config.settings import Settings
from worker.web.errors import answer

_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain"})
_NO_TEXT: Final = {"code": "custom", "path": ["query"], "message": "It holds a control character, or no text at all."}
_NOT_OURS: Final = (
    "This server does not go by the name in the request's Host header. If it should, add the name to ROTATOR_WEB_HOSTS."
)


def name_in(host: str) -> str:
    """The name or address in a ``Host`` header, without port and brackets, in lower case."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def is_loopback(name: str) -> bool:
    """Whether a name means the machine that it is said on."""
    return name in _LOOPBACK_NAMES or name.endswith(".localhost") or _is_address(name, loopback=True)


def is_ours(name: str, ours: frozenset[str]) -> bool:
    """Whether a request may say this name: one of ``ours``, this machine's, or an address."""
    return name in ours or is_loopback(name) or _is_address(name)


def _is_address(name: str, *, loopback: bool = False) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not loopback


class OnlyOurs:
    """Refuses requests to other names than ours, and to addresses that hold what no address of ours has."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse what it asks for."""
        if scope["type"] == "http" and (refusal := self._refusal(Request(scope))) is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        name = name_in(request.headers.get("host", ""))
        if not is_ours(name, self._names):
            return answer(request, HTTPStatus.MISDIRECTED_REQUEST, _NOT_OURS, error="MisdirectedRequest")
        if not _is_text(request.scope["path"]):
            return answer(request, HTTPStatus.NOT_FOUND, "There is no such address.")
        if not all(_is_text(part) for pair in request.query_params.multi_items() for part in pair):
            return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, [_NO_TEXT])
        return None


def names_of(settings: Settings) -> frozenset[str]:
    """The names that an operator gave this server."""
    return frozenset({*settings.web_hosts.split(","), settings.web_address.lower()}) - {""}


def _is_text(text: str) -> bool:
    """Whether it holds neither control characters nor halves of characters: no database stores those as text."""
    return not any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text)
