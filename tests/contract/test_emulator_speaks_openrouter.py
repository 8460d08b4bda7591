"""OpenRouter's own Python SDK drives the emulator: every answer parses into the SDK's models, errors included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openrouter import OpenRouter, errors

from tasks.providers.openrouter.emulator import EmulatorServer, Fault, FaultKind

MANAGEMENT_KEY = "emulator-contract"


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


def sdk_for(server: EmulatorServer, key: str) -> Any:
    """The SDK without its retries; untyped, because it types most answers as wide unions that tests would narrow."""
    return OpenRouter(api_key=key, server_url=server.base_url, retry_config=None, timeout_ms=5_000)


@pytest.fixture
def sdk(server: EmulatorServer) -> Iterator[Any]:
    with sdk_for(server, MANAGEMENT_KEY) as client:
        yield client


@pytest.fixture
def minted(sdk: Any) -> Any:
    return sdk.api_keys.create(name="minted", limit=5)


def test_a_key_is_created_with_its_text_beside_its_data(sdk: Any) -> None:
    expires_at = datetime(2040, 1, 31, 12, 30, 5, tzinfo=UTC)
    created = sdk.api_keys.create(
        name="app", limit=12.5, limit_reset="monthly", include_byok_in_limit=True, expires_at=expires_at
    )
    assert created.data.hash == hashlib.sha256(created.key.encode()).hexdigest()
    assert (created.data.name, created.data.limit, created.data.limit_reset) == ("app", 12.5, "monthly")
    assert created.data.expires_at == expires_at
    assert created.data.limit_remaining == 12.5
    assert created.data.last_used_at is None
    assert created.data.disabled is False


def test_a_key_is_found_changed_and_deleted_for_good(sdk: Any, minted: Any) -> None:
    key_hash = minted.data.hash
    assert sdk.api_keys.get(hash=key_hash).data.name == "minted"
    changed = sdk.api_keys.update(hash=key_hash, name="renamed", disabled=True, limit=None)
    assert (changed.data.name, changed.data.disabled, changed.data.limit) == ("renamed", True, None)
    assert changed.data.updated_at is not None
    sdk.api_keys.delete(hash=key_hash)
    with pytest.raises(errors.NotFoundResponseError):
        sdk.api_keys.get(hash=key_hash)
    with pytest.raises(errors.NotFoundResponseError):
        sdk.api_keys.delete(hash=key_hash)


def test_keys_are_listed_newest_first_and_disabled_ones_only_when_asked(sdk: Any) -> None:
    older = sdk.api_keys.create(name="older").data.hash
    newer = sdk.api_keys.create(name="newer").data.hash
    sdk.api_keys.update(hash=older, disabled=True)
    shown = [key.hash for key in sdk.api_keys.list().data]
    everything = [key.hash for key in sdk.api_keys.list(include_disabled=True, include_expired=True).data]
    assert shown[0] == newer
    assert older not in shown
    assert everything[:2] == [newer, older]
    assert sdk.api_keys.list(include_disabled=True, offset=1).data[0].hash == older


def test_a_key_can_be_made_in_and_moved_to_another_workspace(sdk: Any) -> None:
    workspace = sdk.workspaces.create(name="Second", slug="second").data
    listed = list(sdk.workspaces.list().result.data)
    assert [item.slug for item in listed] == ["default", "second"]
    moved = sdk.api_keys.create(name="mover").data
    assert moved.workspace_id == listed[0].id
    assert sdk.api_keys.update(hash=moved.hash, workspace_id=workspace.id).data.workspace_id == workspace.id
    assert [key.hash for key in sdk.api_keys.list(workspace_id=workspace.id).data] == [moved.hash]


@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")
def test_a_key_says_what_it_is(server: EmulatorServer, sdk: Any) -> None:
    guardrail = sdk.guardrails.create(name="cap", limit_usd=2, reset_interval="weekly").data
    created = sdk.api_keys.create(name="self", limit=5, limit_reset="daily")
    sdk.guardrails.bulk_assign_keys(id=guardrail.id, key_hashes=[created.data.hash])
    with sdk_for(server, created.key) as own:
        data = own.api_keys.get_current_key_metadata().data
    assert (data.is_management_key, data.is_provisioning_key) == (False, False)
    assert (data.limit, data.limit_remaining, data.limit_reset) == (5, 5, "daily")
    assert data.workspace_id == created.data.workspace_id
    assert [budget.scope for budget in data.budgets] == ["api_key", "key_limit"]
    assert data.effective_budget is not None
    assert data.effective_budget.guardrail_id == guardrail.id


@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")
def test_a_management_key_says_that_it_is_one(sdk: Any) -> None:
    data = sdk.api_keys.get_current_key_metadata().data
    assert (data.is_management_key, data.limit, data.budgets) == (True, None, [])


def test_a_model_call_costs_and_is_seen_in_credits_usage_and_last_use(
    server: EmulatorServer, sdk: Any, minted: Any
) -> None:
    before = sdk.credits.get_credits().data.total_usage
    with sdk_for(server, minted.key) as own:
        result = own.chat.send(model="emulator/echo", messages=[{"role": "user", "content": "hello"}])
    assert result.usage.cost == 0.001
    assert sdk.credits.get_credits().data.total_usage == pytest.approx(before + 0.001)
    key = sdk.api_keys.get(hash=minted.data.hash).data
    assert (key.usage, key.usage_daily, key.limit_remaining) == (0.001, 0.001, 4.999)
    assert datetime.now(UTC) - key.last_used_at < timedelta(minutes=1)


def test_guardrails_move_from_key_to_key(sdk: Any, minted: Any) -> None:
    one = sdk.guardrails.create(name="one", allowed_models=["emulator/echo"], enforce_zdr=True).data
    two = sdk.guardrails.create(name="two").data
    assert one.enforce_zdr_openai is True
    assert sdk.guardrails.bulk_assign_keys(id=one.id, key_hashes=[minted.data.hash]).assigned_count == 1
    sdk.guardrails.bulk_assign_keys(id=two.id, key_hashes=[minted.data.hash])
    assert sdk.guardrails.list_guardrail_key_assignments(id=one.id).result.total_count == 0
    [assignment] = sdk.guardrails.list_guardrail_key_assignments(id=two.id).result.data
    assert (assignment.key_hash, assignment.key_name) == (minted.data.hash, "minted")
    assert assignment.key_hash in {a.key_hash for a in sdk.guardrails.list_key_assignments(limit=100).result.data}
    assert sdk.guardrails.bulk_unassign_keys(id=two.id, key_hashes=[minted.data.hash]).unassigned_count == 1
    assert sdk.guardrails.update(id=two.id, description="told").data.description == "told"
    assert sdk.guardrails.get(id=two.id).data.name == "two"
    assert {item.name for item in sdk.guardrails.list(limit=100).result.data} >= {"one", "two"}
    sdk.guardrails.delete(id=two.id)
    with pytest.raises(errors.NotFoundResponseError):
        sdk.guardrails.get(id=two.id)


def test_byok_lists_are_replaced_whole_and_hold_only_existing_keys(sdk: Any, minted: Any) -> None:
    credential = sdk.byok.create(
        key="a-provider-key-of-some-length", provider="openai", allowed_api_key_hashes=[minted.data.hash]
    ).data
    assert credential.allowed_api_key_hashes == [minted.data.hash]
    successor = sdk.api_keys.create(name="successor").data.hash
    both = sdk.byok.update(id=credential.id, allowed_api_key_hashes=[minted.data.hash, successor]).data
    assert both.allowed_api_key_hashes == [minted.data.hash, successor]
    sdk.api_keys.delete(hash=minted.data.hash)
    assert sdk.byok.get(id=credential.id).data.allowed_api_key_hashes == [minted.data.hash, successor]
    with pytest.raises(errors.BadRequestResponseError):
        sdk.byok.update(id=credential.id, allowed_api_key_hashes=[minted.data.hash, successor])
    with pytest.raises(errors.BadRequestResponseError):
        sdk.byok.update(id=credential.id, allowed_api_key_hashes=[])
    assert sdk.byok.update(id=credential.id, allowed_api_key_hashes=[successor]).data.label == credential.label
    assert sdk.byok.update(id=credential.id, allowed_api_key_hashes=None).data.allowed_api_key_hashes is None
    assert credential.id in {item.id for item in sdk.byok.list(provider="openai").result.data}
    sdk.byok.delete(id=credential.id)
    with pytest.raises(errors.NotFoundResponseError):
        sdk.byok.get(id=credential.id)


def test_observability_destinations_are_filtered_by_key(sdk: Any, minted: Any) -> None:
    created = sdk.observability.create(
        type_="webhook", name="traces", config={"url": "https://traces.example"}, api_key_hashes=[minted.data.hash]
    ).data
    assert created.api_key_hashes == [minted.data.hash]
    assert sdk.observability.update(id=created.id, api_key_hashes=None).data.api_key_hashes is None
    assert sdk.observability.get(id=created.id).data.config.url == "https://traces.example"
    assert [item.id for item in sdk.observability.list().result.data] == [created.id]
    sdk.observability.delete(id=created.id)
    with pytest.raises(errors.NotFoundResponseError):
        sdk.observability.get(id=created.id)


def test_refusals_parse_into_the_sdks_errors(server: EmulatorServer, sdk: Any, minted: Any) -> None:
    with sdk_for(server, "emulatr-typo") as stranger, pytest.raises(errors.UnauthorizedResponseError):
        stranger.api_keys.list()
    with sdk_for(server, minted.key) as ordinary:
        with pytest.raises(errors.UnauthorizedResponseError):
            ordinary.api_keys.list()
        with pytest.raises(errors.ForbiddenResponseError):
            ordinary.credits.get_credits()
        with pytest.raises(errors.ForbiddenResponseError):
            ordinary.api_keys.create(name="not mine to make")
    with pytest.raises(errors.BadRequestResponseError) as refused:
        sdk.api_keys.create(name="")
    assert refused.value.data.error.code == 400
    assert "name" in refused.value.data.error.message


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, errors.TooManyRequestsResponseError), (500, errors.InternalServerResponseError)],
)
def test_told_failures_parse_into_the_sdks_errors(server: EmulatorServer, sdk: Any, status: int, error: Any) -> None:
    server.faults.add(Fault(kind=FaultKind.STATUS, status=status, retry_after=7, times=1))
    with pytest.raises(error) as refused:
        sdk.api_keys.list()
    assert refused.value.headers["retry-after"] == "7"
