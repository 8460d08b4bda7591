"""The lease: one taker, a fence that grows, and no write by whoever lost it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.operations import Operations
from tasks.rotation.errors import LeaseLost, Overtaken
from tasks.rotation.model import Attempt, Delivery, Event, Rotation, VersionState
from tasks.rotation.ports import Change, Lease
from tasks.wiring import Rotator
from tests.contract.state.scene import (
    START,
    Clock,
    Rows,
    add_connection,
    at_once,
    order,
    race,
    start_processes,
    version_of,
)

LEASE = timedelta(seconds=60)


@pytest.fixture
def rotation(rotator: Rotator, operations: Operations) -> Rotation:
    add_connection(rotator)
    operations.create_rotation(order())
    return rotator.store.rotations.get("web").rotation


def _take(rotator: Rotator, rotation: Rotation, owner: str = "me") -> Lease:
    lease = rotator.store.leased.take_lease(rotation.id, owner)
    assert lease is not None
    return lease


def _event(name: str, rotation: Rotation) -> Event:
    return Event(at=START, name=name, actor="test", rotation_id=rotation.id)


def test_one_of_eight_takers_gets_it(rotator: Rotator, rotation: Rotation) -> None:
    leases = at_once(8, lambda n: rotator.store.leased.take_lease(rotation.id, f"taker-{n}"))
    assert len([lease for lease in leases if lease]) == 1


def test_one_of_four_processes_gets_it(environment: Mapping[str, str], rotator: Rotator, rotation: Rotation) -> None:
    code = (
        "from config.settings import settings\n"
        "from tasks.wiring import open_rotator\n"
        "store = open_rotator(settings()).store\n"
        "store.now()\n"
        "go()\n"
        f"print(json.dumps(store.leased.take_lease({rotation.id!r}, 'racer') is not None))\n"
    )
    assert sorted(race(start_processes(code, [environment] * 4))) == [False, False, False, True]


def test_nobody_gets_it_before_it_ran_out_and_the_fence_grows(
    rotator: Rotator, rotation: Rotation, clock: Clock
) -> None:
    first = _take(rotator, rotation)
    clock.advance(LEASE)
    assert rotator.store.leased.take_lease(rotation.id, "other") is None
    clock.advance(timedelta(milliseconds=1))
    assert _take(rotator, rotation, "other").fence == first.fence + 1


@pytest.mark.parametrize("kind", ["postgresql"])  # on SQLite nobody writes beside another anyway
def test_who_freezes_while_noting_that_it_works_holds_up_no_other_rotation(
    rotator: Rotator, rotation: Rotation, rows: Rows, kind: str
) -> None:
    with rows.engine.begin() as frozen:
        frozen.execute(sa.text("UPDATE migrations SET worked_at = 0"))
        assert _take(rotator, rotation).fence == 1
        rotator.store.record_tick()


def test_there_is_no_lease_on_what_is_not_there(rotator: Rotator) -> None:
    assert rotator.store.leased.take_lease("no-such-rotation", "me") is None


def test_expiry_is_by_the_databases_clock_alone(rotator: Rotator, rotation: Rotation, clock: Clock) -> None:
    """However long this machine was asleep: what counts is the database's time."""
    lease = _take(rotator, rotation)
    lease.ends_at_s -= 3600
    rotator.store.leased.keep_lease(lease, timedelta(seconds=10))
    rotator.store.leased.commit(lease, Change())


def test_whoever_lost_it_can_write_nothing(rotator: Rotator, rotation: Rotation, clock: Clock, rows: Rows) -> None:
    stale = _take(rotator, rotation)
    clock.advance(LEASE * 2)
    _take(rotator, rotation, "other")
    before = rows.all()
    leased = rotator.store.leased
    planned = Change(events=(_event("stale", rotation),), versions=((None, version_of(rotation, 1)),))
    with pytest.raises(LeaseLost):
        leased.commit(stale, planned)
    with pytest.raises(LeaseLost):
        leased.release_lease(stale, wake_at=None, seen_revision=leased.load(stale).revision)
    stale.ends_at_s -= 3600
    with pytest.raises(LeaseLost):
        leased.keep_lease(stale, timedelta(seconds=10))
    assert rows.all() == before


