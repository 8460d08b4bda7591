"""Connections: a management key is proven before anything of it is stored."""

from __future__ import annotations

from typing import Final

from config.secret import Secret
from tasks.operations.requests import ConnectionUpdate, Unset
from tasks.operations.views import ConnectionView
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    NotAsSeen,
    RateLimited,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import ById, ConnectionHealth, VersionState
from tasks.rotation.parameters import validated_description, validated_label, validated_slug
from tasks.rotation.ports import CheckResult
from tasks.store.connections import StoredConnection
from tasks.wiring import DEFAULT_APP, Rotator

_TRIES: Final = 5
"""How often a change is decided anew, when somebody else changed the connection while it was being decided."""
_KEYS_LOOKED_FOR: Final = 3
"""How many recorded keys a new management key must know one of."""


def create(
    rotator: Rotator, name: str, api_key: Secret, description: str | None, project_id: str | None
) -> ConnectionView:
    """Prove the key and store it. A name that is taken is refused before the key is sent anywhere."""
    validated_slug("NAME", name)
    described = validated_description(description)
    label = validated_label("--project-id", project_id)
    connections = rotator.store.connections
    connections.refuse_taken(name)
    result = _proven(rotator, api_key)
    id_ = rotator.ids.row()
    connections.insert(
        id_,
        name,
        api_key,
        description=described,
        app=DEFAULT_APP,
        result=result,
        actor=rotator.actor,
        project_id=label,
    )
    return view(connections.get(ById(id_)))


def update(rotator: Rotator, which: str | ById, wanted: ConnectionUpdate, *, if_revision: str | None) -> ConnectionView:
    """Change what is given; a key takes effect only once it is proven, and no name is taken from another."""
    if wanted == ConnectionUpdate():
        raise InvalidInput("connection update", "there is nothing to change", "Give a new key or a --description.")
    seen = rotator.store.connections.get(which)
    _refuse_unless_seen(seen, if_revision)
    name, description = _described(rotator, seen, wanted)
    result = None
    if wanted.api_key is not None:
        result = _proven(rotator, wanted.api_key)
        _refuse_other_account(rotator, seen, wanted.api_key)
    for _ in range(_TRIES):
        stored = rotator.store.connections.get(ById(seen.id))
        _refuse_unless_seen(stored, seen.revision if wanted.api_key is not None else if_revision)
        described = stored.description if isinstance(description, Unset) else description
        try:
            rotator.store.connections.update(
                stored,
                name=stored.name if isinstance(name, Unset) else name,
                description=described,
                key=wanted.api_key,
                result=result,
                actor=rotator.actor,
            )
        except NotAsSeen:
            continue
        return view(rotator.store.connections.get(ById(seen.id)))
    raise NotAsSeen(seen.name)


def _described(
    rotator: Rotator, seen: StoredConnection, wanted: ConnectionUpdate
) -> tuple[str | Unset, str | Unset | None]:
    """The name and the description that are asked for. Raises ``InvalidInput``, ``NameTaken``."""
    name, description = wanted.name, wanted.description
    if not isinstance(name, Unset) and validated_slug("--rename", name) != seen.name:
        rotator.store.connections.refuse_taken(name)
    return name, description if isinstance(description, Unset) else validated_description(description)


def delete(rotator: Rotator, which: str | ById, *, if_revision: str | None) -> ConnectionView:
    """Delete a connection that no rotation uses, and its ciphertext; as it was. Raises ``InUse``."""
    for _ in range(_TRIES):
        stored = rotator.store.connections.get(which)
        _refuse_unless_seen(stored, if_revision)
        try:
            rotator.store.connections.delete(stored, actor=rotator.actor)
        except NotAsSeen:
            continue
        return view(stored)
    raise NotAsSeen(stored.name)


def _refuse_unless_seen(stored: StoredConnection, if_revision: str | None) -> None:
    if if_revision is not None and if_revision != stored.revision:
        raise NotAsSeen(stored.name)


def check(rotator: Rotator, name: str | ById) -> ConnectionView:
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
        project_id=stored.project_id,
        revision=stored.revision,
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
