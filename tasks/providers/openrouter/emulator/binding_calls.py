"""Calls about what hangs on a key's hash: guardrails, BYOK credentials, observability destinations.

Each public function is one row of the table in ``routes``.
"""

from __future__ import annotations

from . import bodies
from .calls import CREATED, DELETED, OK, Call, page_of, workspace_of
from .messages import Answer
from .state import State


def list_guardrails(state: State, call: Call) -> Answer:
    return page_of(call, state.guardrails.of(workspace_of(state, call)))


def create_guardrail(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.CreateGuardrail, call.request.body)
    workspace_id = state.workspaces.resolve(order.workspace_id)
    return Answer(CREATED, {"data": state.guardrails.create(order, workspace_id, call.now)})


def get_guardrail(state: State, call: Call) -> Answer:
    return Answer(OK, {"data": state.guardrails.get(call.subject)})


def update_guardrail(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.UpdateGuardrail, call.request.body)
    return Answer(OK, {"data": state.guardrails.update(call.subject, order, call.now)})


def delete_guardrail(state: State, call: Call) -> Answer:
    state.guardrails.delete(call.subject)
    return Answer(OK, DELETED)


def list_assignments(state: State, call: Call) -> Answer:
    return page_of(call, state.guardrails.assignments(call.subject or None))


def assign(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.KeyHashes, call.request.body)
    return Answer(OK, {"assigned_count": state.guardrails.assign(call.subject, order.key_hashes, call.now)})


def unassign(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.KeyHashes, call.request.body)
    return Answer(OK, {"unassigned_count": state.guardrails.unassign(call.subject, order.key_hashes)})


def list_byok(state: State, call: Call) -> Answer:
    provider = call.request.query.get("provider")
    views = state.byok.of(workspace_of(state, call))
    return page_of(call, [view for view in views if provider in (None, view["provider"])])


def create_byok(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.CreateByok, call.request.body)
    return Answer(CREATED, {"data": state.byok.create(order, state.workspaces.resolve(order.workspace_id), call.now)})


def get_byok(state: State, call: Call) -> Answer:
    return Answer(OK, {"data": state.byok.get(call.subject)})


def update_byok(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.UpdateByok, call.request.body)
    return Answer(OK, {"data": state.byok.update(call.subject, order)})


def delete_byok(state: State, call: Call) -> Answer:
    state.byok.remove(call.subject)
    return Answer(OK, DELETED)


def list_destinations(state: State, call: Call) -> Answer:
    return page_of(call, state.destinations.of(workspace_of(state, call)))


def create_destination(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.CreateDestination, call.request.body)
    workspace_id = state.workspaces.resolve(order.workspace_id)
    return Answer(CREATED, {"data": state.destinations.create(order, workspace_id, call.now)})


def get_destination(state: State, call: Call) -> Answer:
    return Answer(OK, {"data": state.destinations.get(call.subject)})


def update_destination(state: State, call: Call) -> Answer:
    order = bodies.read_body(bodies.UpdateDestination, call.request.body)
    return Answer(OK, {"data": state.destinations.update(call.subject, order, call.now)})


def delete_destination(state: State, call: Call) -> Answer:
    state.destinations.remove(call.subject)
    return Answer(OK, DELETED)
