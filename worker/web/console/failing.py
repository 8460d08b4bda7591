"""A failure as a page: not found, not allowed, too often, or a fault of ours."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from worker.web.console.rendering import page

_TITLES = {
    403: "This is not yours to do",
    404: "There is nothing here",
    405: "That cannot be done here",
    409: "It clashes with what is there",
    413: "That is too much",
    422: "Something in it is wrong",
    429: "Too often",
    500: "Something went wrong here",
    503: "Not now",
}


def failed_page(
    request: Request, status: int, message: str, remedy: str, headers: Mapping[str, str] | None
) -> Response:
    """The page for an error; nothing of the request is on it."""
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    made = page(
        request,
        "failed.html",
        title=title,
        status=status,
        code=status,
        message=message,
        remedy=remedy,
        request_id=getattr(request.state, "request_id", ""),
    )
    made.headers.update(headers or {})
    return made
