"""When a rotation runs next: what people write, clock changes, windows, and the room that the old key needs."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.rotation.errors import InvalidInput
from tasks.rotation.schedule import (
    Cron,
    Every,
    Schedule,
    format_span,
    make_schedule,
    next_run,
    parse_span,
    parse_time_of_day,
    refuse_if_too_short,
    shortest_gap,
    upcoming,
)
from tasks.rotation.timing import slot_after

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def cron(expression: str, timezone: str = "UTC", window: str | None = None) -> Schedule:
    return make_schedule(every=None, at=None, cron=expression, timezone=timezone, window=window)


def every(interval: str, at: str | None = None, timezone: str = "UTC", window: str | None = None) -> Schedule:
    return make_schedule(every=interval, at=at, cron=None, timezone=timezone, window=window)


def local(text: str, timezone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold)


def runs(schedule: Schedule, start: datetime, count: int) -> list[str]:
    """Follow the schedule, each run a success on time; local times with their offset."""
    times = upcoming(schedule, last_success=start, now=start, seed="one", count=count)
    return [f"{run.astimezone(ZoneInfo(schedule.timezone)):%d %H:%M %z}" for run in times]


def seed_with_delay(schedule: Schedule, least: timedelta, most: timedelta) -> tuple[str, timedelta]:
    """Find a rotation whose place in the window lies between the two."""
    plain = Schedule(Every(DAY, None), window=schedule.window)
    for number in range(10_000):
        delay = next_run(plain, last_success=NEW_YEAR, seed=str(number)) - NEW_YEAR - DAY
        if least <= delay <= most:
            return str(number), delay
    raise AssertionError("no seed has such a delay")


# What people write


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        ("1d12h", timedelta(hours=36)),
        ("1w1d1h1m1s", timedelta(days=8, hours=1, minutes=1, seconds=1)),
        (" 1d ", timedelta(days=1)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_a_span_is_whole_numbers_with_units(text: str, span: timedelta) -> None:
    assert parse_span(text, field="--overlap") == span


@pytest.mark.parametrize(
    "text", ["", " ", "30", "-1d", "+1d", "1.5h", "1y", "d", "1h1d", "1d1d", "1d 12h", "30D", "٣d", "1" * 5000 + "d"]
)
def test_anything_else_is_not_a_span(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a span of time") as refusal:
        parse_span(text, field="--overlap")
    assert refusal.value.field == "--overlap"
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize("text", ["3651d", "522w", "999999999w", "3650d1s"])
def test_more_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="longer than ten years"):
        parse_span(text, field="--every")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=900), "0s"),
        (timedelta(milliseconds=-900), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=30), "30d"),
        (timedelta(hours=36), "1d12h"),
        (timedelta(hours=-36), "-1d12h"),
    ],
)
def test_a_span_is_written_as_it_is_read(span: timedelta, text: str) -> None:
    assert format_span(span) == text


@pytest.mark.parametrize(("text", "at"), [("03:00", time(3)), ("3:05", time(3, 5)), ("23:59", time(23, 59))])
def test_a_time_of_day_is_hours_and_minutes(text: str, at: time) -> None:
    assert parse_time_of_day(text, field="--at") == at


@pytest.mark.parametrize("text", ["", "3", "24:00", "12:60", "03:00:00", "-1:00", "3am", "٠٣:٠٠"])
def test_anything_else_is_not_a_time_of_day(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time of day"):
        parse_time_of_day(text, field="--at")


def test_a_schedule_keeps_what_was_asked() -> None:
    assert every("30d", "03:00", BERLIN, "2h") == Schedule(Every(30 * DAY, time(3)), BERLIN, 2 * HOUR)
    assert cron(" 0  3 1 * * ") == Schedule(Cron("0 3 1 * *"), "UTC", timedelta(0))
    assert every("90s", window="0") == every("90s")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (every("30d", "03:00", BERLIN), "every 30d at 03:00 Europe/Berlin"),
        (every("12h", timezone=BERLIN, window="10m"), "every 12h, spread over 10m"),
        (cron("0 3 1 * *"), 'cron "0 3 1 * *" UTC'),
        (cron("0 3 1 * *", BERLIN, "2h"), 'cron "0 3 1 * *" Europe/Berlin, spread over 2h'),
    ],
)
def test_a_schedule_says_itself_in_words(schedule: Schedule, words: str) -> None:
    assert schedule.describe() == words


@pytest.mark.parametrize(
    ("asked", "field", "problem"),
    [
        ({}, "--every", "there is no schedule"),
        ({"every": "1d", "cron": "0 3 * * *"}, "--cron", "cannot be combined with --every"),
        ({"every": "1x"}, "--every", "not a span"),
        ({"every": "0"}, "--every", "would never stop"),
        ({"every": "36h", "at": "03:00"}, "--at", "--every 1d12h is not whole days"),
        ({"every": "1d", "at": "3"}, "--at", "not a time of day"),
        ({"cron": "0 3 * * *", "at": "03:00"}, "--at", "goes with --every only"),
        ({"every": "1d", "timezone": "Europe/Berln"}, "--timezone", "Did you mean Europe/Berlin?"),
        ({"every": "1d", "timezone": "europe/berlin"}, "--timezone", "Did you mean Europe/Berlin?"),
        ({"every": "1d", "timezone": "../../etc/passwd"}, "--timezone", "Use an IANA name"),
        ({"every": "1d", "timezone": "Europe"}, "--timezone", "not a time zone"),
        ({"every": "1d", "timezone": ""}, "--timezone", "not a time zone"),
        ({"every": "1d", "window": "soon"}, "--window", "not a span"),
        ({"every": "1d", "window": "1d"}, "--window", "1d is not shorter than the 1d between two runs"),
        (
            {"every": "1d", "at": "03:00", "timezone": BERLIN, "window": "23h30m"},
            "--window",
            "23h30m is not shorter than the 23h between two runs",
        ),
        ({"cron": "0 3,4 * * *", "window": "1h"}, "--window", "1h is not shorter than the 1h between two runs"),
        ({"cron": "0 3 * *"}, "--cron", "five short fields"),
        ({"cron": "0 0 3 * * *"}, "--cron", "five short fields"),
        ({"cron": "@daily"}, "--cron", "five short fields"),
        ({"cron": "9" * 5000 + " 3 * * *"}, "--cron", "five short fields"),
        ({"cron": "60 3 * * *"}, "--cron", "Bad minute"),
        ({"cron": "0 0 30 2 *"}, "--cron", "Bad day-of-month"),
        ({"cron": "0 0 LW * */7"}, "--cron", "never comes true"),
        ({"cron": "0 * LW * */7"}, "--cron", "never comes true"),
    ],
)
def test_a_wrong_schedule_is_refused_by_the_option_that_is_wrong(
    asked: dict[str, str], field: str, problem: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        make_schedule(**({"every": None, "at": None, "cron": None} | asked))  # type: ignore[arg-type]  # fields of several types
    assert refusal.value.field == field
    assert problem in str(refusal.value)
    assert refusal.value.remedy.endswith((".", "?"))
    assert len(str(refusal.value)) < 250


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware UTC"):
        next_run(every("1d"), last_success=datetime(2026, 1, 1), seed="one")  # noqa: DTZ001 - the mistake itself


# Intervals


def test_an_interval_counts_real_time_across_a_clock_change() -> None:
    before = local("2026-03-28T12:00", BERLIN)
    assert next_run(every("1d", timezone=BERLIN), last_success=before, seed="one") - before == DAY


def test_an_interval_with_a_time_of_day_counts_calendar_days_where_the_clock_hangs() -> None:
    schedule = every("30d", "03:00", BERLIN)
    assert next_run(schedule, last_success=local("2026-03-10T03:00:07", BERLIN), seed="one") == local(
        "2026-04-09T03:00", BERLIN
    )
    assert next_run(schedule, last_success=local("2026-03-10T18:00", BERLIN), seed="one") == local(
        "2026-04-09T03:00", BERLIN
    )


def test_the_day_is_that_of_the_time_zone_not_of_utc() -> None:
    success = local("2026-01-10T00:30", "Pacific/Kiritimati")  # still the 9th in UTC
    run = next_run(every("1d", "00:15", "Pacific/Kiritimati"), last_success=success, seed="one")
    assert run == local("2026-01-11T00:15", "Pacific/Kiritimati")


def test_a_run_of_the_late_evening_that_succeeds_after_midnight_does_not_cost_a_day() -> None:
    schedule = every("1d", "23:59", BERLIN)
    assert next_run(schedule, last_success=local("2026-01-11T00:02", BERLIN), seed="one") == local(
        "2026-01-11T23:59", BERLIN
    )


def test_an_early_manual_run_on_the_same_day_replaces_the_run_of_that_day() -> None:
    schedule = every("1d", "03:00", BERLIN)
    assert next_run(schedule, last_success=local("2026-01-11T01:00", BERLIN), seed="one") == local(
        "2026-01-12T03:00", BERLIN
    )


def test_a_day_that_begins_twice_still_gives_a_later_time() -> None:
    """In St. John's clocks went from 00:01 on the 7th back to 23:01 on the 6th, in November 2010."""
    daily, zone = Every(DAY, time(0)), ZoneInfo("America/St_Johns")
    success = local("2010-11-06T23:30", zone.key, fold=1)
    assert slot_after(daily, zone, success.astimezone(UTC)) == local("2010-11-08T00:00", zone.key)
    assert next_run(Schedule(daily, zone.key), last_success=success, seed="one") == local("2010-11-08T00:00", zone.key)


