"""Proving a management key: two questions, five outcomes, each with its own message and remedy."""

from __future__ import annotations

from typing import Final

from config.secret import Secret
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.client import OpenRouterClient, read_as, unreadable
from tasks.providers.openrouter.exchange import Answer, Call, Effect
from tasks.rotation.errors import CredentialRejected, RateLimited, RotatorError
from tasks.rotation.model import ConnectionHealth
from tasks.rotation.ports import CallerFacts, CheckResult

DESCRIBE: Final = Call("GET", "/key", Effect.READ, "say what the key is")
_LIST: Final = Call("GET", "/keys", Effect.READ, "list the keys")
_FORBIDDEN: Final = 403

_COPY_AGAIN: Final = "Copy it again, or make a new one in OpenRouter's settings under management keys."
_NOT_ORDINARY: Final = (
    "Make a management key (also called provisioning key) in OpenRouter's settings and use that one; an ordinary "
    "key calls models and cannot make keys."
)


def proof_of(client: OpenRouterClient, key: Secret) -> CheckResult:
    """Whether this is a management key that may list keys: ``GET /key``, then ``GET /keys``. Raises nothing."""
    try:
        return _asked(client, key)
    except RotatorError as error:
        return _failed(error)


def facts_in(answer: Answer) -> CallerFacts:
    """What ``GET /key`` says. Raises ``Unavailable`` when it is not in the documented shape."""
    facts = read_as(wire.Caller, answer, DESCRIBE).as_facts()
    if facts is None:
        raise unreadable(answer, DESCRIBE)
    return facts


def _asked(client: OpenRouterClient, key: Secret) -> CheckResult:
    described = client.ask(DESCRIBE, key)
    if not facts_in(described).is_management_key:
        message = "OpenRouter says that this is an ordinary API key, not a management key."
        return CheckResult(ConnectionHealth.ORDINARY_KEY, message, _NOT_ORDINARY, server_time=described.server_time)
    listed = client.ask(_LIST, key, accept=frozenset({_FORBIDDEN}))
    if listed.status == _FORBIDDEN:
        said = wire.quoted(listed.body, without=key)
        message = f"OpenRouter calls this a management key, but does not let it list keys: {said!r}."
        return CheckResult(ConnectionHealth.ORDINARY_KEY, message, _NOT_ORDINARY, server_time=listed.server_time)
    read_as(wire.KeyPage, listed, _LIST)
    message = "OpenRouter accepts this management key, and it may list keys."
    return CheckResult(ConnectionHealth.VALID, message, server_time=listed.server_time)


def _failed(error: RotatorError) -> CheckResult:
    match error:
        case CredentialRejected():
            message = f"{error.message} It is mistyped, disabled, expired or deleted."
            return CheckResult(ConnectionHealth.REJECTED, message, _COPY_AGAIN)
        case RateLimited():
            message = f"{error.message} That says nothing about the key."
            remedy = "Wait a little and check again."
            return CheckResult(ConnectionHealth.RATE_LIMITED, message, remedy, retry_after=error.retry_after)
        case _:
            message = f"{error.message} That says nothing about the key."
            retry_after = getattr(error, "retry_after", None)
            return CheckResult(ConnectionHealth.UNREACHABLE, message, error.remedy, retry_after=retry_after)
