"""Asking a new key what it is, before anyone depends on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tasks.rotation.binding import carry_bindings
from tasks.rotation.errors import Broken, TryAgain
from tasks.rotation.machine import told, transition
from tasks.rotation.minting import abandon
from tasks.rotation.model import Event, KeyParameters, KeyVersion, VersionState
from tasks.rotation.ports import CallerFacts
from tasks.rotation.turn import Turn, hash_of

_ROUNDING: Final = timedelta(seconds=2)


def prove(turn: Turn, version: KeyVersion) -> None:
    """The key says itself that it is as asked, and carries what was bound to its predecessor."""
    turn.hold()
    if version.reviving and not turn.provider.set_disabled(turn.management_key(), hash_of(version), disabled=False):
        abandon(turn, version, "its key is gone at the provider, so it cannot come back")
        return
    turn.hold()
    facts = turn.provider.describe_caller(turn.world.store.key(version.id))
    if facts is None and version.attempt.count + 1 < turn.world.policy.proof_attempts:
        raise TryAgain("the new key is not accepted yet; the previous one stays in service.")
    wrong = objections(facts, version.asked or turn.rotation.parameters, version)
    if wrong and version.reviving:
        _give_undo_up(turn, version, wrong)
        return
    if wrong:
        abandon(turn, version, wrong, Broken(wrong, "The previous key stays in service."))
        return
    bound = _carried(turn, version)
    proven = transition(version, VersionState.PROVEN, at=turn.now, actor=turn.actor)
    turn.commit(replace(proven, events=(*bound, *proven.events)))


def _give_undo_up(turn: Turn, version: KeyVersion, wrong: str) -> None:
    """A key that cannot come back goes where it came from, with an overlap as if it had just been replaced."""
    back = transition(
        version,
        VersionState.RETIRING,
        at=turn.now,
        actor=turn.actor,
        why=f"the undo failed: {wrong}",
        reviving=False,
        retire_at=turn.now + turn.rotation.overlap,
    )
    turn.commit(back)


def _carried(turn: Turn, version: KeyVersion) -> tuple[Event, ...]:
    """Give the new key what is bound to the active one's hash, before anyone can use it without."""
    old = turn.snapshot.active
    if old is None or old.key_hash is None or version.reviving:
        return ()
    report = carry_bindings(turn, old, version)
    named = [("binding_carried", text) for text in report.carried]
    named += [("binding_not_carried", text) for text in report.warnings]
    return tuple(told(version, name, at=turn.now, actor=turn.actor, why=text) for name, text in named)


def objections(facts: CallerFacts | None, asked: KeyParameters, version: KeyVersion) -> str:
    """What is wrong with the key, in words; empty when it may be published.

    A version that an undo brings back was proven when it was new, against parameters that may have changed
    since: it only has to be accepted.
    """
    if facts is None:
        return "the provider does not accept the key"
    if facts.is_management_key:
        return "the key is a management key"
    if version.reviving:
        return ""
    told_and_asked: list[tuple[str, object, object]] = [
        ("limit", facts.limit_usd, asked.limit_usd),
        ("limit reset", facts.limit_reset, asked.limit_reset),
        ("BYOK in limit", facts.include_byok_in_limit, asked.include_byok_in_limit),
    ]
    if facts.workspace_id and asked.workspace_id:
        told_and_asked.append(("workspace", facts.workspace_id, asked.workspace_id))
    wrong = [f"{what} is {told_} instead of {asked_}" for what, told_, asked_ in told_and_asked if told_ != asked_]
    if not _same_moment(facts.expires_at, version.expires_at):
        wrong.append(f"expiry is {facts.expires_at} instead of {version.expires_at}")
    return "the new key is not as asked: " + ", ".join(wrong) if wrong else ""


def _same_moment(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _ROUNDING
