"""Calls about keys, credits and workspaces: each public function is one row of the table in ``routes``."""

from __future__ import annotations

from . import bodies
from .calls import CREATED, DELETED, OK, Call, page_of, workspace_of
from .keys import USER_ID, KeyRecord, stamp
from .messages import Answer, ApiError, JsonObject
from .spend import Spend
from .state import State


def current_key(state: State, call: Call) -> Answer:
    record = call.caller.key
    about = _about_management_key(state, call) if record is None else _about_key(state, record, call)
    return Answer(
        OK,
        {
            "data": {
                "is_management_key": record is None,
                "is_provisioning_key": record is None,
                "is_free_tier": False,
                "organization_id": None,
                "allowed_data_regions": ["global"],
                "free_model_daily_requests": {"limit": 1000, "remaining": 1000, "used": 0},
                "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated and safe to ignore."},
                **about,
            }
        },
    )


def _about_key(state: State, record: KeyRecord, call: Call) -> JsonObject:
    return {
        "label": record.label,
        "limit": record.limit,
        "limit_remaining": record.limit_remaining(call.now),
        "limit_reset": record.limit_reset,
        "include_byok_in_limit": record.include_byok_in_limit,
        "expires_at": stamp(record.expires_at),
        "creator_user_id": record.creator_user_id,
        "workspace_id": record.workspace_id,
        "budgets": state.budgets(record, call.now),
        "effective_budget": state.effective_budget(record, call.now),
        **record.spend.view(call.now),
    }


def _about_management_key(state: State, call: Call) -> JsonObject:
    nothing = dict.fromkeys(("limit", "limit_remaining", "limit_reset", "expires_at", "effective_budget"))
    return {
        "label": "emulator-...",
        "include_byok_in_limit": False,
        "creator_user_id": USER_ID,
        "workspace_id": state.workspaces.default_id,
        "budgets": [],
        **nothing,
        **Spend().view(call.now),
    }


def list_keys(state: State, call: Call) -> Answer:
    records = state.keys.page(call.request.query, workspace_of(state, call), call.now)
    return Answer(OK, {"data": [record.view(call.now) for record in records]})


def create_key(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.CreateKey, call.request.body)
    if order.external is not None:
        raise ApiError(403, "external: only partners may set it")
    text, record = state.keys.mint(order, state.workspaces.resolve(order.workspace_id), call.now)
    return Answer(CREATED, {"data": record.view(call.now), "key": text})


def get_key(state: State, call: Call) -> Answer:
    return Answer(OK, {"data": state.keys.existing(call.subject).view(call.now)})


def update_key(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.UpdateKey, call.request.body)
    if order.workspace_id:
        state.workspaces.resolve(order.workspace_id)
    return Answer(OK, {"data": state.keys.update(call.subject, order, call.now).view(call.now)})


def delete_key(state: State, call: Call) -> Answer:
    state.delete_key(call.subject, call.now)
    return Answer(OK, DELETED)


def credits_left(state: State, call: Call) -> Answer:
    usage = state.keys.spent(call.now)
    return Answer(OK, {"data": {"total_credits": state.total_credits_usd, "total_usage": usage}})


def list_workspaces(state: State, call: Call) -> Answer:
    return page_of(call, state.workspaces.views())


def create_workspace(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.CreateWorkspace, call.request.body)
    return Answer(CREATED, {"data": state.workspaces.view(state.workspaces.create(order, call.now))})
