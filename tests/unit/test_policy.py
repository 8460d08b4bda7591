"""What comes next, from a snapshot alone: every kind of step, their order, and the moments that they wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.rotation.attending import attention
from tasks.rotation.errors import (
    Broken,
    CannotDecrypt,
    Conflict,
    CredentialRejected,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import (
    Attempt,
    Delivery,
    Destination,
    KeyParameters,
    KeyVersion,
    Reason,
    Removal,
    Rotation,
    Snapshot,
    VersionState,
)
from tasks.rotation.policy import (
    Abandon,
    Check,
    Delete,
    Deliver,
    Disable,
    Finish,
    Look,
    Mint,
    Plan,
    Policy,
    Prove,
    Step,
    Wait,
    Withdraw,
    after_failure,
    next_look_at,
    next_rotation_at,
    next_step,
)
from tasks.rotation.schedule import make_schedule
from tests.steered.clock import START as NOW

_S = VersionState
POLICY = Policy(drift_every=None)
WATCHFUL = Policy(drift_every=timedelta(hours=1))
LATER = NOW + timedelta(minutes=7)
ONE_FILE = (Destination("d-1", "dotenv", "dotenv:/app.env"),)


def _rotation(**facts: object) -> Rotation:
    schedule = make_schedule(every="30d", at=None, cron=None)
    rotation = Rotation(
        "r-1", "web", "c-1", KeyParameters("web"), schedule, timedelta(days=1), timedelta(days=1), "KEY", NOW
    )
    return replace(rotation, **facts)  # type: ignore[arg-type]  # fields of several types


def _version(state: VersionState, number: int = 1, **facts: object) -> KeyVersion:
    version = KeyVersion(
        f"v-{number}", "r-1", number, state, Reason.MANUAL, "somebody", key_hash=f"hash-{number}", has_key=True
    )
    return replace(version, **facts)  # type: ignore[arg-type]  # fields of several types


def _snapshot(*versions: KeyVersion, delivered: bool = True, **facts: object) -> Snapshot:
    deliveries = tuple(Delivery(v.id, d.id, NOW) for v in versions for d in ONE_FILE if delivered)
    snapshot = Snapshot(NOW, 0, _rotation(last_rotated_at=NOW), versions, ONE_FILE, deliveries)
    return replace(snapshot, **facts)  # type: ignore[arg-type]  # fields of several types


def _waits(version: KeyVersion, destination: str = "d-1") -> Delivery:
    return Delivery(version.id, destination, attempt=Attempt(1, LATER))


ACTIVE = _version(_S.ACTIVE, 9)
REMOVED_WITH = {r: _rotation(removal=r, last_rotated_at=NOW) for r in Removal}


# --- each kind of step ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "step"),
    [(_S.PLANNED, Mint), (_S.CREATED, Prove), (_S.PROVEN, lambda v: Deliver(v, ONE_FILE)), (_S.ABANDONED, Delete)],
)
def test_a_version_in_each_state_has_its_step(state: VersionState, step: Callable[[KeyVersion], Step]) -> None:
    version = _version(state)
    assert next_step(_snapshot(version, delivered=False), POLICY) == step(version)


def test_an_interrupted_create_is_abandoned_whatever_else_waits() -> None:
    version = _version(_S.CREATING, attempt=Attempt(3, LATER))
    step = next_step(_snapshot(version, connection_paused_until=LATER), POLICY)
    assert isinstance(step, Abandon)
    assert "interrupted" in step.why


def test_an_unconfirmed_create_is_looked_for() -> None:
    version = _version(_S.ABANDONED, settles_at=LATER, abandoned_at=NOW)
    assert next_step(_snapshot(version), POLICY) == Look(version)


def test_an_unconfirmed_create_is_looked_for_again_when_its_next_look_is_due() -> None:
    version = _version(_S.ABANDONED, settles_at=NOW + timedelta(hours=1), abandoned_at=NOW, looked_at=NOW)
    again = next_look_at(version, POLICY)
    assert again is not None
    assert next_step(_snapshot(version), POLICY) == Wait(again)
    assert next_step(_snapshot(version, now=again), POLICY) == Look(version)


def test_no_new_key_is_asked_for_before_the_last_create_was_looked_for_once() -> None:
    planned = _version(_S.PLANNED, 2)
    unlooked = _version(_S.ABANDONED, settles_at=LATER, attempt=Attempt(1, LATER))
    assert next_step(_snapshot(unlooked, planned), POLICY) == Wait(LATER)
    looked = replace(unlooked, looked_at=NOW, abandoned_at=NOW)
    assert next_step(_snapshot(looked, planned), POLICY) == Mint(planned)


def test_a_version_that_is_due_is_planned() -> None:
    rotation = _rotation(last_rotated_at=NOW - timedelta(days=30))
    assert next_step(_snapshot(ACTIVE, rotation=rotation), POLICY) == Plan()
    assert next_step(_snapshot(ACTIVE, rotation=replace(rotation, paused=True)), POLICY) == Wait(None)
    planned = _version(_S.PLANNED)
    assert next_step(_snapshot(planned, ACTIVE, rotation=rotation), POLICY) == Mint(planned)


def test_a_key_that_expires_is_replaced_before_the_schedule_says_so() -> None:
    expiring = replace(ACTIVE, active_at=NOW, expires_at=NOW + timedelta(days=10))
    assert next_step(_snapshot(expiring), POLICY) == Wait(NOW + timedelta(days=9))


def test_a_replaced_key_is_disabled_after_its_overlap_and_deleted_after_its_cooling() -> None:
    retiring, disabled = _version(_S.RETIRING, retire_at=NOW), _version(_S.DISABLED, 2, delete_at=LATER)
    assert next_step(_snapshot(retiring, disabled, ACTIVE), POLICY) == Disable(retiring)
    retiring = replace(retiring, retire_at=LATER + timedelta(1))
    assert next_step(_snapshot(retiring, disabled, ACTIVE), POLICY) == Wait(LATER)
    assert next_step(_snapshot(retiring, disabled, ACTIVE, now=LATER), POLICY) == Delete(disabled)


@pytest.mark.parametrize("state", [_S.RETIRING, _S.DISABLED])
def test_what_an_emergency_condemned_waits_for_nothing(state: VersionState) -> None:
    version = _version(state, retire_at=LATER, delete_at=LATER, doomed=True)
    undelivered = _snapshot(version, ACTIVE, deliveries=())
    assert next_step(undelivered, POLICY) == Delete(version)
    failed = replace(version, attempt=Attempt(1, LATER))
    assert next_step(_snapshot(failed, ACTIVE, deliveries=()), POLICY) == Deliver(ACTIVE, ONE_FILE)


def test_a_condemned_key_that_waits_keeps_no_other_from_retiring() -> None:
    condemned = _version(_S.RETIRING, 1, retire_at=NOW, doomed=True, attempt=Attempt(1, LATER))
    retiring = _version(_S.RETIRING, 2, retire_at=NOW)
    assert next_step(_snapshot(condemned, retiring, ACTIVE), POLICY) == Disable(retiring)


def test_nothing_retires_without_a_successor() -> None:
    version = _version(_S.RETIRING, retire_at=NOW)
    assert next_step(_snapshot(version), POLICY) == Wait(NOW + timedelta(days=30))


def test_nothing_retires_while_a_delivery_is_under_way() -> None:
    version = _version(_S.RETIRING, retire_at=NOW)
    undelivered = _snapshot(version, ACTIVE, deliveries=(_waits(ACTIVE),))
    assert next_step(undelivered, POLICY) == Wait(LATER)
    newer = _version(_S.PROVEN, 10)
    both = _snapshot(version, ACTIVE, newer)
    assert next_step(replace(both, deliveries=(*both.deliveries[:2], _waits(newer))), POLICY) == Wait(LATER)


def test_the_active_key_is_delivered_where_it_is_missing_unless_its_text_is_not_known() -> None:
    assert next_step(_snapshot(ACTIVE, deliveries=()), POLICY) == Deliver(ACTIVE, ONE_FILE)
    elsewhere = (
        Delivery("v-1", "d-1", NOW),
        Delivery(ACTIVE.id, "d-2", NOW),
        Delivery(ACTIVE.id, "d-1", None, Attempt(error="no")),
    )
    assert next_step(_snapshot(ACTIVE, deliveries=elsewhere), POLICY) == Deliver(ACTIVE, ONE_FILE)
    adopted = replace(ACTIVE, has_key=False)
    assert next_step(_snapshot(adopted, deliveries=()), POLICY) == Wait(NOW + timedelta(days=30))


# --- destinations -----------------------------------------------------------------------------------------------

NEEDED, SPARE = ONE_FILE[0], Destination("d-2", "redis", "redis:spare", optional=True)
BOTH = (NEEDED, SPARE)


@pytest.mark.parametrize("state", [_S.PROVEN, _S.ACTIVE])
def test_each_destination_is_tried_again_in_its_own_time(state: VersionState) -> None:
    version = _version(state)
    one_waits = _snapshot(version, destinations=BOTH, deliveries=(_waits(version),))
    assert next_step(one_waits, POLICY) == Deliver(version, (SPARE,))
    both_wait = replace(one_waits, deliveries=(_waits(version), _waits(version, "d-2")))
    assert next_step(both_wait, POLICY) == Wait(LATER)
    assert next_step(replace(both_wait, now=LATER), POLICY) == Deliver(version, BOTH)


def test_who_was_not_tried_comes_first_and_then_whoever_waits_longest() -> None:
    """A step may end before it comes to the last."""
    again, sooner, spare, new = (
        Destination(d, "dotenv", d, optional=d == "spare") for d in ["again", "sooner", "spare", "new"]
    )
    proven, before = _version(_S.PROVEN), NOW - timedelta(minutes=7)
    waits = tuple(Delivery(proven.id, d, attempt=Attempt(1, at)) for d, at in (("again", NOW), ("sooner", before)))
    snapshot = _snapshot(proven, destinations=(again, sooner, spare, new), deliveries=waits)
    assert next_step(snapshot, POLICY) == Deliver(proven, (new, spare, sooner, again))


def test_a_version_becomes_active_without_what_is_optional_but_not_untried() -> None:
    proven = _version(_S.PROVEN)
    done = Delivery(proven.id, NEEDED.id, NOW)
    snapshot = _snapshot(proven, destinations=BOTH, deliveries=(done,))
    assert next_step(snapshot, POLICY) == Deliver(proven, (SPARE,))
    assert next_step(replace(snapshot, deliveries=(done, _waits(proven, "d-2"))), POLICY) == Deliver(proven, ())
    needed_waits = replace(snapshot, deliveries=(_waits(proven), Delivery(proven.id, SPARE.id, NOW)))
    assert next_step(needed_waits, POLICY) == Wait(LATER)


def test_the_active_key_is_not_put_over_one_that_is_on_its_way() -> None:
    proven = _version(_S.PROVEN, 10)
    assert next_step(_snapshot(ACTIVE, proven, deliveries=(_waits(proven),)), POLICY) == Wait(LATER)


def test_what_an_operator_removed_is_withdrawn_and_gets_nothing_any_more() -> None:
    leaving = replace(NEEDED, leaving=True)
    snapshot = _snapshot(ACTIVE, destinations=(leaving,), deliveries=())
    assert next_step(snapshot, POLICY) == Withdraw(leaving)
    waits = replace(leaving, attempt=Attempt(1, LATER))
    assert next_step(replace(snapshot, destinations=(waits,)), POLICY) == Wait(LATER)


def test_a_rotation_does_not_end_before_the_key_is_withdrawn() -> None:
    waits = replace(NEEDED, leaving=True, attempt=Attempt(1, LATER))
    snapshot = _snapshot(ACTIVE, rotation=REMOVED_WITH[Removal.KEEP_KEYS], destinations=(waits,))
    assert next_step(snapshot, POLICY) == Wait(LATER)
    assert next_step(replace(snapshot, destinations=()), POLICY) == Finish()


def test_every_destination_is_looked_at_about_once_in_a_while() -> None:
    snapshot = _snapshot(ACTIVE)
    wait = next_step(snapshot, WATCHFUL)
    assert isinstance(wait, Wait)
    assert wait.until is not None
    assert timedelta(minutes=54) <= wait.until - NOW <= timedelta(minutes=66)
    assert next_step(replace(snapshot, now=wait.until), WATCHFUL) == Check(ACTIVE, ONE_FILE)
    looked = replace(NEEDED, check_at=wait.until + timedelta(hours=1))
    again = next_step(replace(snapshot, now=wait.until, destinations=(looked,)), WATCHFUL)
    assert again == Wait(looked.check_at)


@pytest.mark.parametrize(
    "facts",
    [
        {"rotation": REMOVED_WITH[Removal.KEEP_KEYS], "destinations": ()},
        {"versions": (replace(ACTIVE, has_key=False),)},
        {"versions": (ACTIVE, _version(_S.PROVEN, 10)), "deliveries": (_waits(_version(_S.PROVEN, 10)),)},
        {"versions": ()},
    ],
)
def test_nobody_looks_where_nothing_can_be_expected(facts: dict[str, Any]) -> None:
    looked_at = {"now": NOW + timedelta(hours=2)} | facts
    assert not isinstance(next_step(replace(_snapshot(ACTIVE), **looked_at), WATCHFUL), Check)


# --- removal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removal", Removal)
def test_no_version_is_planned_for_a_rotation_that_is_being_deleted(removal: Removal) -> None:
    overdue = _rotation(removal=removal, last_rotated_at=NOW - timedelta(days=31))
    last = Finish() if removal is Removal.KEEP_KEYS else Delete(ACTIVE)
    assert next_step(_snapshot(ACTIVE, rotation=overdue), POLICY) == last
    assert next_step(_snapshot(rotation=overdue), POLICY) == Finish()


@pytest.mark.parametrize("removal", Removal)
@pytest.mark.parametrize("state", [_S.PLANNED, _S.CREATING, _S.CREATED])
def test_a_removal_abandons_what_no_destination_can_hold(state: VersionState, removal: Removal) -> None:
    step = next_step(_snapshot(_version(state), ACTIVE, rotation=REMOVED_WITH[removal]), POLICY)
    assert isinstance(step, Abandon)
    assert "being deleted" in step.why


def test_a_removal_that_keeps_keys_keeps_what_a_destination_may_hold() -> None:
    kept = [_version(s, n) for n, s in enumerate((_S.DISABLED, _S.RETIRING, _S.ACTIVE, _S.PROVEN))]
    snapshot = _snapshot(*kept, rotation=REMOVED_WITH[Removal.KEEP_KEYS], deliveries=())
    assert next_step(snapshot, POLICY) == Finish()
    orphan = _version(_S.ABANDONED, 7, attempt=Attempt(1, LATER))
    assert next_step(replace(snapshot, versions=(*kept, orphan)), POLICY) == Wait(LATER)


def test_a_removal_that_revokes_keys_takes_all_of_them_and_then_ends() -> None:
    rotation = REMOVED_WITH[Removal.REVOKE_KEYS]
    assert isinstance(next_step(_snapshot(_version(_S.PROVEN), rotation=rotation), POLICY), Abandon)
    for state in (_S.ACTIVE, _S.RETIRING, _S.DISABLED):
        version = _version(state, retire_at=LATER, delete_at=LATER)
        assert next_step(_snapshot(version, rotation=rotation), POLICY) == Delete(version)
    assert next_step(_snapshot(rotation=rotation), POLICY) == Finish()
    assert next_step(_snapshot(rotation=replace(rotation, removed_at=NOW)), POLICY) == Wait(None)


# --- order ------------------------------------------------------------------------------------------------------


def test_of_all_that_is_due_the_most_urgent_comes_first() -> None:
    """Clean up, carry forward, deliver again, plan, retire."""
    abandoned = _version(_S.ABANDONED)
    created = _version(_S.CREATED, 2)
    retiring = _version(_S.RETIRING, 3, retire_at=NOW)
    due = _rotation(last_rotated_at=NOW - timedelta(days=31))
    versions = [abandoned, created, retiring, ACTIVE]
    snapshot = _snapshot(*versions, rotation=due, deliveries=())
    order = [abandoned, created, ACTIVE]
    for done, step in zip(order, (Delete(abandoned), Prove(created), Deliver(ACTIVE, ONE_FILE)), strict=True):
        assert next_step(snapshot, POLICY) == step
        versions.remove(done)
        snapshot = replace(snapshot, versions=tuple(versions))
    snapshot = _snapshot(retiring, ACTIVE, rotation=due)
    assert next_step(snapshot, POLICY) == Plan()
    assert next_step(replace(snapshot, rotation=replace(due, paused=True)), POLICY) == Disable(retiring)


def test_waiting_ends_with_the_earliest_of_all_that_will_be_due() -> None:
    retiring = _version(_S.RETIRING, retire_at=NOW + timedelta(hours=2))
    created = _version(_S.CREATED, 2, attempt=Attempt(1, NOW + timedelta(hours=1)))
    assert next_step(_snapshot(retiring, created, ACTIVE), POLICY) == Wait(NOW + timedelta(hours=1))


@pytest.mark.parametrize("state", [_S.PLANNED, _S.CREATED, _S.ABANDONED, _S.RETIRING, _S.DISABLED])
def test_a_paused_connection_delays_work_at_the_provider(state: VersionState) -> None:
    version = _version(state, retire_at=NOW, delete_at=NOW)
    assert next_step(_snapshot(version, ACTIVE, connection_paused_until=LATER), POLICY) == Wait(LATER)


def test_a_paused_connection_delays_no_delivery() -> None:
    version = _version(_S.PROVEN)
    snapshot = _snapshot(version, connection_paused_until=LATER, delivered=False)
    assert next_step(snapshot, POLICY) == Deliver(version, ONE_FILE)


@pytest.mark.parametrize("state", [_S.PLANNED, _S.CREATED, _S.ABANDONED, _S.RETIRING, _S.DISABLED])
def test_what_failed_waits_for_its_next_attempt(state: VersionState) -> None:
    version = _version(state, retire_at=NOW, delete_at=NOW, attempt=Attempt(1, LATER))
    assert next_step(_snapshot(version, ACTIVE), POLICY) == Wait(LATER)


# --- moments ----------------------------------------------------------------------------------------------------


def test_the_schedule_counts_from_the_last_success_or_the_beginning() -> None:
    assert next_rotation_at(_rotation(), None) == NOW + timedelta(days=30)
    assert next_rotation_at(_rotation(last_rotated_at=LATER), ACTIVE) == LATER + timedelta(days=30)


@pytest.mark.parametrize(
    ("expires_after", "expected"), [(timedelta(days=10), timedelta(days=9)), (timedelta(days=90), timedelta(days=30))]
)
def test_a_key_is_replaced_with_a_tenth_of_its_life_left(expires_after: timedelta, expected: timedelta) -> None:
    active = replace(ACTIVE, active_at=NOW, expires_at=NOW + expires_after)
    assert next_rotation_at(_rotation(), active) == NOW + expected


@pytest.mark.parametrize(
    ("facts", "since"),
    [
        ({"active_at": NOW, "planned_at": LATER}, NOW),
        ({"planned_at": LATER}, LATER),
        ({"active_at": LATER}, LATER),
        ({}, NOW),
    ],
    ids=["in service", "planned", "never planned", "neither"],
)
def test_the_life_of_a_key_is_counted_from_its_activation(facts: dict[str, datetime], since: datetime) -> None:
    """Or from when it was planned, or the rotation made: whatever of these is known."""
    expires_at = NOW + timedelta(days=10)
    active = replace(ACTIVE, expires_at=expires_at, **facts)  # type: ignore[arg-type]  # moments alone
    assert next_rotation_at(_rotation(), active) == expires_at - (expires_at - since) / 10


def _looks(settle: timedelta) -> list[datetime]:
    version = _version(_S.ABANDONED, abandoned_at=NOW, settles_at=NOW + settle)
    looks = [NOW]
    while looks[-1] < NOW + settle:
        at = next_look_at(replace(version, looked_at=looks[-1]), POLICY)
        assert at is not None
        looks.append(at)
    return looks


def test_the_first_look_is_at_once() -> None:
    assert next_look_at(_version(_S.ABANDONED, abandoned_at=NOW, settles_at=LATER), POLICY) is None


@given(st.timedeltas(timedelta(seconds=2), timedelta(days=1)))
def test_looks_grow_rare_and_the_last_is_when_nothing_can_land_any_more(settle: timedelta) -> None:
    looks = _looks(settle)
    assert looks == sorted(set(looks))
    assert looks[-1] == NOW + settle
    assert len(looks) <= 20


@pytest.mark.parametrize("unknown", ["looked_at", "abandoned_at", "settles_at"])
def test_a_look_for_what_was_never_looked_for_or_abandoned_has_no_moment(unknown: str) -> None:
    known = {"looked_at": NOW, "abandoned_at": NOW, "settles_at": LATER}
    assert next_look_at(_version(_S.ABANDONED, 1, **known | {unknown: None}), POLICY) is None


def test_after_the_end_a_look_that_found_something_is_followed_by_one_more_at_once() -> None:
    late = LATER + timedelta(hours=1)
    version = _version(_S.ABANDONED, abandoned_at=NOW, settles_at=LATER, looked_at=late)
    assert next_look_at(version, POLICY) == late


# --- failures ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 6), st.uuids())
def test_pauses_double_within_a_jitter_of_half_and_stay_below_the_longest(count: int, seed: object) -> None:
    attempt = after_failure(Attempt(count), Unavailable("no"), seed=str(seed), now=NOW, policy=POLICY)
    assert attempt.count == count + 1
    assert attempt.next_at is not None
    full = min(POLICY.retry_base * 2**count, POLICY.retry_max)
    assert full * 0.5 <= attempt.next_at - NOW <= full


def test_jitter_differs_between_versions_and_repeats_for_one() -> None:
    def pause(seed: str) -> datetime | None:
        return after_failure(Attempt(3), Unavailable("no"), seed=seed, now=NOW, policy=POLICY).next_at

    assert pause("a") == pause("a")
    pauses = {moment - NOW for n in range(200) if (moment := pause(f"v-{n}"))}
    assert len(pauses) == 200
    full = POLICY.retry_base * 2**3
    assert min(pauses) < full * 0.55
    assert max(pauses) > full * 0.95


@given(st.integers(0, 10_000))
def test_no_number_of_failures_breaks_the_arithmetic(count: int) -> None:
    patient = replace(POLICY, attempts=100_000)
    attempt = after_failure(Attempt(count), Unavailable("no"), seed="v", now=NOW, policy=patient)
    assert attempt.next_at is not None
    assert attempt.next_at - NOW <= POLICY.retry_max


@pytest.mark.parametrize(
    "error",
    [
        CredentialRejected("no"),
        Refused("no"),
        Conflict("no"),
        NotFound("no"),
        InvalidInput("--limit", "no"),
        Broken("no"),
        CannotDecrypt("no"),
    ],
)
def test_what_needs_a_person_is_tried_at_a_slow_pace_from_the_first_time(error: RotatorError) -> None:
    attempt = after_failure(Attempt(), error, seed="v", now=NOW, policy=POLICY)
    assert attempt.next_at == NOW + POLICY.attention_pace


@pytest.mark.parametrize("error", [Unavailable("no"), OutcomeUnknown("no"), TryAgain("no")])
def test_after_the_last_attempt_the_pace_is_slow(error: RotatorError) -> None:
    attempt = after_failure(Attempt(POLICY.attempts - 1), error, seed="v", now=NOW, policy=POLICY)
    assert (attempt.count, attempt.next_at) == (POLICY.attempts, NOW + POLICY.attention_pace)


@pytest.mark.parametrize("asked", [timedelta(seconds=1), timedelta(hours=2)])
def test_nothing_is_tried_before_the_other_side_said(asked: timedelta) -> None:
    error = RateLimited("slow down", retry_after=asked)
    attempt = after_failure(Attempt(), error, seed="v", now=NOW, policy=POLICY)
    assert attempt.next_at is not None
    assert attempt.next_at >= NOW + max(asked, POLICY.retry_base / 2)


def test_a_failure_is_remembered_in_words() -> None:
    error = Refused("OpenRouter refused.", "Ask it why.")
    attempt = after_failure(Attempt(), error, seed="v", now=NOW, policy=POLICY)
    assert (attempt.family, attempt.error, attempt.remedy) == ("operator-needed", "OpenRouter refused.", "Ask it why.")


MANY: Final = Attempt(POLICY.attempts, NOW, "try-again", "no")
FIRM: Final = Attempt(1, NOW, "operator-needed", "no", "do")
LET_GO: Final = f"Or leave it what it holds: `rotator rotation unpublish web {NEEDED.label}`."


def _attention(
    *attempts: Attempt, of: Destination = NEEDED, removal: Removal | None = None, policy: Policy = WATCHFUL
) -> tuple[str, str] | None:
    """With these attempts of a version, and of a destination."""
    version, place = attempts
    versions = (_version(_S.ACTIVE), _version(_S.PLANNED, 2, attempt=version))
    return attention(_rotation(name="web", removal=removal), versions, (replace(of, attempt=place),), policy)


@pytest.mark.parametrize(
    ("attempt", "remedy"),
    [
        (Attempt(), None),
        (replace(MANY, count=POLICY.attempts - 1), None),
        (MANY, ""),
        (FIRM, "do"),
        (replace(FIRM, family="broken"), "do"),
    ],
)
def test_attention_is_asked_for_by_kind_or_by_number(attempt: Attempt, remedy: str | None) -> None:
    leaving = replace(NEEDED, leaving=True)
    asked = {
        "version 2 (planned): no": (_attention(attempt, Attempt()), remedy),
        f"{NEEDED.label} cannot be read: no": (_attention(Attempt(), attempt), remedy),
        f"{NEEDED.label} may still hold a key: no": (
            _attention(Attempt(), attempt, of=leaving),
            f"{remedy} {LET_GO}".strip(),
        ),
    }
    for text, (told, wanted) in asked.items():
        assert told == (None if remedy is None else (text, wanted))


def test_the_end_of_a_rotation_waits_for_destinations_that_leave_and_for_no_others() -> None:
    leaving, removal = replace(NEEDED, leaving=True), Removal.KEEP_KEYS
    told = _attention(FIRM, MANY, of=leaving, removal=removal)
    assert told == (f"{NEEDED.label} may still hold a key: no", LET_GO)
    assert _attention(FIRM, MANY, of=leaving) == ("version 2 (planned): no", "do")
    assert _attention(Attempt(), FIRM, removal=removal) is None


def test_a_destination_that_nobody_reads_any_more_needs_nobody() -> None:
    assert _attention(Attempt(), FIRM, policy=replace(WATCHFUL, drift_every=None)) is None
