"""What a browser brings along, for tests that need no browser."""

from __future__ import annotations

import httpx
from starlette.requests import Request

from tests.web.served import PATIENCE_S, Served
from worker.web.access.sessions import CSRF_HEADER, csrf_of

COOKIE = "rotator_session"


def session_of(web: Served, token: str) -> str:
    """The cookie of a new session that began with this token."""
    holder = web.rotator.store.tokens.holder(token)
    assert holder is not None
    return web.rotator.store.sessions.start(holder, idle=web.settings.web_session_idle_s).reveal()


def csrf_for(cookie: str) -> str:
    """What the pages of this session carry in their forms."""
    headers = [(b"host", b"127.0.0.1"), (b"cookie", f"{COOKIE}={cookie}".encode())]
    return csrf_of(Request({"type": "http", "scheme": "http", "headers": headers}))


def browser(web: Served, cookie: str | None, *, csrf: str | None = None, origin: str | None = None) -> httpx.Client:
    """A client with a session's cookie. It sends forms as a page of the server does, unless told otherwise: an empty
    ``csrf`` or ``origin`` is not sent."""
    csrf = csrf_for(cookie) if csrf is None and cookie else csrf
    origin = web.url if origin is None else origin
    headers = {CSRF_HEADER: csrf or "", "Origin": origin}
    return web.clients.enter_context(
        httpx.Client(
            base_url=web.url,
            headers={name: value for name, value in headers.items() if value},
            cookies={COOKIE: cookie} if cookie else {},
            timeout=PATIENCE_S,
        )
    )
