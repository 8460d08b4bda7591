"""The picture of key lives: places on the axis, what is planned, and the same in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.rotation.model import KeyVersion, Reason, VersionState
from worker.web.console.axis import Axis
from worker.web.console.lives import SHOWN, Plan, Stage, draw, lives

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = Plan(DAY, DAY, (NOW + 20 * DAY, NOW + 50 * DAY, NOW + 80 * DAY))


def version(number: int, state: VersionState, born_at: datetime, **facts: Any) -> KeyVersion:
    seconds = timedelta(seconds=1)
    times = {"planned_at": born_at, "created_at": born_at + seconds, "proven_at": born_at + 2 * seconds}
    return KeyVersion(f"v{number}", "r", number, state, Reason.SCHEDULED, "beat", **(times | facts))


def active(number: int = 1, days_ago: int = 10) -> KeyVersion:
    born_at = NOW - days_ago * DAY
    return version(number, VersionState.ACTIVE, born_at, active_at=born_at + timedelta(seconds=3))


def gone(number: int, days_ago: int) -> KeyVersion:
    at = NOW - days_ago * DAY
    ends = {"retiring_at": at + 30 * DAY, "disabled_at": at + 31 * DAY, "deleted_at": at + 32 * DAY}
    return version(number, VersionState.DELETED, at, active_at=at, **ends)


def test_an_active_key_ends_by_the_plan_and_the_next_one_begins_then() -> None:
    current, coming = lives([active()], PLAN, NOW)
    assert [(s.stage, s.at, s.planned) for s in current.steps[3:]] == [
        (Stage.RETIRING, NOW + 20 * DAY, True),
        (Stage.DISABLED, NOW + 21 * DAY, True),
        (Stage.DELETED, NOW + 22 * DAY, True),
    ]
    assert (coming.number, coming.version, coming.steps[0].at) == (2, None, NOW + 20 * DAY)


def test_a_paused_rotation_plans_nothing() -> None:
    (only,) = lives([active()], Plan(DAY, DAY), NOW)
    assert not [s for s in only.steps if s.planned]
    assert "planned" not in draw([only], NOW).summary


def test_a_retiring_and_a_disabled_key_end_at_their_own_times() -> None:
    at = NOW - DAY / 2
    retiring = version(1, VersionState.RETIRING, at, active_at=at, retiring_at=at, retire_at=NOW + DAY / 2)
    disabled = version(2, VersionState.DISABLED, at, active_at=at, disabled_at=at, delete_at=NOW + DAY)
    first, second, _ = lives([retiring, disabled], PLAN, NOW)
    assert [(s.stage, s.at) for s in first.steps if s.planned] == [
        (Stage.DISABLED, NOW + DAY / 2),
        (Stage.DELETED, NOW + DAY / 2 + DAY),
    ]
    assert [(s.stage, s.at) for s in second.steps if s.planned] == [(Stage.DELETED, NOW + DAY)]


def test_past_and_future_of_a_stage_meet_at_now() -> None:
    picture = draw(lives([active()], PLAN, NOW), NOW)
    lived, to_come = (s for s in picture.bars[-1].segments if s.stage is Stage.ACTIVE)
    assert not lived.planned
    assert to_come.planned
    assert lived.x + lived.width == pytest.approx(picture.now, abs=0.01)


def test_what_lasted_seconds_is_still_seen_and_nothing_overlaps() -> None:
    bars = draw(lives([gone(1, 100), active(2, 70)], PLAN, NOW), NOW).bars
    for bar in bars:
        assert all(s.width >= 0.7 for s in bar.segments)
        ends = [s.x + s.width for s in bar.segments]
        assert all(end <= s.x + 0.01 for end, s in zip(ends, bar.segments[1:], strict=False))
    assert {Stage.MINTED, Stage.PROVEN} <= {s.stage for s in bars[-1].segments}
    assert bars[-1].gone is not None
    assert not bars[-1].gone.planned


def test_of_two_hundred_versions_the_last_are_shown_and_all_can_be() -> None:
    many = [*(gone(n, 30 * (201 - n) + 30) for n in range(1, 200)), active(200)]
    told = lives(many, PLAN, NOW)
    few, all_of_them = draw(told, NOW), draw(told, NOW, shown=None)
    assert [bar.number for bar in few.bars] == [201, 200, 199, 198, 197, 196, 195]
    assert few.hidden == 200 - SHOWN
    assert (len(all_of_them.bars), all_of_them.hidden) == (201, 0)


def test_no_version_at_all_is_a_picture_too() -> None:
    picture = draw(lives([], Plan(DAY, DAY), NOW), NOW)
    assert picture.bars == ()
    assert picture.summary == "Lives of 0 key versions on a time axis."


def test_a_version_that_was_brought_back_was_in_service_before() -> None:
    born_at = NOW - 10 * DAY
    back = version(1, VersionState.ACTIVE, born_at, retiring_at=NOW - 2 * DAY, disabled_at=NOW - DAY)
    undone = KeyVersion(
        **{f: getattr(back, f) for f in back.__slots__} | {"proven_at": NOW - DAY / 2, "active_at": NOW - DAY / 2}
    )
    (life,) = lives([undone], Plan(DAY, DAY), NOW)
    stages = [s.stage for s in life.steps]
    assert stages == [Stage.ACTIVE, Stage.RETIRING, Stage.DISABLED, Stage.PROVEN, Stage.ACTIVE]


def test_a_create_that_came_to_nothing_was_planned_and_abandoned() -> None:
    at = NOW - DAY
    lost = KeyVersion("v", "r", 3, VersionState.ABANDONED, Reason.MANUAL, "x", planned_at=at, abandoned_at=at + DAY / 2)
    (life,) = lives([lost], Plan(DAY, DAY), NOW)
    assert [s.stage for s in life.steps] == [Stage.PLANNED, Stage.ABANDONED]
    assert draw([life], NOW).bars[0].segments[-1].stage is Stage.ABANDONED


def test_the_words_say_what_the_picture_shows() -> None:
    picture = draw(lives([gone(1, 100), active(2)], PLAN, NOW), NOW)
    assert picture.summary == (
        "Lives of 2 key versions on a time axis; version 2 is active; version 3 is planned for 2026-12-12 06:00:00Z."
    )
    assert picture.bars[1].segments[-1].title == (
        "Version 2: planned to be disabled from 2026-12-13 06:00:00Z until 2026-12-14 06:00:00Z (1d)"
    )


@pytest.mark.parametrize("length", [timedelta(minutes=3), timedelta(hours=5), 9 * DAY, 200 * DAY, 4000 * DAY])
def test_ticks_are_few_round_and_inside(length: timedelta) -> None:
    ticks = Axis(NOW, NOW + length).ticks()
    assert 2 <= len(ticks) <= 10
    assert all(0 <= t.x <= 100 for t in ticks)
    assert all(t.at.second == 0 for t in ticks)