# Clock changes


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        (cron("30 2 * * *", BERLIN), "2026-03-28T02:30", ["29 03:00 +0200", "30 02:30 +0200"]),
        (cron("30 2 * * *", NEW_YORK), "2026-03-07T02:30", ["08 03:00 -0400", "09 02:30 -0400"]),
        (cron("15 2 * * *", LORD_HOWE), "2026-10-03T02:15", ["04 02:30 +1100", "05 02:15 +1100"]),
        (every("1d", "02:30", BERLIN), "2026-03-28T02:30", ["29 03:00 +0200", "30 02:30 +0200"]),
        (every("1d", "02:15", LORD_HOWE), "2026-10-03T02:15", ["04 02:30 +1100", "05 02:15 +1100"]),
        (cron("0 0 * * *", "Africa/Cairo"), "2026-04-23T00:00", ["24 01:00 +0300", "25 00:00 +0300"]),
    ],
)
def test_a_time_that_clocks_skip_runs_once_right_after_the_gap(
    schedule: Schedule, start: str, expected: list[str]
) -> None:
    assert runs(schedule, local(start, schedule.timezone), 2) == expected


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        (cron("30 2 * * *", BERLIN), "2026-10-24T02:30", ["25 02:30 +0200", "26 02:30 +0100"]),
        (cron("30 1 * * *", NEW_YORK), "2026-10-31T01:30", ["01 01:30 -0400", "02 01:30 -0500"]),
        (cron("45 1 * * *", LORD_HOWE), "2026-04-04T01:45", ["05 01:45 +1100", "06 01:45 +1030"]),
        (every("1d", "02:30", BERLIN), "2026-10-24T02:30", ["25 02:30 +0200", "26 02:30 +0100"]),
        (every("1d", "01:45", LORD_HOWE), "2026-04-04T01:45", ["05 01:45 +1100", "06 01:45 +1030"]),
    ],
)
def test_a_time_that_clocks_show_twice_runs_at_its_first_occurrence_only(
    schedule: Schedule, start: str, expected: list[str]
) -> None:
    assert runs(schedule, local(start, schedule.timezone), 2) == expected


