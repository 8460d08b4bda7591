"""Calls about keys, credits and workspaces."""

from __future__ import annotations

from . import bodies
from .calls import CREATED, DELETED, OK, Call, page_of, workspace_of
from .keys import USER_ID, stamp
from .messages import Answer, ApiError, JsonObject
from .spend import Spend
from .state import State


def current_key(state: State, call: Call) -> Answer:
    record = call.caller.key
    management = record is None
    data: JsonObject = {
        "label": "emulator-..." if record is None else record.label,
        "is_management_key": management,
        "is_provisioning_key": management,
        "is_free_tier": False,
        "limit": None if record is None else record.limit,
        "limit_remaining": None if record is None else record.limit_remaining(call.now),
        "limit_reset": None if record is None else record.limit_reset,
        "include_byok_in_limit": record is not None and record.include_byok_in_limit,
        "expires_at": None if record is None else stamp(record.expires_at),
        "creator_user_id": USER_ID if record is None else record.creator_user_id,
        "organization_id": None,
        "workspace_id": state.workspaces.default_id if record is None else record.workspace_id,
        "budgets": [] if record is None else state.budgets(record, call.now),
        "effective_budget": None if record is None else state.effective_budget(record, call.now),
        "allowed_data_regions": ["global"],
        "free_model_daily_requests": {"limit": 1000, "remaining": 1000, "used": 0},
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
        **(Spend() if record is None else record.spend).view(call.now),
    }
    return Answer(OK, {"data": data})


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
