"""The end of a key: disabled, then deleted, never before its successor is everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tasks.rotation.binding import carry_bindings, drop_bindings
from tasks.rotation.checking import in_service, safe_without
from tasks.rotation.errors import LeaseLost, Overtaken, RotatorError
from tasks.rotation.machine import told, transition
from tasks.rotation.model import Event, KeyVersion, VersionState
from tasks.rotation.ports import Change
from tasks.rotation.turn import Turn, hash_of

_S = VersionState


def disable(turn: Turn, version: KeyVersion) -> None:
    """Take a replaced key out of service, reversibly; its cooling begins."""
    bound = _carry_again(turn, version)
    if not safe_without(turn, version):
        return
    turn.hold()
    if turn.provider.set_disabled(turn.management_key(), hash_of(version), disabled=True):
        turn = turn.later()
        delete_at = turn.now + turn.rotation.cooling
        ended = transition(version, _S.DISABLED, at=turn.now, actor=turn.actor, delete_at=delete_at)
    else:
        why = "it was gone at the provider already"
        ended = transition(version, _S.DELETED, at=turn.now, actor=turn.actor, why=why)
    turn.commit(replace(ended, events=(*bound, *ended.events)))


def _carry_again(turn: Turn, version: KeyVersion) -> tuple[Event, ...]:
    """What is bound to the old key, once more to the active one: the provider replaces such lists whole, so that
    two workers that added to one at the same moment may have lost an addition. It must not keep a key alive, so
    what goes wrong is told and no more."""
    active = in_service(turn)
    return _if_possible(turn, active, "binding_not_carried", lambda: carry_bindings(turn, version, active))


def _if_possible(turn: Turn, version: KeyVersion, name: str, work: Callable[[], object]) -> tuple[Event, ...]:
    """Do the work; what goes wrong becomes the event ``name``. A lost lease still ends the turn."""
    try:
        work()
    except (LeaseLost, Overtaken):
        raise
    except RotatorError as error:
        return (told(version, name, at=turn.now, actor=turn.actor, why=str(error)),)
    return ()


def delete(turn: Turn, version: KeyVersion) -> None:
    """Delete a key for good. The destinations are read once more, unless the key was never in service or an
    operator said, by an emergency or by deleting the rotation, that it must go whatever they hold. Then what is
    bound to it does not delay its end either."""
    said_so = turn.rotation.removal is not None or version.doomed
    told_of: tuple[Event, ...] = ()
    if said_so:
        told_of = _if_possible(turn, version, "binding_not_dropped", lambda: drop_bindings(turn, version))
    else:
        drop_bindings(turn, version)
        if version.state is not _S.ABANDONED and not safe_without(turn, version):
            return
    turn.hold()
    turn.provider.delete_key(turn.management_key(), hash_of(version))
    path = (_S.RETIRING, _S.DELETED) if version.state is _S.ACTIVE else (_S.DELETED,)
    ended = transition(version, *path, at=turn.now, actor=turn.actor)
    turn.commit(replace(ended, events=(*told_of, *ended.events)))


def finish(turn: Turn) -> None:
    """Close a rotation that an operator deleted. Keys that stay alive are named for the last time, and their
    texts are shredded here. What an operator asks of its destinations meanwhile comes first."""
    why = "it stays alive, in the operator's hands"
    alive = turn.snapshot.versions
    turn.commit(
        Change(
            events=(
                *(told(v, "key_released", at=turn.now, actor=turn.actor, why=why) for v in alive),
                turn.event("rotation_deleted", why=str(turn.rotation.removal)),
            ),
            versions=tuple((v, replace(v, has_key=False, released_at=turn.now)) for v in alive),
            rotation=(turn.rotation, replace(turn.rotation, removed_at=turn.now)),
            seen_revision=turn.snapshot.revision,
        )
    )
