"""What holds for every schedule, in every time zone, whatever people write.

The expected times come from an oracle that shares nothing with the code: it walks through real time minute by minute
and notes when the clock on the wall first shows a time, or first shows a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tasks.rotation.errors import InvalidInput
from tasks.rotation.local_time import instant_of, zone_names
from tasks.rotation.schedule import (
    Cron,
    Every,
    Schedule,
    format_span,
    make_schedule,
    next_run,
    parse_span,
    parse_time_of_day,
    upcoming,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
FAST = settings(SLOW, max_examples=200)


@cache
def clock_changes(name: str) -> tuple[datetime, ...]:
    """Days from 2024 to 2027 on which clocks in the zone change."""
    zone, days = ZoneInfo(name), [FIRST + number * DAY for number in range((LAST - FIRST).days)]
    return tuple(day for day in days if day.astimezone(zone).utcoffset() != (day + DAY).astimezone(zone).utcoffset())


zones = st.sampled_from(sorted(zone_names()))
changing_zones = st.sampled_from(
    [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Africa/Casablanca",
        "America/Havana",
        "America/Nuuk",
        "Asia/Beirut",
        "Atlantic/Azores",
        "Europe/Dublin",
        "America/St_Johns",
        "Antarctica/Troll",
    ]
)
seeds = st.text(st.characters(codec="utf-8"), max_size=40)
naive_datetimes = st.datetimes(datetime.fromisoformat("1975-01-01"), datetime.fromisoformat("2060-01-01"))
moments = naive_datetimes.map(lambda wall: wall.replace(tzinfo=UTC))
times_of_day = st.builds(time, st.integers(0, 23), st.integers(0, 59))
hours_and_minutes = st.tuples(
    st.sets(st.integers(0, 23), min_size=1, max_size=5), st.sets(st.integers(0, 59), min_size=1, max_size=3)
)


def field(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(numbers))


def delay_of(schedule: Schedule, seed: str) -> timedelta:
    """This rotation's place in the window, seen where nothing else moves the run."""
    plain = Schedule(Every(DAY, None), window=schedule.window)
    return next_run(plain, last_success=FIRST, seed=seed) - FIRST - DAY


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any valid schedule, its window below the shortest gap that its kind can have."""
    zone, kind = draw(zones), draw(st.sampled_from(["interval", "daily", "cron", "hourly"]))
    timing: Every | Cron
    if kind == "interval":
        timing = Every(timedelta(seconds=draw(st.integers(1, 10**7))), None)
        longest = timing.interval
    elif kind == "daily":
        timing, longest = Every(draw(st.integers(1, 400)) * DAY, draw(times_of_day)), 20 * HOUR
    elif kind == "cron":
        hours, minutes = draw(hours_and_minutes)
        timing, longest = Cron(f"{field(minutes)} {field(hours)} {draw(st.sampled_from(['*', '1', 'L']))} * *"), MINUTE
    else:
        timing, longest = Cron(f"{field(draw(st.sets(st.integers(0, 59), min_size=1, max_size=3)))} * * * *"), MINUTE
    window = draw(st.integers(0, int(longest.total_seconds()) - 1))
    return Schedule(timing, zone, timedelta(seconds=window))


@st.composite
def days_around_a_change(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and a UTC midnight shortly before clocks change there."""
    name = draw(changing_zones)
    return name, draw(st.sampled_from(clock_changes(name))) - 2 * DAY


def first_shown(walls: list[datetime], name: str, start: datetime, end: datetime) -> list[datetime]:
    """The oracle: each minute after ``start`` at which the clock first shows one of ``walls``, or skips it."""
    zone, minute, found = ZoneInfo(name), start, []
    latest = start.astimezone(zone).replace(tzinfo=None)
    while (minute := minute + MINUTE) < end:
        wall = minute.astimezone(zone).replace(tzinfo=None)
        if bisect_right(walls, wall) > bisect_right(walls, latest):
            found.append(minute)
        latest = max(latest, wall)
    return found


