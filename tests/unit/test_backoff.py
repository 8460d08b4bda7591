"""A process that keeps ending is started again, ever more slowly, and reported."""

from __future__ import annotations

from worker.backoff import FLAPPING, HEALTHY_S, LONGEST_S, Backoff


def _delays(ends: int) -> list[float]:
    backoff, delays = Backoff(), []
    for _ in range(ends):
        backoff = backoff.after(1.0)
        delays.append(backoff.delay_s)
    return delays


def test_the_wait_doubles_up_to_a_cap() -> None:
    assert _delays(5) == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert _delays(100)[-1] == LONGEST_S


def test_before_the_first_end_there_is_no_wait() -> None:
    assert Backoff().delay_s == 0.0


def test_a_healthy_run_is_forgiven() -> None:
    tired = Backoff(quick_ends=9)
    assert tired.after(HEALTHY_S).delay_s == 0.5
    assert not tired.after(HEALTHY_S).flapping


def test_flapping_is_told_from_a_single_crash() -> None:
    assert not Backoff(FLAPPING - 1).flapping
    assert Backoff(FLAPPING).flapping
