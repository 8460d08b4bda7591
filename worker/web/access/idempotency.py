"""Is it the same request again? ``Idempotency-Key`` on every ``POST`` of both APIs.

A request with a key is claimed before it is served. The same request from the same token then gets the same answer;
while the first is still being served it is told to come back, and the key with any other request is refused. What
failed may be tried again with the same key.

Neither key nor request is stored, only digests keyed with the token's text, which is stored nowhere: a body may hold a
management key.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, assert_never

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from config.logging import get_logger
from config.redaction import redact
from tasks.rotation.errors import InvalidInput, RotatorError
from tasks.store.answers import Claim, Kept, Other, Running
from worker.web.access.caller import Caller
from worker.web.context import web_of
from worker.web.errors import Denied

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
_LONGEST: Final = 255
_RETRY_AFTER_S: Final = 2
log = get_logger(__name__)

Serve = Callable[[Request], Awaitable[Response]]


def request_id_of(request: Request) -> str | None:
    """What tells this request from every other, its repetition excepted: 64 characters for ``Operations.rotate`` and
    ``undo``, so that they act once even if the process dies before the answer is kept. None without a key."""
    found: str | None = getattr(request.state, "repeatable_id", None)
    return found


async def once(request: Request, caller: Caller, token: str, serve: Serve) -> Response:
    """Serve the request unless it was served before; ``token`` is the text that it came with. Raises ``Denied``."""
    key = _key_of(request)
    if key is None:
        return await serve(request)
    digest = partial(_digest, token)
    whole = (request.method.encode(), _target(request), await request.body())
    request.state.repeatable_id = digest(b"one", key.encode(), *whole).hex()
    answers = web_of(request).rotator.store.answers
    key_hash, request_hash = digest(b"key", key.encode()), digest(b"request", *whole)
    claim = await run_in_threadpool(answers.claim, caller.token.id, key_hash, request_hash)
    match claim:
        case Claim():
            return await _serve(request, claim, serve)
        case Kept():
            return Response(claim.body, claim.status, {REPLAYED: "true"}, "application/json")
        case Running():
            message = f"A request with this {HEADER} is being served; ask again for its answer."
            raise Denied(409, "Conflict", message, retry_after_s=_RETRY_AFTER_S)
        case Other():
            raise InvalidInput(HEADER, "it came with another request before", "Choose a new one for each request.")
        case _:
            assert_never(claim)


async def _serve(request: Request, claim: Claim, serve: Serve) -> Response:
    """Serve a claimed request. Where the server is stopped meanwhile the claim stays, and runs out by itself: what was
    begun may still be under way."""
    answers = web_of(request).rotator.store.answers
    try:
        response = await serve(request)
    except Exception:
        await _try(lambda: answers.release(claim))
        raise
    body = _body_of(response)
    if body is None or not 200 <= response.status_code < 300:  # noqa: PLR2004 - what went well
        await _try(lambda: answers.release(claim))
    else:
        await _try(lambda: answers.finish(claim, status=response.status_code, body=body))
    return response


async def _try(keep: Callable[[], None]) -> None:
    """What was done is done: that it cannot be noted is no reason to call it failed. The claim runs out by itself."""
    try:
        await run_in_threadpool(keep)
    except RotatorError as error:
        log.warning("answer_not_kept", reason=str(error))


def _key_of(request: Request) -> str | None:
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= _LONGEST or not (keys[0].isascii() and keys[0].isprintable()):
        problem = f"it must be one, of 1 to {_LONGEST} printable ASCII characters"
        raise InvalidInput(HEADER, problem, "A random UUID is a good one.")
    return keys[0]


def _target(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return path + b"?" + query


def _digest(token: str, use: bytes, *parts: bytes) -> bytes:
    """A digest of its own for each ``use``, of no use to who does not know the token."""
    made = hmac.new(token.encode(), b"rotator/once/" + use, "sha256")
    for part in parts:
        made.update(b"\n%d:" % len(part) + part)
    return made.digest()


def _body_of(response: Response) -> str | None:
    """The body to keep; None for one that comes in pieces, or that looks as if it held a key: no answer to a POST does,
    and none is written down by mistake."""
    body = getattr(response, "body", None)
    if not isinstance(body, bytes):
        return None
    text = body.decode()
    return text if redact(text) == text else None
