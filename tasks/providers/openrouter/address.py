"""Which base URLs a management key may be sent to."""

from __future__ import annotations

import ipaddress
from typing import Final

import httpx

from tasks.rotation.errors import InvalidInput

_HIGHEST_PORT: Final = 65_535
_FIELD: Final = "OpenRouter base URL"
_EXAMPLE: Final = "Use https://openrouter.ai/api/v1, or http://127.0.0.1:PORT/api/v1 for the emulator."


def validated_base_url(url: str) -> str:
    """The URL without a trailing slash, once it is one that a management key may travel to.

    That is https anywhere, or http on loopback, where nobody listens in between; with no credentials, query
    or fragment. Raises ``InvalidInput``, whose message does not repeat the URL (it may hold a password).
    """
    parsed = _parsed(url)
    if parsed.scheme not in {"https", "http"} or not parsed.host:
        raise InvalidInput(_FIELD, "it is not an http(s) URL with a host.", _EXAMPLE)
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise InvalidInput(_FIELD, "http would show the management key to the network.", _EXAMPLE)
    if parsed.userinfo or parsed.query or parsed.fragment or "?" in url or "#" in url:
        raise InvalidInput(_FIELD, "it must not contain credentials, a query or a fragment.", _EXAMPLE)
    if parsed.port is not None and not 0 < parsed.port <= _HIGHEST_PORT:
        raise InvalidInput(_FIELD, "there is no such port.", _EXAMPLE)
    return str(parsed).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: ``localhost`` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        pass
    raise InvalidInput(_FIELD, "it cannot be read as a URL.", _EXAMPLE)
