"""The OpenAPI document: what FastAPI knows of the routes, and what holds for all of them.

A route declares its good answers, and failures that are its own. How every route may fail stands here, once: each
failure has the form ``Failure``, and a route that the table gives to somebody asks for a bearer token.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from worker.web.access.table import ROUTES, Proof

Plain = dict[str, Any]
"""A piece of the document: JSON."""

_ABOUT: Final = """\
Rotates OpenRouter API keys. Two APIs share one server: under `/api/v1` and `/api/v2` the routes of Infisical's app
connections and secret rotations, so that scripts written for it work here; under `/api/rotator/v1` our own.

Send a token as `Authorization: Bearer TOKEN`; `rotator token create` makes one, and its role says what it may do.

Every failure has the same form. `message` says what failed, `remedy` what to do, `reqId` finds the request in the
server's log. No answer repeats a credential that it was given.
"""
_METHODS: Final = ("get", "put", "post", "delete", "patch")
_CHANGING: Final = ("put", "post", "delete", "patch")
_OURS: Final = "/api/rotator/"
_WORDS: Final = {
    400: "It is refused as things are: what it names clashes, or is in use.",
    403: "No valid token, or its role may not do this.",
    404: "What the address names does not exist.",
    409: "It clashes with what there is, or with what happens now.",
    413: "The body is too large.",
    422: "Something in the request is wrong; `message` lists each field and why.",
    429: "Too many requests; `Retry-After` says how many seconds to wait.",
    500: "A fault of the server; its log has it under `reqId`.",
    503: "OpenRouter, the database or the broker cannot be asked now; `Retry-After` says when to try again.",
}
_WITH_PAUSE: Final = (429, 503)
_REPEATABLE: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
    "description": "A text of the caller's choice, for one request: sent again with the same request within a week, it "
    "gets the same answer (`Idempotency-Replayed: true`), and nothing is done twice.",
}


class Issue(BaseModel):
    """What is wrong with one field."""

    code: str = Field(description="A short word for the kind of mistake.")
    path: list[str] = Field(description="Where the field stands: its name, or the names that lead to it.")
    message: str = Field(description="What is wrong, without repeating what was sent.")


class Failure(BaseModel):
    """How every failure is told."""

    model_config = ConfigDict(alias_generator=to_camel)

    req_id: str = Field(description="This request's name in the server's log.")
    status_code: int = Field(description="The status, once more.")
    message: str | list[Issue] = Field(description="What failed; for a request that is wrong (422) each of its fields.")
    error: str = Field(description="The kind of failure, as one word.")
    remedy: str | None = Field(default=None, description="What to do about it.")
    family: str | None = Field(default=None, description="What happens next, as `rotator` sorts its errors.")


def failing(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` for a route with failures of its own, in words that fit everywhere."""
    return {status: {"description": _words(status), "model": Failure} for status in statuses}


def document_of(app: FastAPI) -> Plain:
    """The whole document."""
    document = app.openapi()
    document["info"]["description"] = _ABOUT
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update(_schemas())
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "rtk_..."}}
    for path, method, operation in _operations(document):
        _complete(path, method, operation)
    for theirs in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(theirs, None)
    return document


def _operations(document: Plain) -> Iterator[tuple[str, str, Plain]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _complete(path: str, method: str, operation: Plain) -> None:
    known = ROUTES[operation["operationId"]].proof is not Proof.NONE
    if known:
        operation["security"] = [{"token": []}]
    if known and method == "post":
        operation.setdefault("parameters", []).append(_REPEATABLE)
    answers = operation["responses"]
    if _is_theirs(answers.get("422", {})):
        del answers["422"]
    for status in _usual(path, method, operation, known=known):
        answers.setdefault(str(status), {"description": _words(status)})
    for status, answer in answers.items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            _as_failure(int(status), answer)
    operation["responses"] = dict(sorted(answers.items()))


def _is_theirs(answer: Plain) -> bool:
    return "HTTPValidationError" in str(answer.get("content", ""))


def _usual(path: str, method: str, operation: Plain, *, known: bool) -> Iterator[int]:
    """How this operation may fail, besides what it says itself."""
    yield from (429, 500)
    if known:
        yield from (403, 503)
    if known and method in _CHANGING:
        yield 409 if path.startswith(_OURS) else 400
    if known and method == "post":
        yield 409
    if "{" in path:
        yield 404
    if operation.get("parameters") or "requestBody" in operation:
        yield 422
    if method in _CHANGING:
        yield 413


def _as_failure(status: int, answer: Plain) -> None:
    failure = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    if answer.setdefault("content", failure) == failure and status in _WITH_PAUSE:
        pause = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        answer.setdefault("headers", {"Retry-After": pause})


def _words(status: int) -> str:
    return _WORDS.get(status, HTTPStatus(status).phrase)


def _schemas() -> Plain:
    made = Failure.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**made.pop("$defs"), "Failure": made}
