"""The life of a version: which states follow which, what each step stamps, and that each leaves its event."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from config.secret import Secret
from tasks.rotation import machine
from tasks.rotation.errors import Broken
from tasks.rotation.machine import TRANSITIONS, record, together, told, transition
from tasks.rotation.model import (
    IN_FLIGHT,
    OUTGOING,
    Attempt,
    Delivery,
    KeyParameters,
    KeyVersion,
    Reason,
    Rotation,
    VersionState,
)
from tasks.rotation.ports import Change
from tasks.rotation.schedule import make_schedule
from tests.steered.clock import START

_S = VersionState


def _version(state: VersionState, **facts: object) -> KeyVersion:
    return KeyVersion("v-1", "r-1", 1, state, Reason.MANUAL, "somebody", **facts)  # type: ignore[arg-type]  # fields of several types


@pytest.mark.parametrize("state", VersionState)
@pytest.mark.parametrize("to", VersionState)
def test_only_the_steps_of_a_life_can_be_recorded(state: VersionState, to: VersionState) -> None:
    version = _version(state)
    if to in TRANSITIONS[state]:
        assert record(version, to, at=START).state is to
    else:
        with pytest.raises(Broken, match=f"from {state} to {to}"):
            record(version, to, at=START)


def test_every_life_ends_deleted_and_nothing_follows() -> None:
    assert set(TRANSITIONS) == set(VersionState)
    assert not TRANSITIONS[_S.DELETED]
    reachable = {_S.DELETED}
    while grown := {s for s, after in TRANSITIONS.items() if after & reachable} - reachable:
        reachable |= grown
    assert reachable == set(VersionState)


def test_no_version_gets_into_service_but_through_its_proof() -> None:
    assert [s for s, after in TRANSITIONS.items() if _S.ACTIVE in after] == [_S.PROVEN]
    assert [s for s, after in TRANSITIONS.items() if _S.PROVEN in after] == [_S.CREATED]


def test_no_key_in_service_is_deleted_without_having_been_replaced() -> None:
    assert TRANSITIONS[_S.ACTIVE] == {_S.RETIRING}
    assert not {s for s in IN_FLIGHT if _S.DELETED in TRANSITIONS[s]}
    assert {s for s in VersionState if TRANSITIONS[s] & {_S.DISABLED}} <= OUTGOING


def test_the_picture_in_the_docstring_is_the_table() -> None:
    line = (machine.__doc__ or "").split("::")[1].split("\n")[2]
    path = [_S(word) for word in re.findall(r"\w+", line)]
    assert path[0] is _S.PLANNED
    assert path[-1] is _S.DELETED
    assert all(after in TRANSITIONS[before] for before, after in pairwise(path))


def test_a_step_stamps_its_time_and_forgets_earlier_attempts() -> None:
    tried = _version(_S.CREATED, attempt=Attempt(3, START, "try-again", "no"))
    proven = record(tried, _S.PROVEN, at=START)
    assert (proven.proven_at, proven.attempt) == (START, Attempt())
    kept = record(tried, _S.PROVEN, at=START, attempt=tried.attempt, proven_at=START - timedelta(1))
    assert (kept.attempt, kept.proven_at) == (tried.attempt, START - timedelta(1))


def test_the_end_takes_the_keys_text_along() -> None:
    assert record(_version(_S.DISABLED, has_key=True), _S.DELETED, at=START).has_key is False
    assert record(_version(_S.RETIRING, has_key=True), _S.DISABLED, at=START).has_key


def test_each_step_of_a_path_has_its_event_and_only_the_last_gets_the_facts() -> None:
    version = _version(_S.PLANNED)
    change = transition(
        version, _S.ABANDONED, _S.DELETED, at=START, actor="who", why="why", key_hash="abc", emergency=True
    )
    assert [(e.name, e.actor, e.why, e.version, e.at) for e in change.events] == [
        ("version_abandoned", "who", "why", 1, START),
        ("version_deleted", "who", "why", 1, START),
    ]
    assert ["key_hash" in dict(e.detail) for e in change.events] == [False, True]
    ((before, after),) = change.versions
    assert before is version
    assert (after.state, after.emergency, after.abandoned_at, after.deleted_at) == (_S.DELETED, True, START, START)


def test_a_single_step_gets_the_facts_and_needs_no_reason() -> None:
    change = transition(_version(_S.PLANNED), _S.CREATING, at=START, actor="who", marker="0123456789ab")
    ((_, after),) = change.versions
    assert (after.state, after.marker, after.creating_at) == (_S.CREATING, "0123456789ab", START)
    assert [(e.name, e.why) for e in change.events] == [("version_creating", "")]


def test_an_event_names_hash_reason_and_details_that_there_are() -> None:
    event = told(
        _version(_S.ACTIVE, key_hash="abc"), "delivered", at=START, actor="who", destination="dotenv:/x", why=""
    )
    assert dict(event.detail) == {"key_hash": "abc", "reason": "manual", "destination": "dotenv:/x"}
    assert (event.rotation_id, event.version, event.at) == ("r-1", 1, START)
    bare = told(_version(_S.PLANNED), "x", at=START, actor="who")
    assert (bare.why, "key_hash" in dict(bare.detail)) == ("", False)


def test_together_is_all_of_them_in_order() -> None:
    one = Change(
        events=(told(_version(_S.ACTIVE), "one", at=START, actor="a"),),
        versions=((None, _version(_S.PLANNED)),),
        keys={"v-1": Secret("a")},
        pause_connection_until=START,
    )
    two = Change(
        events=(told(_version(_S.ACTIVE), "two", at=START, actor="a"),),
        deliveries=(Delivery("v-1", "d-1"),),
        keys={"v-2": Secret("b")},
    )
    both = together(one, two)
    assert [e.name for e in both.events] == ["one", "two"]
    assert (len(both.versions), len(both.deliveries), set(both.keys)) == (1, 1, {"v-1", "v-2"})
    assert (both.rotation, both.pause_connection_until) == (None, START)
    assert together() == Change()


def test_together_keeps_the_one_change_to_the_rotation_and_what_it_was_decided_from() -> None:
    """Else a commit would forget that the version is in service now, or that an operator must not be overtaken."""
    schedule = make_schedule(every="30d", at=None, cron=None)
    day = timedelta(days=1)
    before = Rotation("r-1", "web", "c-1", KeyParameters("web"), schedule, day, day, "KEY", START)
    pair = (before, replace(before, last_version=7))
    for changes in ((Change(), Change(rotation=pair)), (Change(rotation=pair), Change())):
        assert together(*changes).rotation == pair
    for number in (0, 7):
        assert together(Change(), Change(seen_revision=number), Change()).seen_revision == number
        assert together(Change(), Change(answers=number), Change()).answers == number
