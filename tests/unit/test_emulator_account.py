"""The emulated account keeps OpenRouter's rules, and the truth for whoever checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tasks.providers.openrouter.emulator import Account, Request

MANAGEMENT_KEY = "emulator-unit"
START = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


class Client:
    """Calls the account and gives back (status, body)."""

    def __init__(self, account: Account, bearer: str | None = MANAGEMENT_KEY) -> None:
        self.account = account
        self.bearer = bearer

    def __call__(self, method: str, path: str, body: Any = None, /, **query: object) -> tuple[int, Any]:
        payload = b"" if body is None else json.dumps(body).encode()
        texts = {name: str(value) for name, value in query.items()}
        answer = self.account.handle(Request(method, path, texts, self.bearer, payload))
        return answer.status, answer.body

    def created(self, **order: object) -> tuple[str, str]:
        """(text, hash) of a new key."""
        status, body = self("POST", "/keys", {"name": "app", **order})
        assert status == 201, body
        return body["key"], body["data"]["hash"]

    def hashes(self, **query: object) -> list[str]:
        return [key["hash"] for key in self("GET", "/keys", **query)[1]["data"]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Account:
    return Account(clock=clock)


@pytest.fixture
def call(account: Account) -> Client:
    return Client(account)


def accepted(account: Account, key: str) -> bool:
    return Client(account, key)("GET", "/key")[0] == 200


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a", "limit": -1}, "limit"),
        ({"name": "a", "limit": "5"}, "limit"),
        ({"name": "a", "limit": True}, "limit"),
        ({"name": "a", "limit_reset": "yearly"}, "limit_reset"),
        ({"name": "a", "disabled": True}, "disabled"),
        ({"name": "a", "workspace_id": "default"}, "workspace_id"),
        ({"name": "a", "workspace_id": str(uuid4())}, "workspace_id"),
        ({"name": "a", "expires_at": "2030-01-01T00:00:00+00:00"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01T02:00:00+02:00"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01T00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01"}, "expires_at"),
        ({"name": "a", "expires_at": 1893456000}, "expires_at"),
        ({"name": "a", "expires_at": "2026-11-18T12:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-13-41T00:00:00Z"}, "expires_at"),
        (["name"], "body"),
    ],
)
def test_a_faulty_order_is_refused_by_field_and_mints_nothing(
    account: Account, call: Client, order: object, field: str
) -> None:
    status, body = call("POST", "/keys", order)
    assert status == 400
    assert body["error"]["code"] == 400
    assert field in body["error"]["message"]
    assert account.minted == ()


def test_bytes_that_are_no_json_are_refused(account: Account) -> None:
    answer = account.handle(Request("POST", "/keys", {}, MANAGEMENT_KEY, b'{"name": '))
    assert answer.status == 400


def test_a_canary_stands_in_every_minted_key_and_nowhere_else() -> None:
    account = Account(canary="tell-tale")
    call = Client(account)
    _, body = call("POST", "/keys", {"name": "app"})
    assert "tell-tale" in body["key"]
    assert "tell-tale" not in json.dumps(body["data"])
    assert "tell-tale" not in repr((account.minted, account.calls))


def test_a_page_holds_the_newest_hundred(call: Client) -> None:
    made = [call.created(name=f"app {number}")[1] for number in range(205)]
    newest_first = made[::-1]
    assert call.hashes() == newest_first[:100]
    assert call.hashes(offset=100) == newest_first[100:200]
    assert call.hashes(offset=200) == newest_first[200:]
    assert call.hashes(offset=205) == []


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "1" * 5000, "²"])
def test_a_senseless_offset_is_refused(call: Client, offset: str) -> None:
    assert call("GET", "/keys", offset=offset)[0] == 400


def test_disabled_and_expired_keys_are_listed_only_when_asked_for(clock: Clock, call: Client) -> None:
    live, disabled, expired, both = (
        call.created(**order)[1]
        for order in ({}, {}, {"expires_at": "2026-11-18T13:00:00Z"}, {"expires_at": "2026-11-18T13:00:00Z"})
    )
    for key_hash in (disabled, both):
        call("PATCH", f"/keys/{key_hash}", {"disabled": True})
    clock.forward(hours=1)
    assert call.hashes() == [live]
    assert call.hashes(include_disabled="false", include_expired="false") == [live]
    assert call.hashes(include_disabled="true") == [disabled, live]
    assert call.hashes(include_expired="true") == [expired, live]
    assert call.hashes(include_disabled="True", include_expired=1) == [both, expired, disabled, live]


def test_a_listing_shows_one_workspace_the_default_unless_named(account: Account, call: Client) -> None:
    other = account.add_workspace("Other", "other")
    here, there = call.created()[1], call.created(workspace_id=other)[1]
    assert call.hashes() == [here]
    assert call.hashes(workspace_id=account.default_workspace_id) == [here]
    assert call.hashes(workspace_id=other) == [there]
    assert call("GET", "/keys", workspace_id=str(uuid4()))[0] == 400
    assert call("GET", "/keys", workspace_id="other")[0] == 400


def test_a_disabled_key_is_refused_until_it_is_enabled_again(account: Account, call: Client) -> None:
    key, key_hash = call.created()
    call("PATCH", f"/keys/{key_hash}", {"disabled": True})
    assert not accepted(account, key)
    assert account.existing() - account.live() == {key_hash}
    call("PATCH", f"/keys/{key_hash}", {"disabled": False})
    assert accepted(account, key)
    assert account.minted[0].disabled_at is None


def test_an_expired_key_is_refused_from_its_instant_on(account: Account, clock: Clock, call: Client) -> None:
    key, key_hash = call.created(expires_at="2026-11-18T13:00:00Z")
    clock.forward(minutes=59, seconds=59)
    assert accepted(account, key)
    clock.forward(seconds=1)
    assert not accepted(account, key)
    assert call("GET", f"/keys/{key_hash}")[0] == 200


def test_deleting_is_final_and_leaves_a_tombstone(account: Account, clock: Clock, call: Client) -> None:
    key, key_hash = call.created(name="short-lived")
    clock.forward(minutes=1)
    call("PATCH", f"/keys/{key_hash}", {"disabled": True})
    clock.forward(minutes=1)
    assert call("DELETE", f"/keys/{key_hash}") == (200, {"deleted": True})
    for method, body in (("DELETE", None), ("GET", None), ("PATCH", {"disabled": False})):
        assert call(method, f"/keys/{key_hash}", body)[0] == 404
    assert not accepted(account, key)
    assert call.hashes(include_disabled="true", include_expired="true") == []
    [facts] = account.minted
    assert (facts.name, facts.state) == ("short-lived", "deleted")
    assert facts.disabled_at == START + timedelta(minutes=1)
    assert facts.deleted_at == START + timedelta(minutes=2)
    assert [event for _, event in facts.history] == ["created", "disabled", "deleted"]


@pytest.mark.parametrize("field", ["expires_at", "creator_user_id", "hash", "nonsense"])
def test_what_cannot_change_is_refused_as_a_whole(call: Client, field: str) -> None:
    _, key_hash = call.created()
    assert call("PATCH", f"/keys/{key_hash}", {"disabled": True, field: None})[0] == 400
    assert call("GET", f"/keys/{key_hash}")[1]["data"]["disabled"] is False


def test_a_patch_changes_only_what_it_names(call: Client) -> None:
    _, key_hash = call.created(name="app", limit=5, limit_reset="daily")
    _, body = call("PATCH", f"/keys/{key_hash}", {"limit": None})
    assert (body["data"]["name"], body["data"]["limit"], body["data"]["limit_reset"]) == ("app", None, "daily")


@pytest.mark.parametrize("bearer", [None, "", "Emulator-x", "emulato", "made-up"])
def test_strangers_are_refused_everywhere(account: Account, bearer: str | None) -> None:
    stranger = Client(account, bearer)
    for method, path in (("GET", "/key"), ("GET", "/keys"), ("POST", "/keys"), ("POST", "/chat/completions")):
        status, body = stranger(method, path)
        assert (status, body["error"]["code"]) == (401, 401)


def test_an_ordinary_key_manages_nothing(account: Account, call: Client) -> None:
    ordinary = Client(account, call.created()[0])
    key_hash = next(iter(account.live()))
    assert ordinary("GET", "/keys")[0] == 401
    assert ordinary("POST", "/keys", {"name": "mine"})[0] == 403
    assert ordinary("DELETE", f"/keys/{key_hash}")[0] == 401
    assert ordinary("GET", "/credits")[0] == 403
    assert account.live() == {key_hash}


def test_a_revoked_management_key_is_refused_and_another_is_not(account: Account, call: Client) -> None:
    account.revoke_management_key(MANAGEMENT_KEY)
    assert call("GET", "/keys")[0] == 401
    assert Client(account, "emulator-other")("GET", "/keys")[0] == 200


def test_once_one_is_registered_only_registered_management_keys_are_accepted(account: Account, call: Client) -> None:
    account.register_management_key(MANAGEMENT_KEY)
    assert call("GET", "/keys")[0] == 200
    assert Client(account, "emulator-other")("GET", "/keys")[0] == 401


def spend(account: Account, key: str, usd: float, model: str = "emulator/echo") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "emulator_cost_usd": usd}
    return Client(account, key)("POST", "/chat/completions", body)[0]


@pytest.mark.parametrize(
    ("reset", "until_reset"),
    [("daily", {"hours": 12}), ("weekly", {"days": 4, "hours": 12}), ("monthly", {"days": 12, "hours": 12})],
)
def test_a_spent_limit_refuses_until_its_window_closes(
    account: Account, clock: Clock, call: Client, reset: str, until_reset: dict[str, float]
) -> None:
    key, key_hash = call.created(limit=1, limit_reset=reset)
    assert spend(account, key, 1) == 200
    clock.forward(**until_reset)
    clock.forward(seconds=-1)
    assert spend(account, key, 1) == 403
    clock.forward(seconds=1)
    assert call("GET", f"/keys/{key_hash}")[1]["data"]["limit_remaining"] == 1
    assert spend(account, key, 1) == 200
    assert call("GET", f"/keys/{key_hash}")[1]["data"]["usage"] == 2


def test_usage_and_last_use_are_moved_by_model_calls_alone(account: Account, clock: Clock, call: Client) -> None:
    key, key_hash = call.created()
    accepted(account, key)
    assert account.minted[0].last_used_at is None
    clock.forward(minutes=5)
    spend(account, key, 0.1)
    spend(account, key, 0.2)
    data = call("GET", f"/keys/{key_hash}")[1]["data"]
    assert data["last_used_at"] == "2026-11-18T12:05:00.000Z"
    assert (data["usage"], data["usage_daily"], data["usage_weekly"], data["usage_monthly"]) == (0.3,) * 4


def test_spent_credits_refuse_every_key(clock: Clock) -> None:
    account = Account(clock=clock, total_credits_usd=1)
    one, other = (Client(account).created()[0] for _ in range(2))
    assert spend(account, one, 1) == 200
    assert spend(account, other, 1) == 402
    assert Client(account)("GET", "/credits")[1]["data"] == {"total_credits": 1, "total_usage": 1}


def test_management_keys_call_no_model_and_streams_are_refused(account: Account, call: Client) -> None:
    assert spend(account, MANAGEMENT_KEY, 1) == 403
    streamed = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert Client(account, call.created()[0])("POST", "/chat/completions", streamed)[0] == 400


def guardrail(call: Client, **fields: object) -> str:
    status, body = call("POST", "/guardrails", {"name": "guard", **fields})
    assert status == 201, body
    return str(body["data"]["id"])


def test_a_guardrail_binds_the_models_and_budget_of_its_keys(account: Account, call: Client) -> None:
    key, key_hash = call.created()
    guard = guardrail(call, allowed_models=["good/model"], limit_usd=1)
    assert spend(account, key, 0, "bad/model") == 200
    call("POST", f"/guardrails/{guard}/assignments/keys", {"key_hashes": [key_hash]})
    assert spend(account, key, 0, "bad/model") == 404
    assert spend(account, key, 1, "good/model") == 200
    assert spend(account, key, 1, "good/model") == 403


def test_a_key_is_under_one_guardrail_and_its_death_ends_the_assignment(account: Account, call: Client) -> None:
    _, key_hash = call.created()
    one, two = guardrail(call), guardrail(call)
    for guard in (one, two):
        assert call("POST", f"/guardrails/{guard}/assignments/keys", {"key_hashes": [key_hash]})[0] == 200
    _, body = call("GET", "/guardrails/assignments/keys")
    assert [a["guardrail_id"] for a in body["data"]] == [two]
    assert call("POST", f"/guardrails/{one}/assignments/keys/remove", {"key_hashes": [key_hash]})[1] == {
        "unassigned_count": 0
    }
    call("DELETE", f"/keys/{key_hash}")
    assert call("GET", "/guardrails/assignments/keys")[1] == {"data": [], "total_count": 0}


def test_assignments_are_listed_in_the_order_in_which_they_were_made(call: Client) -> None:
    first, second = call.created()[1], call.created()[1]
    guard = guardrail(call)
    for hashes in ([first], [second], [first]):
        call("POST", f"/guardrails/{guard}/assignments/keys", {"key_hashes": hashes})
    _, body = call("GET", f"/guardrails/{guard}/assignments/keys")
    assert [(a["key_hash"], a["key_name"]) for a in body["data"]] == [(second, "app"), (first, "app")]


def test_assigning_an_unknown_hash_or_none_is_refused_and_changes_nothing(call: Client) -> None:
    _, key_hash = call.created()
    guard = guardrail(call)
    for hashes in ([key_hash, "0" * 64], []):
        assert call("POST", f"/guardrails/{guard}/assignments/keys", {"key_hashes": hashes})[0] == 400
    assert call("POST", f"/guardrails/{uuid4()}/assignments/keys", {"key_hashes": [key_hash]})[0] == 404
    assert call("GET", f"/guardrails/{uuid4()}/assignments/keys")[0] == 404
    assert call("GET", "/guardrails/assignments/keys")[1]["total_count"] == 0


def test_assignments_come_in_pages_with_a_total(call: Client) -> None:
    hashes = [call.created()[1] for _ in range(103)]
    guard = guardrail(call)
    call("POST", f"/guardrails/{guard}/assignments/keys", {"key_hashes": hashes})
    path = f"/guardrails/{guard}/assignments/keys"
    assert [a["key_hash"] for a in call("GET", path)[1]["data"]] == hashes[:50]
    last = call("GET", path, offset=100, limit=100)[1]
    assert ([a["key_hash"] for a in last["data"]], last["total_count"]) == (hashes[100:], 103)
    assert call("GET", path, limit=101)[0] == call("GET", path, limit=0)[0] == 400


def test_a_byok_list_takes_existing_keys_only_disabled_ones_too(call: Client) -> None:
    (_, kept), (_, gone) = call.created(), call.created()
    call("PATCH", f"/keys/{kept}", {"disabled": True})
    call("DELETE", f"/keys/{gone}")
    order = {"provider": "openai", "key": "provider-credential"}
    status, body = call("POST", "/byok", {**order, "allowed_api_key_hashes": [kept]})
    assert status == 201
    assert "provider-credential" not in json.dumps(body)
    for hashes in ([kept, gone], [], ["short"], [kept] * 101):
        assert call("PATCH", f"/byok/{body['data']['id']}", {"allowed_api_key_hashes": hashes})[0] == 400
    assert call("GET", f"/byok/{body['data']['id']}")[1]["data"]["allowed_api_key_hashes"] == [kept]


def test_a_workspace_holds_five_destinations_of_a_type(call: Client) -> None:
    order = {"type": "webhook", "name": "traces", "config": {"url": "https://traces.example"}}
    assert [call("POST", "/observability/destinations", order)[0] for _ in range(6)] == [201] * 5 + [409]


def test_a_destinations_config_changes_field_by_field(call: Client) -> None:
    order = {"type": "webhook", "name": "traces", "config": {"url": "https://traces.example", "method": "POST"}}
    made = call("POST", "/observability/destinations", order)[1]["data"]["id"]
    path = f"/observability/destinations/{made}"
    assert call("PATCH", path, {"config": {"method": "PUT"}})[1]["data"]["config"] == {
        "url": "https://traces.example",
        "method": "PUT",
    }


def test_the_words_for_none_and_for_partners(call: Client) -> None:
    status, body = call("POST", "/keys", {"name": "a", "limit": None, "limit_reset": None, "expires_at": None})
    assert (status, body["data"]["expires_at"]) == (201, None)
    assert call("POST", "/keys", {"name": "a", "external": {"user": "somebody"}})[0] == 403


def test_a_workspace_slug_is_taken_once(call: Client) -> None:
    assert [call("POST", "/workspaces", {"name": "Two", "slug": "two"})[0] for _ in range(2)] == [201, 400]


def test_a_late_call_lands_at_its_time_and_in_order(account: Account, clock: Clock, call: Client) -> None:
    def order(name: str) -> Request:
        return Request("POST", "/keys", {}, MANAGEMENT_KEY, json.dumps({"name": name}).encode())

    account.handle_late(order("second"), 20)
    account.handle_late(order("first"), 10)
    clock.forward(seconds=9)
    assert (account.existing(), account.pending_effects) == (frozenset(), 2)
    clock.forward(seconds=60)
    landed = account.minted
    assert [facts.name for facts in landed] == ["first", "second"]
    assert landed[0].created_at == START + timedelta(seconds=10)
    assert account.pending_effects == 0
    assert [(line.status, line.fault) for line in account.calls] == [(201, "late_effect")] * 2


def test_the_call_log_names_the_caller_and_holds_no_secret(account: Account, call: Client) -> None:
    key, key_hash = call.created()
    accepted(account, key)
    call("PATCH", f"/keys/{key_hash}", {"disabled": True})
    accepted(account, key)
    call("GET", f"/keys/{key}", filter=MANAGEMENT_KEY)
    log = account.calls
    assert [(line.caller, line.status) for line in log] == [
        ("management", 201), ("key", 200), ("management", 200), ("nobody", 401), ("management", 404),
    ]  # fmt: skip
    assert log[1].key_hash == log[3].key_hash == key_hash
    assert [line.number for line in log] == [1, 2, 3, 4, 5]
    assert key not in repr(log)
    assert MANAGEMENT_KEY not in repr(log)


def test_unknown_paths_and_methods_are_told_apart(call: Client) -> None:
    assert call("GET", "/nowhere")[0] == 404
    assert call("PUT", "/keys")[0] == 405


def test_a_key_minted_as_in_the_dashboard_is_like_any_other(account: Account, call: Client) -> None:
    key, key_hash = account.mint("somebody else's", limit=2)
    assert call.hashes() == [key_hash]
    assert accepted(account, key)
