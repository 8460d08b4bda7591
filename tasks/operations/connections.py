"""Connections: a management key is proven before anything of it is stored."""

from __future__ import annotations

from typing import Final

from config.secret import Secret
from tasks.operations.requests import UNSET, Unset
from tasks.operations.views import ConnectionView
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    RateLimited,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import ConnectionHealth, VersionState
from tasks.rotation.parameters import validated_description, validated_slug
from tasks.rotation.ports import CheckResult
from tasks.store.connections import StoredConnection
from tasks.wiring import DEFAULT_APP, Rotator

_KEYS_LOOKED_FOR: Final = 3
"""How many recorded keys a new management key must know one of."""


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
    result = None
    if api_key is not None:
        result = _proven(rotator, api_key)
        _refuse_other_account(rotator, stored, api_key)
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


def _refuse_other_account(rotator: Rotator, stored: StoredConnection, api_key: Secret) -> None:
    """A management key of another account would take our keys there for gone, and forget them alive.

    Raises ``Conflict`` when it knows none of the keys that are recorded as alive.
    """
    alive = (VersionState.ACTIVE, VersionState.RETIRING, VersionState.DISABLED)
    known = rotator.store.desk.known_versions(stored.id)
    ours = [v for v in known if v.key_hash and v.state in alive and not v.released]
    newest = sorted(ours, key=lambda v: (v.state is VersionState.ACTIVE, v.number))[-_KEYS_LOOKED_FOR:]
    provider = rotator.provider_called(stored.app)
    if newest and not any(v.key_hash and provider.get_key(api_key, v.key_hash) for v in newest):
        raise Conflict(
            f"That key is a management key, but its account has none of the keys that {stored.name} minted. "
            "Nothing was changed.",
            "Use a management key of the same account. For another account create another connection.",
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
