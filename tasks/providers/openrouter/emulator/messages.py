"""What travels between a client and the emulated account: a request, an answer, a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

JsonObject = dict[str, object]
"""One JSON object as Python holds it."""

BASE_PATH: Final = "/api/v1"
"""Where the API stands below the host, as at the real service."""


def below_base(path: str) -> str:
    """``path`` relative to ``BASE_PATH``; empty, which no call has, when it stands elsewhere."""
    return path.removeprefix(BASE_PATH) if path.startswith(f"{BASE_PATH}/") else ""


def bearer_of(authorization: str) -> str | None:
    """The token of an ``Authorization: Bearer`` header, None for any other."""
    scheme, _, token = authorization.partition(" ")
    return token if scheme.lower() == "bearer" and token else None


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it arrived; ``path`` is relative to ``BASE_PATH``. Bearer and body stay out of its repr."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    bearer: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as the account gives it, before any fault bends it. The body stays out of its repr."""

    status: int
    body: JsonObject = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        """The body as it goes over the wire."""
        return json.dumps(self.body).encode()


class ApiError(Exception):
    """The account refuses a call: ``status`` and ``message`` become the documented error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def answer(self) -> Answer:
        """The refusal as OpenRouter words one."""
        return error_answer(self.status, self.message)


def error_answer(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """``{"error": {"code", "message"}}`` under ``status``."""
    return Answer(status, {"error": {"code": status, "message": message}}, headers or {})
