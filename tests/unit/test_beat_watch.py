"""A silent beat is noticed, whatever happens to the clock of the database."""

from __future__ import annotations

from datetime import timedelta

from worker.beat_watch import BeatWatch

START = BeatWatch(timedelta(seconds=10), looked_s=0, seen_s=0)


def _age(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_a_beat_that_ticks_is_never_silent() -> None:
    watch = START
    for now in range(10, 500, 10):
        watch = watch.look(_age(4), now)
        assert not watch.silent(now)


def test_no_tick_for_three_intervals_is_silence() -> None:
    watch = START.look(_age(4), 10)
    for now in (20, 30, 40):
        watch = watch.look(_age(now - 6), now)
    assert not watch.silent(40)
    assert watch.look(_age(44), 50).silent(50)


def test_no_tick_ever_is_silence_too() -> None:
    assert START.look(None, 31).silent(31)


def test_a_restarted_beat_gets_its_time() -> None:
    assert not START.look(None, 31).restarted(31).silent(60)


def test_a_clock_set_forward_makes_an_old_tick_look_older_but_the_next_one_counts() -> None:
    watch = START.look(_age(3604), 10)
    assert watch.seen_s == 0
    assert watch.look(_age(4), 20).seen_s == 20


def test_a_short_tick_still_leaves_processes_the_time_to_start() -> None:
    assert not BeatWatch(timedelta(seconds=1), 0, 0).silent(9)