def test_a_lease_that_ran_out_writes_nothing_even_if_nobody_took_it(
    rotator: Rotator, rotation: Rotation, clock: Clock
) -> None:
    lease = _take(rotator, rotation)
    clock.advance(LEASE + timedelta(milliseconds=1))
    with pytest.raises(LeaseLost):
        rotator.store.leased.commit(lease, Change(events=(_event("late", rotation),)))


def test_keeping_it_renews_when_too_little_is_left(
    rotator: Rotator, rotation: Rotation, clock: Clock, rows: Rows
) -> None:
    lease = _take(rotator, rotation)
    clock.advance(LEASE / 2)
    until = rows.one("SELECT lease_until FROM rotations")
    rotator.store.leased.keep_lease(lease, timedelta(seconds=10))
    assert rows.one("SELECT lease_until FROM rotations") == until  # this process saw no time pass
    lease.ends_at_s -= 55
    rotator.store.leased.keep_lease(lease, timedelta(seconds=10))
    assert rows.one("SELECT lease_until FROM rotations") == until + 30_000


def test_keeping_it_lasts_as_long_as_was_asked_for_however_short_leases_are(
    rotator: Rotator, rotation: Rotation, rows: Rows
) -> None:
    """ROTATOR_LEASE_S may be 15, and a call of a step may take 80 seconds."""
    lease = _take(rotator, rotation)
    before = rows.one("SELECT lease_until FROM rotations")
    rotator.store.leased.keep_lease(lease, timedelta(seconds=80))
    assert rows.one("SELECT lease_until FROM rotations") >= before + 20_000


def test_keeping_it_for_call_after_call_is_not_a_commit_for_each(
    rotator: Rotator, rotation: Rotation, rows: Rows, clock: Clock
) -> None:
    """A look asks for it before each key of an account, of which there may be thousands."""
    lease = _take(rotator, rotation)
    rotator.store.leased.keep_lease(lease, timedelta(seconds=80))
    renewed = rows.one("SELECT lease_until FROM rotations")
    for _ in range(10):
        clock.advance(timedelta(milliseconds=100))
        lease.ends_at_s -= 0.1
        rotator.store.leased.keep_lease(lease, timedelta(seconds=80))
    assert rows.one("SELECT lease_until FROM rotations") == renewed


def test_a_renewal_that_was_rolled_back_does_not_count(rotator: Rotator, rotation: Rotation) -> None:
    """Else a worker would believe in a lease that the database ended, and call OpenRouter beside its successor."""
    lease = _take(rotator, rotation)
    ends_at_s = lease.ends_at_s
    gone = version_of(rotation, 9)
    with pytest.raises(Overtaken):
        rotator.store.leased.commit(lease, Change(versions=((gone, replace(gone, state=VersionState.ABANDONED)),)))
    assert lease.ends_at_s == ends_at_s


def test_releasing_sets_the_alarm_and_frees_the_rotation(rotator: Rotator, rotation: Rotation, rows: Rows) -> None:
    lease = _take(rotator, rotation)
    revision = rotator.store.leased.load(lease).revision
    assert rotator.store.leased.release_lease(lease, wake_at=START + LEASE, seen_revision=revision)
    ((wake_at, owner, until),) = rows.ask("SELECT wake_at, lease_owner, lease_until FROM rotations")
    assert (wake_at, owner, until) == (int((START + LEASE).timestamp() * 1000), None, None)
    assert _take(rotator, rotation, "other").fence == lease.fence + 1


def test_it_is_not_released_on_an_older_view_than_the_operators(
    rotator: Rotator, operations: Operations, rotation: Rotation, rows: Rows
) -> None:
    """An alarm that was decided before an operator's request would sleep through it."""
    lease = _take(rotator, rotation)
    seen = rotator.store.leased.load(lease).revision
    operations.rotate("web")
    assert not rotator.store.leased.release_lease(lease, wake_at=None, seen_revision=seen)
    assert rows.one("SELECT lease_owner FROM rotations") == "me"
    now_seen = rotator.store.leased.load(lease).revision
    assert rotator.store.leased.release_lease(lease, wake_at=None, seen_revision=now_seen)