def walls_of(hours: set[int], minutes: set[int], start: datetime) -> list[datetime]:
    midnight = start.replace(tzinfo=None) - 2 * DAY
    return sorted(midnight + day * DAY + h * HOUR + m * MINUTE for day in range(10) for h in hours for m in minutes)


@FAST
@given(schedule=schedules(), last_success=moments, seed=seeds)
def test_the_next_run_is_always_later_and_aware(schedule: Schedule, last_success: datetime, seed: str) -> None:
    run = next_run(schedule, last_success=last_success, seed=seed)
    assert run > last_success
    assert run.tzinfo is UTC


@FAST
@given(schedule=schedules(), last_success=moments, seed=seeds, other=zones)
def test_the_next_run_depends_on_the_instant_alone(
    schedule: Schedule, last_success: datetime, seed: str, other: str
) -> None:
    there = last_success.astimezone(ZoneInfo(other))
    assert next_run(schedule, last_success=there, seed=seed) == next_run(schedule, last_success=last_success, seed=seed)


@FAST
@given(schedule=schedules(), last_success=moments, seed=seeds, behind=st.timedeltas(-DAY, 500 * DAY))
def test_however_many_times_were_missed_there_is_one_run_now(
    schedule: Schedule, last_success: datetime, seed: str, behind: timedelta
) -> None:
    now = last_success + behind
    first, *later = upcoming(schedule, last_success=last_success, now=now, seed=seed)
    assert first == max(now, next_run(schedule, last_success=last_success, seed=seed))
    assert later == sorted(set(later))
    assert all(run > first for run in later)


@SLOW
@given(around=days_around_a_change(), named=hours_and_minutes)
def test_a_cron_expression_runs_once_for_each_time_it_names(
    around: tuple[str, datetime], named: tuple[set[int], set[int]]
) -> None:
    (name, start), (hours, minutes) = around, named
    schedule, end = Schedule(Cron(f"{field(minutes)} {field(hours)} * * *"), name), start + 5 * DAY
    expected = first_shown(walls_of(hours, minutes, start), name, start, end)
    found, run = [], next_run(schedule, last_success=start, seed="")
    while run < end:
        found.append(run)
        run = next_run(schedule, last_success=run, seed="")
    assert found == expected


@SLOW
@given(around=days_around_a_change(), named=hours_and_minutes, into=st.integers(0, 3 * 24 * 60 - 1))
def test_the_next_run_is_the_first_that_is_named_from_any_moment(
    around: tuple[str, datetime], named: tuple[set[int], set[int]], into: int
) -> None:
    (name, start), (hours, minutes) = around, named
    after = start + into * MINUTE
    expected = first_shown(walls_of(hours, minutes, start), name, start, start + 5 * DAY)
    run = next_run(Schedule(Cron(f"{field(minutes)} {field(hours)} * * *"), name), last_success=after, seed="")
    assert run == next(time for time in expected if time > after)


@SLOW
@given(
    around=days_around_a_change(),
    at=times_of_day,
    seed=seeds,
    window=st.integers(0, 20 * 3600),
    latenesses=st.lists(st.timedeltas(timedelta(0), 2 * HOUR), min_size=5, max_size=5),
    as_cron=st.booleans(),
)
def test_a_daily_run_comes_once_a_day_at_its_delay_however_long_each_takes(
    *, around: tuple[str, datetime], at: time, seed: str, window: int, latenesses: list[timedelta], as_cron: bool
) -> None:
    name, start = around
    timing = Cron(f"{at.minute} {at.hour} * * *") if as_cron else Every(DAY, at)
    schedule = Schedule(timing, name, timedelta(seconds=window))
    delay = delay_of(schedule, seed)
    slots = first_shown(walls_of({at.hour}, {at.minute}, start), name, start, start + 8 * DAY)
    success, found = slots[0] + delay, []
    for lateness in latenesses:
        found.append(next_run(schedule, last_success=success, seed=seed) - delay)
        success = found[-1] + delay + lateness
    assert found == slots[1:6]


