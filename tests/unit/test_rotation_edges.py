"""Where a rule begins and where it ends: the last value that is accepted, and the first that is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.rotation.errors import InvalidInput, RateLimited, TryAgain
from tasks.rotation.local_time import instant_of
from tasks.rotation.parameters import validated_parameters, validated_slug
from tasks.rotation.schedule import Schedule, make_schedule, next_run
from tasks.rotation.spans import quoted
from tasks.rotation.timing import Every, slot_after
from tests.steered.clock import START

TOKYO = "Asia/Tokyo"
BERLIN = ZoneInfo("Europe/Berlin")
LONG_DELAY, SHORT_DELAY = "early", "late"
"""Ids of rotations; their place in a window of six days is near its end, and near its beginning."""


def _named(name: str) -> str:
    return validated_parameters(
        key_name=name,
        limit_usd=None,
        limit_reset=None,
        include_byok_in_limit=False,
        workspace_id=None,
        expires_after=None,
    ).key_name


def test_one_character_is_a_name_for_a_key_and_a_hundred_are_too() -> None:
    assert [_named(name) for name in ("x", " x ", "x" * 100)] == ["x", "x", "x" * 100]
    for name in ("", "   ", "x" * 101):
        with pytest.raises(InvalidInput, match="--key-name"):
            _named(name)


def test_a_wrong_slug_is_told_by_the_option_that_it_was_given_to() -> None:
    with pytest.raises(InvalidInput) as refused:
        validated_slug("--connection", "No Slug")
    assert refused.value.field == "--connection"
    assert str(refused.value).startswith("--connection: 'No Slug'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x" * 40, repr("x" * 40)), ("x" * 41, repr("x" * 40 + "...")), ("it's\n", '"it\'s\\n"')],
    ids=["forty", "forty-one", "escaped"],
)
def test_what_a_person_wrote_is_shown_up_to_forty_characters(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_an_expression_of_two_hundred_characters_is_read() -> None:
    longest = "0 3 1 * *".ljust(200)
    assert make_schedule(every=None, at=None, cron=longest).describe() == 'cron "0 3 1 * *" UTC'
    with pytest.raises(InvalidInput, match="five short fields"):
        make_schedule(every=None, at=None, cron=longest + " ")


@pytest.mark.parametrize("family", [TryAgain, RateLimited])
def test_an_error_says_its_message_and_its_remedy_if_it_has_one(family: type[TryAgain]) -> None:
    assert str(family("It is busy.")) == "It is busy."
    error = family("It is busy.", "Wait.", retry_after=timedelta(seconds=3))
    assert (error.message, error.remedy, str(error)) == ("It is busy.", "Wait.", "It is busy. Wait.")
    assert error.args == ("It is busy.",)
    assert InvalidInput("--at", "no time").remedy == ""


def test_a_success_counts_for_the_day_before_until_twelve_hours_after_its_time() -> None:
    daily = make_schedule(every="1d", at="20:00", cron=None)
    evening = datetime(2026, 3, 2, 20, tzinfo=UTC)
    until = evening + timedelta(hours=12)
    assert next_run(daily, last_success=until, seed="one") == evening + timedelta(days=1)
    late = until + timedelta(seconds=1)
    assert next_run(daily, last_success=late, seed="one") == evening + timedelta(days=2)


def test_the_day_of_a_daily_run_is_that_of_its_zone_wherever_this_machine_is() -> None:
    """At 20:00 UTC the next day has begun in Tokyo: what succeeds then has spent that day's run."""
    daily = make_schedule(every="1d", at="09:00", cron=None, timezone=TOKYO)
    success = datetime(2026, 3, 2, 20, tzinfo=UTC)
    assert next_run(daily, last_success=success, seed="one") == datetime(2026, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "instant"),
    [
        ("2026-06-01T09:00", "2026-06-01T07:00"),
        ("2026-03-29T02:30", "2026-03-29T01:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30"),
    ],
    ids=["summer", "skipped", "twice"],
)
def test_the_zone_of_this_machine_plays_no_part(monkeypatch: pytest.MonkeyPatch, wall: str, instant: str) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        found = instant_of(datetime.fromisoformat(wall), BERLIN)
    time.tzset()
    assert (found, found.tzinfo) == (datetime.fromisoformat(f"{instant}+00:00"), UTC)


def test_an_interval_without_a_time_of_day_names_the_moment_so_much_later() -> None:
    interval = timedelta(hours=5)
    assert slot_after(Every(interval, None), BERLIN, START) == START + interval


def _weekly(seed: str) -> tuple[Schedule, datetime, timedelta]:
    """A rotation that runs some time in the six days after each Monday's noon; such a noon, and how long after it."""
    weekly = make_schedule(every=None, at=None, cron="0 12 * * 1", window="6d")
    noon = START + timedelta(days=7)
    return weekly, noon, next_run(weekly, last_success=noon - timedelta(seconds=1), seed=seed) - noon


def test_a_success_within_the_window_counts_unless_its_run_is_more_than_half_a_gap_away() -> None:
    """An operator rotates by hand between the time that the schedule names and this rotation's own delay."""
    weekly, noon, delay = _weekly(LONG_DELAY)
    week, moment = timedelta(days=7), timedelta(seconds=1)
    assert delay > week / 2 + moment
    half_a_gap_before = noon + delay - week / 2
    assert next_run(weekly, last_success=half_a_gap_before - moment, seed=LONG_DELAY) == noon + delay
    assert next_run(weekly, last_success=half_a_gap_before, seed=LONG_DELAY) == noon + delay
    assert next_run(weekly, last_success=half_a_gap_before + moment, seed=LONG_DELAY) == noon + delay + week


def test_a_success_at_the_very_time_that_the_schedule_names_counts_as_its_run() -> None:
    weekly, noon, delay = _weekly(SHORT_DELAY)
    assert timedelta(0) < delay < timedelta(days=3)
    assert next_run(weekly, last_success=noon, seed=SHORT_DELAY) == noon + delay + timedelta(days=7)
