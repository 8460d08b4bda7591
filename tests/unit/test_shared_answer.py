"""An answer is shared only when many ask, only for a moment, and never a failure."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.rotation.errors import Unavailable
from worker.web.shared import BUSY_PER_S, LASTS_S, Shared


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return str(self.made).encode()


def test_whoever_asks_now_and_then_gets_an_answer_of_its_own() -> None:
    clock, make = Clock(), Maker()
    shared = Shared(clock)
    for number in range(1, 100):
        assert shared.answer(make) == str(number).encode()
        clock.now += 1.01 / BUSY_PER_S


def test_many_who_ask_at_once_share_one_for_a_moment() -> None:
    clock, make = Clock(), Maker()
    shared = Shared(clock)
    for _ in range(BUSY_PER_S):
        shared.answer(make)
    before = make.made
    for _ in range(400):  # two seconds of 200 a second
        shared.answer(make)
        clock.now += 0.005
    assert make.made - before == pytest.approx(2 / LASTS_S, abs=1)
    assert shared.answer(make) == str(make.made).encode()


def test_those_who_wait_share_one_that_was_begun_after_they_asked() -> None:
    """Five ask while one is being made: the next one is for all of them, and only one is made at a time."""
    shared, begun, go_on = Shared(), threading.Event(), threading.Event()
    made: list[int] = []

    def slow() -> bytes:
        made.append(len(made) + 1)
        begun.set()
        assert go_on.wait(10)
        return str(made[-1]).encode()

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(shared.answer, slow)
        assert begun.wait(10)
        others = [pool.submit(shared.answer, slow) for _ in range(5)]
        while len(shared._asked) < 6:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == b"1"
        assert {other.result(10) for other in others} == {b"2"}


def test_what_failed_is_shared_with_nobody() -> None:
    clock, make = Clock(), Maker()
    shared = Shared(clock)

    def fail() -> bytes:
        raise Unavailable("the database is away")

    for _ in range(BUSY_PER_S):
        shared.answer(make)
    clock.now += LASTS_S
    with pytest.raises(Unavailable):
        shared.answer(fail)
    before = make.made
    assert shared.answer(make) == str(before + 1).encode()


def test_once_fewer_ask_each_has_its_own_again() -> None:
    clock, make = Clock(), Maker()
    shared = Shared(clock)
    for _ in range(5 * BUSY_PER_S):
        shared.answer(make)
    clock.now += 2
    before = make.made
    shared.answer(make)
    shared.answer(make)
    assert make.made == before + 2
