"""Connections: a management key is proven before anything of it is stored."""

from __future__ import annotations

from config.secret import Secret
from tasks.operations.requests import UNSET, Unset
from tasks.operations.views import ConnectionView
from tasks.rotation.errors import CredentialRejected, InvalidInput, RateLimited, RotatorError, Unavailable
from tasks.rotation.model import ConnectionHealth
from tasks.rotation.parameters import validated_description, validated_slug
from tasks.rotation.ports import CheckResult
from tasks.store.connections import StoredConnection
from tasks.wiring import DEFAULT_APP, Rotator


def create(rotator: Rotator, name: str, api_key: Secret, description: str | None) -> ConnectionView:
    """Prove the key and store it. A name that is taken is refused before the key is sent anywhere."""
    validated_slug("NAME", name)
    described = validated_description(description)
    connections = rotator.store.connections
    connections.refuse_taken(name)
    result = _proven(rotator, api_key)
    connections.insert(
        rotator.ids.row(), name, api_key, description=described, app=DEFAULT_APP, result=result, actor=rotator.actor
    )
    return view(connections.get(name))


def update(rotator: Rotator, name: str, api_key: Secret | None, description: str | Unset | None) -> ConnectionView:
    """Change the description, the key, or both; a key takes effect only once it is proven."""
    stored = rotator.store.connections.get(name)
    described = stored.description if description is UNSET else validated_description(description)
    if api_key is None and described == stored.description:
        raise InvalidInput("connection update", "there is nothing to change", "Give a new key or a --description.")
    result = None if api_key is None else _proven(rotator, api_key)
    rotator.store.connections.update(stored, description=described, key=api_key, result=result, actor=rotator.actor)
    return view(rotator.store.connections.get(name))


def check(rotator: Rotator, name: str) -> ConnectionView:
    """Prove the stored key now; the outcome is stored, whatever it is, and shown."""
    stored = rotator.store.connections.get(name)
    rotator.reconciler.check(stored.id)
    return view(rotator.store.connections.get(name))


def view(stored: StoredConnection) -> ConnectionView:
    """A stored connection as it is shown."""
    return ConnectionView(
        id=stored.id,
        name=stored.name,
        app=stored.app,
        method=stored.method,
        description=stored.description,
        fingerprint=stored.fingerprint,
        health=stored.health,
        message=stored.health_message,
        checked_at=stored.checked_at,
        paused_until=stored.paused_until,
        rotations=stored.rotations,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _proven(rotator: Rotator, api_key: Secret) -> CheckResult:
    """The proof that the key is a management key. Raises what keeps it from being stored."""
    result = rotator.provider_called(DEFAULT_APP).check(api_key)
    if result.health is ConnectionHealth.VALID:
        return result
    raise _refusal(result)


def _refusal(result: CheckResult) -> RotatorError:
    message = f"{result.message.rstrip('.')}. Nothing was stored."
    match result.health:
        case ConnectionHealth.RATE_LIMITED:
            return RateLimited(message, result.remedy, retry_after=result.retry_after)
        case ConnectionHealth.UNREACHABLE:
            return Unavailable(message, result.remedy)
        case _:
            return CredentialRejected(message, result.remedy)
