"""Whatever the emulator is asked, it answers as documented, keeps its account in order, and never falls over.

What is documented is taken from OpenRouter's own Python SDK: each successful answer must parse into the model that the
SDK has for that call. What may be asked is taken from the emulator's table of routes, so a new route is met here.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openrouter import components, operations

from tasks.providers.openrouter.emulator import (
    Account,
    Answer,
    Request,
    bodies,
)
from tasks.providers.openrouter.emulator.routes import ROUTES
from tests.property.effort import effort
from tests.property.junk import junk

MANAGEMENT_KEY: Final = f"emulator-{secrets.token_hex(8)}"
CANARY: Final = f"canary{secrets.token_hex(6)}"
NOW: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
DOCUMENTED_REFUSALS: Final = {400, 401, 402, 403, 404, 409, 413, 429, 500}
NOT_IN_THE_DOCUMENTS: Final = {405}
"""The emulator says so of a method that a known path does not have."""

MODELS: Final[dict[tuple[str, str], Any]] = {
    ("GET", "/key"): operations.GetCurrentKeyResponse,
    ("GET", "/keys"): operations.ListResponse,
    ("POST", "/keys"): operations.CreateKeysResponse,
    ("GET", "/keys/([^/]+)"): operations.GetKeyResponse,
    ("PATCH", "/keys/([^/]+)"): operations.UpdateKeysResponse,
    ("DELETE", "/keys/([^/]+)"): operations.DeleteKeysResponse,
    ("GET", "/credits"): operations.GetCreditsResponse,
    ("GET", "/workspaces"): components.ListWorkspacesResponse,
    ("POST", "/workspaces"): components.CreateWorkspaceResponse,
    ("GET", "/guardrails"): components.ListGuardrailsResponse,
    ("POST", "/guardrails"): components.CreateGuardrailResponse,
    ("GET", "/guardrails/([^/]+)"): components.GetGuardrailResponse,
    ("PATCH", "/guardrails/([^/]+)"): components.UpdateGuardrailResponse,
    ("DELETE", "/guardrails/([^/]+)"): components.DeleteGuardrailResponse,
    ("GET", "/guardrails/assignments/keys"): components.ListKeyAssignmentsResponse,
    ("GET", "/guardrails/([^/]+)/assignments/keys"): components.ListKeyAssignmentsResponse,
    ("POST", "/guardrails/([^/]+)/assignments/keys"): components.BulkAssignKeysResponse,
    ("POST", "/guardrails/([^/]+)/assignments/keys/remove"): components.BulkUnassignKeysResponse,
    ("GET", "/byok"): components.ListBYOKKeysResponse,
    ("POST", "/byok"): components.CreateBYOKKeyResponse,
    ("GET", "/byok/([^/]+)"): components.GetBYOKKeyResponse,
    ("PATCH", "/byok/([^/]+)"): components.UpdateBYOKKeyResponse,
    ("DELETE", "/byok/([^/]+)"): components.DeleteBYOKKeyResponse,
    ("GET", "/observability/destinations"): components.ListObservabilityDestinationsResponse,
    ("POST", "/observability/destinations"): components.CreateObservabilityDestinationResponse,
    ("GET", "/observability/destinations/([^/]+)"): components.GetObservabilityDestinationResponse,
    ("PATCH", "/observability/destinations/([^/]+)"): components.UpdateObservabilityDestinationResponse,
    ("DELETE", "/observability/destinations/([^/]+)"): components.DeleteObservabilityDestinationResponse,
    ("POST", "/chat/completions"): components.ChatResult,
}
CALLS: Final = tuple((route.method, route.pattern.pattern) for route in ROUTES)


def test_every_route_has_a_documented_answer() -> None:
    assert set(CALLS) == set(MODELS)


# --- requests --------------------------------------------------------------------------------------------------------

SHAPES: Final = [shape for shape in vars(bodies).values() if isinstance(shape, type) and issubclass(shape, bodies.Body)]
FIELDS: Final = sorted({name for shape in SHAPES for name in shape.model_fields})

_likely: Final[dict[str, list[object]]] = {
    "name": ["n", "k #1-0123456789ab"],
    "slug": ["one", "two", "default"],
    "provider": ["openai"],
    "key": ["a-provider-key-of-some-length"],
    "type": ["webhook"],
    "config": [{"url": "https://traces.example"}],
    "messages": [[{"role": "user", "content": "hi"}]],
    "limit": [5.0, 0, 1e308, None],
    "limit_usd": [5.0, 0.0, 1e308, None],
    "emulator_cost_usd": [0.001, 1e308, 5.0],
    "limit_reset": ["daily", "weekly", "monthly", None],
    "reset_interval": ["daily", "weekly", "monthly", None],
    "disabled": [True, False],
    "expires_at": ["2026-11-01T12:00:01Z", "2026-10-01T12:00:00Z", "2040-01-01T00:00:00.5Z", "9999-12-31T23:59:59Z"],
}
_NEEDED: Final = {
    "/keys": ("name",),
    "/workspaces": ("name", "slug"),
    "/guardrails": ("name",),
    "/byok": ("key", "provider"),
    "/observability/destinations": ("name", "type", "config"),
    "/chat/completions": ("messages",),
    "/guardrails/([^/]+)/assignments/keys": ("key_hashes",),
    "/guardrails/([^/]+)/assignments/keys/remove": ("key_hashes",),
}


class Talk:
    """Requests to one account, with names for what came of earlier ones."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._clock = NOW
        self.account = Account(clock=lambda: self._clock, canary=CANARY)
        self.keys: dict[str, str] = {}
        """Texts by hash."""
        self.ids: list[str] = ["00000000-0000-4000-8000-000000000000", "", "..", "%2e", "a b", "x" * 300]

    def once(self) -> None:
        """Ask one thing, likely or not, and check the answer."""
        self._clock += self._data.draw(st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(days=40)]))
        method, pattern = self._data.draw(st.sampled_from(CALLS))
        request = Request(method, self._path(pattern), self._query(), self._bearer(), self._body(pattern))
        self._check(request, (method, pattern), self.account.handle(request))

    def _path(self, pattern: str) -> str:
        while "([^/]+)" in pattern:
            subject = self._data.draw(st.sampled_from([*self.ids, *self.keys]))
            pattern = pattern.replace("([^/]+)", subject, 1)
        return pattern

    def _query(self) -> dict[str, str]:
        names = ["offset", "limit", "include_disabled", "include_expired", "workspace_id", "provider"]
        values = ["0", "1", "100", "101", "-1", "x", "", "true", "٣", "9" * 30, *self.ids]
        return self._data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from(values), max_size=3))

    def _bearer(self) -> str | None:
        return self._data.draw(st.sampled_from([MANAGEMENT_KEY, MANAGEMENT_KEY, None, "emulatr", *self.keys.values()]))

    def _body(self, pattern: str) -> bytes:
        if self._data.draw(st.integers(0, 9)) == 0:
            return self._data.draw(st.binary(max_size=20) | junk.map(_written) | st.just(b"[" * 100_000))
        made = {name: self._value(name, likely=True) for name in _NEEDED.get(pattern, ())}
        for name in self._data.draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
            made[name] = self._value(name, likely=self._data.draw(st.booleans()))
        return _written(made)

    def _value(self, name: str, *, likely: bool) -> object:
        if likely and name in _likely:
            return self._data.draw(st.sampled_from(_likely[name]))
        if likely and name.endswith("hashes"):
            return self._data.draw(st.lists(st.sampled_from(["a" * 64, *self.keys]), min_size=1, max_size=3))
        if likely and name == "workspace_id":
            return self._data.draw(st.sampled_from(self.ids))
        return self._data.draw(junk)

    def _check(self, request: Request, call: tuple[str, str], answer: Answer) -> None:
        text = json.dumps(answer.body, allow_nan=False)
        if answer.status >= 400:
            assert answer.status in DOCUMENTED_REFUSALS - {500} | NOT_IN_THE_DOCUMENTS
            told: Any = answer.body
            assert told == {"error": {"code": answer.status, "message": str(told["error"]["message"])}}
            assert CANARY not in text
            return
        MODELS[self._routed(request, call)].model_validate_json(text)
        self._remember(answer)

    def _routed(self, request: Request, call: tuple[str, str]) -> tuple[str, str]:
        """The route that took it: what stands for an id may have been a word of another path."""
        found = (r for r in ROUTES if r.method == request.method and r.pattern.fullmatch(request.path))
        return next(((r.method, r.pattern.pattern) for r in found), call)

    def _remember(self, answer: Answer) -> None:
        data: Any = answer.body.get("data")
        if isinstance(data, dict):
            self.ids.extend(str(data[name]) for name in ("id",) if name in data)
            if "key" in answer.body:
                assert data["hash"] not in self.keys, "two keys of one hash"
                self.keys[data["hash"]] = str(answer.body["key"])
                return
        assert CANARY not in json.dumps(answer.body), "a key's text was told twice"

    def account_is_in_order(self) -> None:
        """What must be true after anything."""
        minted = {facts.hash: facts for facts in self.account.minted}
        assert set(minted) == set(self.keys)
        assert self.account.live() <= self.account.existing() <= set(minted)
        for facts in minted.values():
            told = [event for _, event in facts.history]
            assert told[0] == "created"
            assert (facts.state == "deleted") is ("deleted" in told)
            assert "deleted" not in told[:-1], "something happened to a key after its end"
            assert [at for at, _ in facts.history] == sorted(at for at, _ in facts.history)
        assert not any(CANARY in str(call) for call in self.account.calls)


def _written(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")
@effort(40)
@given(data=st.data(), length=st.integers(1, 25))
def test_any_requests_are_answered_as_documented_and_leave_the_account_in_order(
    data: st.DataObject, length: int
) -> None:
    talk = Talk(data)
    for _ in range(length):
        talk.once()
    talk.account_is_in_order()
