"""A model call that calls no model: it counts usage, so that budgets and ``last_used_at`` move."""

from __future__ import annotations

from .bodies import ChatCompletion, read_body
from .calls import OK, Call
from .keys import KeyRecord
from .messages import Answer, ApiError, JsonObject
from .state import State

_TEXT = "This is the OpenRouter emulator: no model was called."
_TOKENS = 10


def complete(state: State, call: Call) -> Answer:
    """One fixed sentence, charged to the calling key.

    403 for a management key and when a budget of the key is spent (the SDK's ``KeyBudget``), 402 when the account's
    credits are, 404 when the key's guardrail does not allow the model, 400 for ``stream``.
    """
    key = call.caller.key
    if key is None:
        raise ApiError(403, "Management keys cannot call models")
    order = read_body(ChatCompletion, call.request.body)
    if order.stream:
        raise ApiError(400, "stream: the emulator only answers whole")
    _check_model(state, key, order.model)
    state.check_may_spend(key, call.now)
    key.use(order.emulator_cost_usd, call.now)
    return Answer(OK, _result(call, order))


def _check_model(state: State, key: KeyRecord, model: str) -> None:
    guardrail = state.guardrails.of_key(key.hash)
    allowed = None if guardrail is None else guardrail["allowed_models"]
    if isinstance(allowed, list) and model not in allowed:
        raise ApiError(404, "No endpoints available matching your guardrail restrictions")


def _result(call: Call, order: ChatCompletion) -> JsonObject:
    message = {"role": "assistant", "content": _TEXT, "refusal": None}
    usage = {"prompt_tokens": _TOKENS, "completion_tokens": _TOKENS, "total_tokens": 2 * _TOKENS}
    return {
        "id": f"gen-{int(call.now.timestamp() * 1000)}",
        "object": "chat.completion",
        "created": int(call.now.timestamp()),
        "model": order.model,
        "system_fingerprint": None,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {**usage, "cost": order.emulator_cost_usd, "is_byok": False},
    }
