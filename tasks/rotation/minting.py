"""From the wish for a new key to its hash and ciphertext; and what to do about a create that was never confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tasks.rotation import policy as decide
from tasks.rotation.errors import (
    Broken,
    LeaseLost,
    OperatorNeeded,
    OutcomeUnknown,
    Overtaken,
    RotatorError,
    TryAgain,
)
from tasks.rotation.machine import together, told, transition
from tasks.rotation.model import Attempt, KeyVersion, Reason, Rotation, VersionState
from tasks.rotation.parameters import MARKER, name_at_openrouter
from tasks.rotation.ports import Change, MintedKey, RemoteKey
from tasks.rotation.turn import Turn

_S = VersionState


def planning(
    rotation: Rotation,
    *,
    at: datetime,
    version_id: str,
    reason: Reason,
    actor: str,
    emergency: bool = False,
    attempt: Attempt | None = None,
) -> Change:
    """The change that puts a new version in line."""
    version = KeyVersion(
        id=version_id,
        rotation_id=rotation.id,
        number=rotation.last_version + 1,
        state=_S.PLANNED,
        reason=reason,
        actor=actor,
        emergency=emergency,
        attempt=attempt or Attempt(),
        planned_at=at,
    )
    return Change(
        events=(told(version, "version_planned", at=at, actor=actor, why=str(reason)),),
        versions=((None, version),),
        rotation=(rotation, replace(rotation, last_version=version.number)),
    )


def plan(turn: Turn) -> None:
    """The schedule wants a new version."""
    reason = Reason.SCHEDULED if turn.rotation.last_version else Reason.INITIAL
    version_id = turn.world.ids.row()
    turn.commit(planning(turn.rotation, at=turn.now, version_id=version_id, reason=reason, actor="schedule"))


def mint(turn: Turn, version: KeyVersion) -> None:
    """Commit the intention, ask for the key once, commit what came."""
    management_key = turn.management_key()
    marker = turn.world.ids.marker()
    life = turn.rotation.parameters.expires_after
    intention = transition(
        version,
        _S.CREATING,
        at=turn.now,
        actor=turn.actor,
        marker=marker,
        attempt=version.attempt,
        asked=turn.rotation.parameters,
        expires_at=None if life is None else (turn.now + life).replace(microsecond=0),
    )
    turn.commit(intention)
    creating = intention.versions[0][1]
    turn.hold()
    try:
        minted = turn.provider.create_key(
            management_key,
            turn.rotation.parameters,
            name=name_at_openrouter(turn.rotation.parameters, creating, marker),
            expires_at=creating.expires_at,
        )
    except (TryAgain, OperatorNeeded) as refused:
        turn.commit(_refused(turn, creating, refused))
    except (OutcomeUnknown, Broken) as unknown:
        turn.commit(_given_up(turn, creating, str(unknown), unknown))
    else:
        _keep(turn, creating, minted)


def _keep(turn: Turn, creating: KeyVersion, minted: MintedKey) -> None:
    """Commit what was minted; who lost the lease meanwhile removes it, since nobody else will use it."""
    created = transition(creating, _S.CREATED, at=turn.now, actor=turn.actor, key_hash=minted.key_hash, has_key=True)
    try:
        turn.commit(replace(created, keys={creating.id: minted.key}))
    except (LeaseLost, Overtaken):
        turn.provider.delete_key(turn.management_key(), minted.key_hash)
        turn.world.log("own_orphan_deleted", rotation=turn.rotation.name, version=creating.number)
        raise


def _refused(turn: Turn, creating: KeyVersion, error: RotatorError) -> Change:
    """Nothing was made: back to planned, to be tried again later."""
    failed = turn.failure(creating, error, step="mint")
    back = transition(
        creating,
        _S.PLANNED,
        at=creating.planned_at or turn.now,
        actor=turn.actor,
        attempt=failed.versions[0][1].attempt,
        marker=None,
        asked=None,
        expires_at=None,
    )
    return replace(back, events=failed.events, pause_connection_until=failed.pause_connection_until)


def abandon(turn: Turn, version: KeyVersion, why: str, error: RotatorError | None = None) -> None:
    """Give a version in flight up and plan its replacement."""
    turn.commit(_given_up(turn, version, why, error or OutcomeUnknown(why)))


def _given_up(turn: Turn, version: KeyVersion, why: str, error: RotatorError) -> Change:
    """A planned version never asked for a key, so it is over at once. One that was being created may yet turn
    out to have a key, so it is looked for until a request in flight can no longer land. The replacement inherits
    the attempts, so that a provider that never confirms is not asked without end; and whether it is an emergency,
    which an operator may have made it a moment ago: then this is decided anew."""
    replaced = turn.rotation.removal is None and not version.reviving
    attempt = decide.after_failure(version.attempt, error, seed=version.id, now=turn.now, policy=turn.world.policy)
    path = (_S.ABANDONED, _S.DELETED) if version.state is _S.PLANNED else (_S.ABANDONED,)
    given_up = transition(
        version,
        *path,
        at=turn.now,
        actor=turn.actor,
        why=why,
        detail={"attempt": str(attempt.count)} if replaced else None,
        settles_at=turn.now + turn.world.policy.settle if version.state is _S.CREATING else None,
        reviving=False,
    )
    if version.state is _S.PROVEN and turn.snapshot.active is not None:
        given_up = together(given_up, Change(deliveries=turn.snapshot.deliveries_anew(turn.snapshot.active)))
    if not replaced:
        return given_up
    replacement = planning(
        turn.rotation,
        at=turn.now,
        version_id=turn.world.ids.row(),
        reason=version.reason,
        actor=version.actor,
        emergency=version.emergency,
        attempt=attempt,
    )
    return together(given_up, replacement, Change(seen_revision=turn.snapshot.revision))


def look(turn: Turn, version: KeyVersion) -> None:
    """Delete every key whose name ends with the version's marker; the last look, finding none, settles it.

    Nothing but our own unconfirmed create ever used this marker, so nothing is in service with these keys.
    """
    found = _marked(turn, version)
    for key in found:
        turn.hold()
        turn.provider.delete_key(turn.management_key(), key.key_hash)
    looked = replace(
        version,
        looked_at=turn.now,
        attempt=Attempt(),
        key_hash=found[-1].key_hash if found else version.key_hash,
    )
    if not found and version.settles_at is not None and turn.now >= version.settles_at:
        why = "its key was found and deleted" if version.key_hash else "no key of it ever appeared"
        settled = transition(looked, _S.DELETED, at=turn.now, actor=turn.actor, why=why)
        turn.commit(replace(settled, versions=((version, settled.versions[0][1]),)))
        return
    why = "its create was never confirmed"
    events = tuple(
        told(replace(version, key_hash=k.key_hash), "orphan_deleted", at=turn.now, actor=turn.actor, why=why)
        for k in found
    )
    turn.commit(Change(events=events, versions=((version, looked),)))


def _marked(turn: Turn, version: KeyVersion) -> list[RemoteKey]:
    """The keys at the provider that this version's create made, from every page."""
    turn.hold()
    found = []
    listed = turn.provider.list_keys(turn.management_key(), workspace_id=turn.rotation.parameters.workspace_id)
    for key in listed:
        ending = MARKER.search(key.name)
        if ending and ending["marker"] == version.marker:
            found.append(key)
        turn.hold()
    return found