def test_a_success_in_the_repeated_hour_does_not_bring_back_times_of_the_first() -> None:
    success = local("2026-10-25T02:10", BERLIN, fold=1)
    assert next_run(cron("30 2 * * *", BERLIN), last_success=success, seed="one") == local("2026-10-26T02:30", BERLIN)


def test_all_times_within_one_gap_are_one_run() -> None:
    assert runs(cron("*/10 2 * * *", BERLIN), local("2026-03-28T02:50", BERLIN), 2) == [
        "29 03:00 +0200",
        "30 02:00 +0200",
    ]


@pytest.mark.parametrize("hours", ["*", "0-23", "*/1"])
@pytest.mark.parametrize(
    ("day", "timezone"), [("2026-03-28", BERLIN), ("2026-10-24", BERLIN), ("2026-11-01", NEW_YORK)]
)
def test_an_hourly_expression_goes_on_hourly_in_real_time(hours: str, day: str, timezone: str) -> None:
    start = local(f"{day}T00:30", timezone)
    times = upcoming(cron(f"30 {hours} * * *", timezone), last_success=start, now=start, seed="one", count=48)
    assert list(times) == [start.astimezone(UTC) + number * HOUR for number in range(1, 49)]


def test_an_hourly_expression_follows_the_clock_where_it_moves_by_half_an_hour() -> None:
    schedule = cron("0 * * * *", LORD_HOWE)
    assert runs(schedule, local("2026-10-04T00:00", LORD_HOWE), 2) == ["04 01:00 +1030", "04 03:00 +1100"]
    assert runs(schedule, local("2026-04-05T00:00", LORD_HOWE), 2) == ["05 01:00 +1100", "05 02:00 +1030"]


