"""A rotation's current key, for the application that uses it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.secret import Secret
from tasks.rotation.errors import Broken, NotFound
from tasks.store.current_keys import Standing
from worker.plain import iso
from worker.web.access.gate import admit, caller_of
from worker.web.access.table import CONSUME
from worker.web.api.answers import KeyInService
from worker.web.api.parts import Called, own_router
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of, web_of
from worker.web.errors import Denied
from worker.web.openapi import failing

router = own_router("secret")
WAIT_MOST_S: Final = 60
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
"""Means the same without quotes to every reader of dotenv files."""


class Format(StrEnum):
    """How the key is written."""

    JSON = "json"
    """With its version, and the variable that it belongs into."""
    TEXT = "text"
    """The key alone."""
    DOTENV = "dotenv"
    """``NAME=key``, as a dotenv file has it."""


Wait = Annotated[
    int,
    Query(ge=0, le=WAIT_MOST_S, description="Seconds to wait for another version than `If-None-Match` names."),
]
_TAG: Final = {"ETag": {"description": "Names this key; send it as `If-None-Match`.", "schema": {"type": "string"}}}
_PLAIN: Final = {"schema": {"type": "string"}}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The key in service.",
        "model": shape_of(KeyInService),
        "headers": _TAG,
        "content": {"text/plain": _PLAIN},
    },
    304: {"description": "The key that `If-None-Match` names is still in service.", "headers": _TAG},
    **failing(404, 422, 429, 503),
}


@router.get("/rotations/{name}/secret", responses=_ANSWERS, response_class=Response)
async def read_secret(request: Request, name: Called, wait: Wait = 0, format: Format = Format.JSON) -> Response:
    """The current key, and an event that says so. With `If-None-Match` only when it is another than that; with `wait`
    as soon as it is, which lets an application follow each rotation at once."""
    standing = await run_in_threadpool(_allowed, request, name)
    if wait and not _is_news(request, standing) and await _changed(request, standing, wait):
        await admit(request, CONSUME)  # the token may have ended while the request waited
        standing = await run_in_threadpool(_allowed, request, name)
    if standing.version is not None and not _is_news(request, standing):
        return Response(status_code=304, headers=_headers(standing))
    return _written(*await run_in_threadpool(operations_of(request).read_key, standing.rotation_id), format)


def _allowed(request: Request, name: str) -> Standing:
    """What the rotation has in service. A consumer learns nothing of other rotations, not even whether they are."""
    caller, standing = caller_of(request), operations_of(request).standing(name)
    if not caller.may_read_key_of("" if standing is None else standing.rotation_id):
        raise Denied(403, "PermissionDenied", "This token may not read the key of a rotation of this name.")
    if standing is None:
        raise NotFound(f"There is no rotation {name}.", "`rotator rotation list` shows them.")
    return standing


async def _changed(request: Request, standing: Standing, wait_s: int) -> bool:
    """Whether something else came into service; who hangs up meanwhile is forgotten at once."""
    news = web_of(request).news.of(standing, who=caller_of(request).token.id, within_s=wait_s)
    waiting, leaving = asyncio.ensure_future(news), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done() and waiting.result()
    finally:
        waiting.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _is_news(request: Request, standing: Standing) -> bool:
    """Whether there is a key that the caller does not hold."""
    held = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    return standing.version is not None and not held & {"*", _tag(standing)}


def _tag(standing: Standing) -> str:
    """Names the version, and what is told beside it."""
    facts = f"{standing.rotation_id} {standing.rotation} {standing.secret_name} {standing.active_since}"
    return f'"{standing.version}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"'


def _headers(standing: Standing) -> dict[str, str]:
    return {"ETag": _tag(standing), "Cache-Control": "no-store"}


def _written(standing: Standing, key: Secret, format_: Format) -> Response:
    """The one answer with a key in it."""
    headers, text = _headers(standing), key.reveal()
    match format_:
        case Format.JSON:
            facts = {
                "rotation": standing.rotation,
                "version": standing.version,
                "secret_name": standing.secret_name,
                "value": text,
                "active_since": None if standing.active_since is None else iso(standing.active_since),
            }
            return JSONResponse(facts, headers=headers)
        case Format.TEXT:
            return PlainTextResponse(text, headers=headers)
        case Format.DOTENV:
            return PlainTextResponse(f"{standing.secret_name}={_unquoted(text)}\n", headers=headers)


def _unquoted(text: str) -> str:
    if not _PLAIN_VALUE.fullmatch(text):
        raise Broken("The key has characters that need quotes, which not every reader takes.", "Use format=json.")
    return text