def test_a_commit_is_all_or_nothing(rotator: Rotator, rotation: Rotation, rows: Rows) -> None:
    lease = _take(rotator, rotation)
    planned = version_of(rotation, 1)
    rotator.store.leased.commit(lease, Change(versions=((None, planned),)))
    before = rows.all()
    proven = replace(planned, state=VersionState.PROVEN)
    change = Change(
        events=(_event("half", rotation),),
        versions=((planned, replace(planned, state=VersionState.CREATING)), (proven, replace(proven, number=7))),
        keys={planned.id: Secret("canary")},
        rotation=(rotation, replace(rotation, attention="half")),
        pause_connection_until=START + LEASE,
    )
    with pytest.raises(Overtaken):
        rotator.store.leased.commit(lease, change)
    assert rows.all() == before


@pytest.mark.parametrize("number", [1, 2], ids=["number taken", "place in line taken"])
def test_who_plans_beside_another_plan_is_told(rotator: Rotator, rotation: Rotation, number: int) -> None:
    lease = _take(rotator, rotation)
    rotator.store.leased.commit(lease, Change(versions=((None, version_of(rotation, 1)),)))
    other = replace(version_of(rotation, number), id="other")
    with pytest.raises(Overtaken, match="planned by someone else"):
        rotator.store.leased.commit(lease, Change(versions=((None, other),)))
    assert len(rotator.store.rotations.versions(rotation.id)) == 1


def test_what_is_committed_is_read_again(rotator: Rotator, rotation: Rotation, rows: Rows) -> None:
    lease = _take(rotator, rotation)
    leased = rotator.store.leased
    version = version_of(rotation, 1, marker="a" * 12, expires_at=START + LEASE)
    changed = replace(rotation, last_version=1, attention="why", remedy="how", last_rotated_at=START)
    leased.commit(
        lease,
        Change(versions=((None, version),), keys={version.id: Secret("canary-text")}, rotation=(rotation, changed)),
    )
    snapshot = leased.load(lease)
    assert snapshot.rotation == changed
    assert snapshot.versions == (replace(version, has_key=True),)
    assert leased.key(version.id) == Secret("canary-text")
    shredded = replace(snapshot.versions[0], has_key=False)
    leased.commit(lease, Change(versions=((snapshot.versions[0], shredded),)))
    assert rows.one("SELECT key_sealed FROM key_versions") is None


def test_a_delivery_is_one_row_however_often_it_is_told(
    rotator: Rotator, operations: Operations, rows: Rows, tmp_path: Path
) -> None:
    add_connection(rotator)
    operations.create_rotation(order(publish=(Secret(f"dotenv:{tmp_path}/.env"),)))
    snapshot = rotator.store.rotations.get("web")
    lease, version = _take(rotator, snapshot.rotation), version_of(snapshot.rotation, 1)
    rotator.store.leased.commit(lease, Change(versions=((None, version),)))
    (destination,) = snapshot.destinations
    failed = Attempt(3, START, "try-again", "refused", "wait")
    for delivered_at, attempt, receipt in ((None, failed, None), (START, Attempt(), "as of today")):
        delivery = Delivery(version.id, destination.id, delivered_at, attempt, receipt, delivered_at)
        rotator.store.leased.commit(lease, Change(deliveries=(delivery,)))
        assert rotator.store.leased.load(lease).deliveries == (delivery,)
    assert rows.one("SELECT count(*) FROM deliveries") == 1


def test_a_pause_of_the_connection_only_grows(rotator: Rotator, rotation: Rotation) -> None:
    lease = _take(rotator, rotation)
    for asked, stands in ((10, 10), (5, 10), (20, 20), (19, 20)):
        until = START + timedelta(minutes=asked)
        rotator.store.leased.commit(lease, Change(pause_connection_until=until))
        assert rotator.store.leased.load(lease).connection_paused_until == START + timedelta(minutes=stands)