@SLOW
@given(
    at=times_of_day,
    seed=seeds,
    window=st.integers(60, 20 * 3600),
    place=st.floats(0, 1, exclude_max=True),
    days=st.integers(1, 40),
    as_cron=st.booleans(),
)
def test_a_manual_success_before_the_delay_is_over_causes_neither_a_second_run_soon_nor_a_skipped_one(
    *, at: time, seed: str, window: int, place: float, days: int, as_cron: bool
) -> None:
    timing, days = (Cron(f"{at.minute} {at.hour} * * *"), 1) if as_cron else (Every(days * DAY, at), days)
    schedule = Schedule(timing, "UTC", timedelta(seconds=window))
    success = datetime.combine(FIRST, at, tzinfo=UTC) + place * delay_of(schedule, seed)
    wait = next_run(schedule, last_success=success, seed=seed) - success
    assert days * DAY / 2 <= wait <= (days + 1) * DAY


@SLOW
@given(around=days_around_a_change(), minute=st.integers(0, 59))
def test_an_hourly_expression_runs_every_hour_of_real_time(around: tuple[str, datetime], minute: int) -> None:
    name, start = around
    zone = ZoneInfo(name)
    offsets = {(start + day * DAY).astimezone(zone).utcoffset() or timedelta(0) for day in range(6)}
    assume((max(offsets) - min(offsets)) % HOUR == timedelta(0))
    times = upcoming(Schedule(Cron(f"{minute} * * * *"), name), last_success=start, now=start, seed="", count=24 * 5)
    assert all(later - earlier == HOUR for earlier, later in pairwise(times))


@FAST
@given(name=zones, wall=naive_datetimes, later=st.timedeltas(timedelta(0), DAY))
def test_a_later_wall_clock_time_is_never_an_earlier_instant(name: str, wall: datetime, later: timedelta) -> None:
    zone, whole = ZoneInfo(name), wall.replace(microsecond=0)
    assert instant_of(whole, zone) <= instant_of(whole + timedelta(seconds=int(later.total_seconds())), zone)


@FAST
@given(st.integers(0, 3650 * 86_400).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_span_reads_as_it_was_written(span: timedelta) -> None:
    assert parse_span(format_span(span), field="--every") == span


@FAST
@given(times_of_day)
def test_a_time_of_day_reads_as_it_was_written(at: time) -> None:
    assert parse_time_of_day(f"{at:%H:%M}", field="--at") == at


cron_like = st.lists(st.text("0123456789*/,-#LWSUNJA ", min_size=1, max_size=6), min_size=4, max_size=6).map(" ".join)
anything = st.one_of(
    st.text(),
    st.text("0123456789wdhms+-. ", max_size=12),
    st.text("0123456789:", max_size=6),
    cron_like,
    st.sampled_from(["1d", "90s", "03:00", "0 3 * * *", "Europe/Berlin", "UTC"]),
)


@settings(FAST, max_examples=600)
@given(every=st.none() | anything, at=st.none() | anything, cron=st.none() | anything, zone=anything, window=anything)
def test_whatever_people_write_is_either_a_schedule_or_invalid_input(
    every: str | None, at: str | None, cron: str | None, zone: str, window: str
) -> None:
    for timezone in (zone, "UTC"):
        try:
            schedule = make_schedule(every=every, at=at, cron=cron, timezone=timezone, window=window)
        except InvalidInput:
            continue
        assert next_run(schedule, last_success=FIRST, seed="one") > FIRST


@settings(FAST, max_examples=400)
@given(cron=cron_like)
def test_every_accepted_cron_expression_runs_and_runs_again(cron: str) -> None:
    try:
        schedule = make_schedule(every=None, at=None, cron=cron, timezone="Europe/Berlin")
    except InvalidInput:
        return
    assert len(set(upcoming(schedule, last_success=FIRST, now=FIRST, seed="one"))) == 3
