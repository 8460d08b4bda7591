"""Sessions of the console: a browser that signed in with a token carries a cookie instead.

For pages and their forms:

- ``sign_in(request, token)``, for the route that takes the sign-in form (``Proof.NONE`` in the table), begins a session
  or raises ``Denied`` with a message for the form; ``signed_in.keep(response)`` gives its cookie to the browser.
- ``sign_out(request, response)`` ends it.
- ``caller_of(request)`` tells who asks on routes of ``Proof.SESSION``, as on those of the APIs.
- ``csrf_of(request)`` is what each form sends as its field ``csrf``, or a script as the header ``X-CSRF-Token``.
- A page that asks again by itself adds ``?poll=1`` to the address: then the session's idle time goes on.
- ``local_path(text)`` is where to go after signing in: the ``next`` that ``/sign-in`` is given, if it is ours.

All of it is ordinary blocking code that asks the database: call it from routes that are ``def``.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from config.secret import Secret
from tasks.store.sessions import LONGEST
from tasks.store.tokens import Role
from worker.web.access.caller import Caller, address_of
from worker.web.access.hosts import is_loopback, name_in
from worker.web.context import web_of
from worker.web.errors import Denied, answer

SIGN_IN: Final = "/sign-in"
"""Where a browser without a session is sent."""
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
_POLL: Final = "poll"
_COOKIE: Final = "rotator_session"
_CSRF_USE: Final = b"rotator/csrf"


class SignInNeeded(Exception):
    """The browser has no session: it is sent to sign in, and from there back to where it wanted to go."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has just begun."""

    caller: Caller
    cookie: Secret
    name: str
    secure: bool

    def keep(self, response: Response) -> None:
        """Give the cookie to the browser: scripts cannot read it, other sites cannot send it."""
        response.set_cookie(
            self.name,
            self.cookie.reveal(),
            max_age=int(LONGEST.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )


def sign_in(request: Request, token: str) -> SignedIn:
    """Begin a session with a token, in place of the one that the browser may have had: a cookie that somebody planted
    is worth nothing afterwards. Raises ``Denied`` when the request came from another site, the token opens nothing, or
    is a consumer's, which is for applications."""
    require_same_origin(request)
    web, address = web_of(request), address_of(request)
    found = web.rotator.store.tokens.holder(token.strip())
    if found is None:
        raise web.limits.refuse(address)
    caller = Caller(found)
    if found.role is Role.CONSUMER:
        raise Denied(403, "PermissionDenied", "A consumer's token is for applications; it cannot sign in here.")
    idle = web.settings.web_session_idle_s
    cookie = web.rotator.store.sessions.start(found, idle=idle, instead_of=_cookie_in(request), address=address)
    return SignedIn(caller, cookie, _cookie_name(request), _is_secure(request))


def sign_out(request: Request, response: Response) -> None:
    """End the browser's session, and take its cookie back. Without one nothing happens."""
    if cookie := _cookie_in(request):
        web_of(request).rotator.store.sessions.end(cookie, address=address_of(request))
    name, secure = _cookie_name(request), _is_secure(request)
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")


def session_caller(request: Request) -> Caller:
    """Who signed in. Raises ``SignInNeeded``."""
    cookie = _cookie_in(request)
    web = web_of(request)
    touch = request.query_params.get(_POLL) != "1"
    idle = web.settings.web_session_idle_s
    token = web.rotator.store.sessions.holder(cookie, idle=idle, touch=touch) if cookie else None
    if token is None:
        raise SignInNeeded
    return Caller(token)


def csrf_of(request: Request) -> str:
    """What a form of this session sends along, to show that it is one of ours. Empty without a session."""
    cookie = _cookie_in(request)
    return hmac.digest(cookie.encode(), _CSRF_USE, "sha256").hex() if cookie else ""


def is_csrf(request: Request, sent: str) -> bool:
    """Whether this is what ``csrf_of`` gave; compared in constant time."""
    expected = csrf_of(request)
    return bool(expected) and hmac.compare_digest(expected.encode(), sent.encode("utf-8", "replace"))


def require_same_origin(request: Request) -> None:
    """Raise ``Denied`` unless the browser says that a page of this server sent the request."""
    site = request.headers.get("sec-fetch-site")
    host = request.headers.get("host", "")
    if site is not None:
        same = site == "same-origin"
    else:
        same = bool(host) and _host_of(request.headers.get("origin", "")) == host.lower()
    if not same:
        raise Denied(403, "PermissionDenied", "This came from another site: open the page here and try again.")


def local_path(text: str) -> str:
    """``text`` if it is a path on this server, else ``/``: nobody is sent elsewhere after signing in."""
    local = text.startswith("/") and not text.startswith("//") and text.isascii() and text.isprintable()
    return text if local and "\\" not in text and not text.startswith(SIGN_IN) else "/"


async def sign_in_needed(request: Request, _error: Exception) -> Response:
    """Send the browser to the sign-in page; a script of the page, in a form that makes it leave the page."""
    if request.headers.get("hx-request") == "true":
        wanted = urlsplit(request.headers.get("hx-current-url", "")).path
        said = "The session is over: sign in again."
        return answer(request, HTTPStatus.FORBIDDEN, said, headers={"HX-Redirect": _sign_in_then(wanted)})
    wanted = _target(request) if request.method in {"GET", "HEAD"} else "/"
    return RedirectResponse(_sign_in_then(wanted), HTTPStatus.SEE_OTHER)


def _sign_in_then(wanted: str) -> str:
    path = local_path(wanted)
    return SIGN_IN if path == "/" else f"{SIGN_IN}?next={quote(path, safe='/')}"


def _target(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or b"/"
    query: bytes = request.scope.get("query_string", b"")
    return (raw + b"?" + query if query else raw).decode("ascii", "replace")


def _host_of(origin: str) -> str:
    """Host and port of an origin; empty when it is none (`null`, or no http)."""
    scheme, found, rest = origin.partition("://")
    return rest.lower() if found and scheme in {"http", "https"} else ""


def _cookie_in(request: Request) -> str:
    return request.cookies.get(_cookie_name(request), "")


def _cookie_name(request: Request) -> str:
    """Browsers take the prefixed name from this very host alone, over TLS: no neighbour can plant it."""
    return f"__Host-{_COOKIE}" if _is_secure(request) else _COOKIE


def _is_secure(request: Request) -> bool:
    """Whether the cookie needs TLS: always, but for a browser on this machine that came without."""
    return request.scope["scheme"] == "https" or not is_loopback(name_in(request.headers.get("host", "")))
