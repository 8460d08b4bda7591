"""Is an answer as the OpenAPI document declares it? Asked of every answer that a test of the API gets."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from tests.web.served import PATIENCE_S, Served

_BELOW_API = "/api/"
_TOLD: list[Declared] = []


def checked(web: Served, client: httpx.Client) -> httpx.Client:
    """The client, each of whose answers must be as declared from now on, and hold no key unless it is asked for one."""
    declared = _told_by(web.url)

    def check(answer: httpx.Response) -> None:
        answer.read()
        declared.check(answer)
        assert web.canary not in answer.text or answer.url.path.endswith("/secret")

    client.event_hooks["response"].append(check)
    return client


def _told_by(url: str) -> Declared:
    """What a server says of itself: the same as every other, so the first one is asked."""
    if not _TOLD:
        _TOLD.append(Declared(httpx.get(f"{url}/openapi.json", timeout=PATIENCE_S).json()))
    return _TOLD[0]


class Declared:
    """What the server says of itself."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        paths = self._document["paths"]
        self._patterns = {p: re.compile(re.sub(r"\{[^}]+\}", "[^/]+", p)) for p in paths if p.startswith(_BELOW_API)}

    def check(self, answer: httpx.Response) -> None:
        """Raise ``AssertionError`` unless status, kind of content and content are declared."""
        if not answer.request.url.path.startswith(_BELOW_API):
            return
        declared = self._operation(answer.request)["responses"].get(str(answer.status_code))
        assert declared is not None, (
            f"{answer.request.method} {answer.request.url}: {answer.status_code} is not declared"
        )
        if not answer.content:
            assert "content" not in declared
            return
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in declared["content"], f"{answer.request.url}: {kind}"
        if kind == "application/json":
            _validator(self, declared["content"][kind]["schema"]["$ref"]).validate(answer.json())

    def _operation(self, request: httpx.Request) -> dict[str, Any]:
        found = [p for p, pattern in self._patterns.items() if pattern.fullmatch(request.url.path)]
        path = min(found, key=lambda p: p.count("{"))
        operation: dict[str, Any] = self._document["paths"][path][request.method.lower()]
        return operation

    @property
    def document(self) -> dict[str, Any]:
        """All of it."""
        return self._document


@cache
def _validator(declared: Declared, reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": declared.document["components"]})