# Outage, and the next times


def test_after_an_outage_a_rotation_runs_once_and_then_on_time() -> None:
    now = datetime(2026, 1, 20, 15, 7, tzinfo=UTC)
    assert upcoming(cron("0 3 * * *"), last_success=NEW_YEAR, now=now, seed="one") == (
        now,
        datetime(2026, 1, 21, 3, tzinfo=UTC),
        datetime(2026, 1, 22, 3, tzinfo=UTC),
    )


def test_the_next_times_are_as_many_as_asked() -> None:
    schedule = every("12h")
    assert upcoming(schedule, last_success=NEW_YEAR, now=NEW_YEAR, seed="one", count=0) == ()
    assert upcoming(schedule, last_success=NEW_YEAR, now=NEW_YEAR, seed="one", count=2) == (
        NEW_YEAR + 12 * HOUR,
        NEW_YEAR + DAY,
    )


# The window


@pytest.mark.parametrize("schedule", [cron("0 3 * * *", window="2h"), every("1d", "03:00", window="2h")])
def test_each_rotation_keeps_its_place_in_the_window(schedule: Schedule) -> None:
    seed, delay = seed_with_delay(schedule, 30 * MINUTE, 90 * MINUTE)
    times = upcoming(schedule, last_success=NEW_YEAR + DAY / 2, now=NEW_YEAR + DAY / 2, seed=seed)
    assert [run - delay for run in times] == [datetime(2026, 1, day, 3, tzinfo=UTC) for day in (2, 3, 4)]


