"""From a request and a plan to what leaves the emulator: a reply, perhaps bent, or a broken connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from .account import Account
from .faults import Ending, Fault, FaultKind
from .messages import Answer, Request, error_answer


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send. ``declared_length`` may promise more than there is; ``held_s`` says to hold them first."""

    status: int
    payload: bytes = field(repr=False)
    declared_length: int
    headers: Mapping[str, str] = field(default_factory=dict)
    held_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """No reply: the connection ends so. With ``refuse_s``, new connections are refused that long."""

    ending: Ending
    refuse_s: float | None = None


def deliver(account: Account, request: Request, fault: Fault | None) -> Reply | Cut:
    """Let ``request`` take the effect that ``fault`` leaves it, and return what the caller gets to see."""
    if fault is None:
        return _whole(account.handle(request))
    match fault.kind:
        case FaultKind.STATUS:
            return _status(account, request, fault)
        case FaultKind.NEVER_ARRIVES | FaultKind.REFUSED | FaultKind.LATE_EFFECT | FaultKind.LOST_REPLY:
            return _cut(account, request, fault)
        case _:
            return _bent(account.handle(request, fault.kind.value), fault)


def _cut(account: Account, request: Request, fault: Fault) -> Cut:
    match fault.kind:
        case FaultKind.LATE_EFFECT:
            account.handle_late(request, fault.span_s, fault.kind.value)
        case FaultKind.LOST_REPLY:
            account.handle(request, fault.kind.value)
        case _:
            account.note_unheard(request, fault.kind.value)
    return Cut(Ending.RESET, fault.span_s) if fault.kind is FaultKind.REFUSED else Cut(fault.ending)


def _whole(answer: Answer) -> Reply:
    payload = answer.payload()
    return Reply(answer.status, payload, len(payload), answer.headers)


def _status(account: Account, request: Request, fault: Fault) -> Reply:
    if fault.effect:
        account.handle(request, fault.kind.value)
    else:
        account.note_unheard(request, fault.kind.value)
    headers = _rate_limit_headers(account) if fault.status == HTTPStatus.TOO_MANY_REQUESTS else {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.body is None:
        return _whole(error_answer(fault.status, f"Emulated failure: {fault.status}", headers))
    payload = fault.body.encode()
    return Reply(fault.status, payload, len(payload), headers)


def _rate_limit_headers(account: Account) -> dict[str, str]:
    """What a platform 429 carries; the reset is in milliseconds since 1970."""
    reset_ms = int((account.now().timestamp() + 60) * 1000)
    return {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_ms)}


def _bent(answer: Answer, fault: Fault) -> Reply:
    whole = _whole(answer)
    match fault.kind:
        case FaultKind.HOLD:
            return replace(whole, held_s=fault.span_s)
        case FaultKind.TRUNCATED:
            return replace(whole, payload=whole.payload[: len(whole.payload) // 2])
        case FaultKind.MALFORMED:
            return _with_payload(whole, whole.payload[:-1])  # without its last brace no object is JSON
        case FaultKind.WRONG_TYPE:
            return _with_payload(whole, json.dumps([answer.body]).encode())
        case FaultKind.HUGE:
            return _with_payload(whole, json.dumps({**answer.body, "padding": "x" * fault.size_bytes}).encode())
        case _:
            return _with_payload(whole, b"")


def _with_payload(reply: Reply, payload: bytes) -> Reply:
    return replace(reply, payload=payload, declared_length=len(payload))