def test_many_rotations_spread_over_the_window() -> None:
    schedule, nominal = cron("0 3 * * *", window="1h"), datetime(2026, 1, 1, 3, tzinfo=UTC)
    delays = [next_run(schedule, last_success=NEW_YEAR, seed=f"rotation-{n}") - nominal for n in range(400)]
    assert all(timedelta(0) <= delay < HOUR for delay in delays)
    quarters = [sum(delay // (15 * MINUTE) == quarter for delay in delays) for quarter in range(4)]
    assert min(quarters) > 60


def test_an_interval_without_a_time_of_day_grows_by_the_delay() -> None:
    times = {next_run(every("12h", window="1h"), last_success=NEW_YEAR, seed=str(n)) for n in range(50)}
    assert len(times) > 25
    assert all(NEW_YEAR + 12 * HOUR <= run < NEW_YEAR + 13 * HOUR for run in times)


@pytest.mark.parametrize("schedule", [cron("30 0 * * *", window="4h"), every("1d", "00:30", window="4h")])
def test_a_manual_success_inside_the_window_counts_as_the_run_of_that_day(schedule: Schedule) -> None:
    seed, delay = seed_with_delay(schedule, 3 * HOUR, 4 * HOUR)
    success = datetime(2026, 1, 10, 0, 45, tzinfo=UTC)  # the run would have been due three hours later
    assert next_run(schedule, last_success=success, seed=seed) == datetime(2026, 1, 11, 0, 30, tzinfo=UTC) + delay


@pytest.mark.parametrize("schedule", [cron("0 3 * * *", window="23h"), every("1d", "03:00", window="23h")])
def test_a_success_that_is_late_by_a_long_delay_skips_nothing(schedule: Schedule) -> None:
    """Late by 22.5 hours and then some: the next slot has begun, but its own run is still almost a day away."""
    seed, delay = seed_with_delay(schedule, 22 * HOUR, 23 * HOUR)
    success = datetime(2026, 1, 10, 3, tzinfo=UTC) + delay + 2 * HOUR + MINUTE
    assert next_run(schedule, last_success=success, seed=seed) == datetime(2026, 1, 11, 3, tzinfo=UTC) + delay


# Room for the old key


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        (every("12h"), 12 * HOUR),
        (every("12h", window="1h"), 12 * HOUR),
        (every("2d", "03:00"), 2 * DAY),
        (every("2d", "03:00", BERLIN), 2 * DAY - HOUR),
        (every("1d", "02:30", BERLIN), DAY - 30 * MINUTE),
        (cron("0 3 1 * *"), 28 * DAY),
        (cron("0 3,9 * * *"), 6 * HOUR),
        (cron("0 3 * * *", BERLIN), DAY - HOUR),
        (cron("0 */2 * * *", BERLIN), HOUR),
        (cron("*/10 2 * * *", BERLIN), 10 * MINUTE),
        (cron("0 * * * *", BERLIN), HOUR),
        (cron("30 * * * *", LORD_HOWE), HOUR),
        (cron("* * * * *"), MINUTE),
        (cron("0 0 29 2 *"), 1461 * DAY),
    ],
)
def test_the_shortest_gap_counts_clock_changes_and_short_months(schedule: Schedule, gap: timedelta) -> None:
    assert shortest_gap(schedule, after=NEW_YEAR) == gap
    assert shortest_gap(schedule, after=datetime(2028, 1, 15, 17, 3, tzinfo=UTC)) == gap


@pytest.mark.parametrize(("overlap", "cooling"), [(DAY, DAY), (timedelta(0), 2 * DAY), (HOUR, timedelta(0))])
def test_a_schedule_with_room_for_the_old_key_is_taken(overlap: timedelta, cooling: timedelta) -> None:
    refuse_if_too_short(every("2d"), overlap=overlap, cooling=cooling, after=NEW_YEAR)


def test_a_schedule_too_short_for_overlap_and_cooling_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_if_too_short(every("12h"), overlap=DAY, cooling=6 * HOUR, after=NEW_YEAR)
    assert str(refusal.value) == (
        "--every: every 12h leaves as little as 12h between two rotations, but the old key takes --overlap 1d + "
        "--cooling 6h = 1d6h to be gone. Rotate less often, or choose an --overlap below 12h that together with "
        "--cooling is no more than 12h."
    )


def test_an_overlap_as_long_as_the_gap_is_refused() -> None:
    with pytest.raises(InvalidInput, match="--overlap 12h"):
        refuse_if_too_short(every("12h"), overlap=12 * HOUR, cooling=timedelta(0), after=NEW_YEAR)


def test_a_cron_expression_that_is_too_frequent_is_refused_under_its_own_name() -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_if_too_short(cron("0 */6 * * *"), overlap=DAY, cooling=DAY, after=NEW_YEAR)
    assert refusal.value.field == "--cron"
