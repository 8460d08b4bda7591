"""A child process is kept running, with pauses that grow, and somebody is told when it keeps ending."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from tests.integration.processes import alive, wait_for
from worker.child import Child, Plan
from worker.output import LabelledOutput
from worker.switch import Switch

Make = Callable[..., Child]


class Clock:
    """A monotonic clock that moves when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(tmp_path: Path, clock: Clock, stream: io.StringIO) -> Make:
    def _make(*command: str) -> Child:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
        plan = Plan("child", ("exec", *command), environment, tmp_path)
        return Child(plan, LabelledOutput(stream, "console"), monotonic=clock)

    return _make


def _ends(child: Child) -> None:
    """Tend it until its process is seen to have ended."""

    def gone() -> bool:
        child.tend()
        return child.pid is None

    wait_for(gone, "it ends")


def test_what_ends_at_once_is_started_again_after_pauses_that_grow_and_is_reported(make: Make, clock: Clock) -> None:
    with structlog.testing.capture_logs() as logs:
        assert _pauses(make("false"), clock) == [0.5, 1.0, 2.0, 4.0]
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["child_keeps_ending"]


def _pauses(child: Child, clock: Clock) -> list[float]:
    """The pauses before its next four starts."""
    child.tend()
    pauses: list[float] = []
    for starts in range(1, 5):
        assert child.starts == starts
        _ends(child)
        child.tend()
        assert child.pid is None
        before = clock.now_s
        while child.pid is None:
            clock.now_s += 0.25
            child.tend()
        pauses.append(clock.now_s - before)
    child.stop(within_s=5)
    return pauses


def test_its_lines_are_labelled(make: Make, stream: io.StringIO) -> None:
    child = make("echo", "hello")
    child.tend()
    _ends(child)
    wait_for(lambda: "child   | hello\n" in stream.getvalue(), "its line arrives")


def test_what_does_not_listen_is_killed_with_its_whole_group(make: Make, stream: io.StringIO) -> None:
    child = make("sh", "-c", "trap '' TERM; sleep 600 & echo pid $!; while :; do sleep 0.1; done")
    child.tend()
    wait_for(lambda: "pid" in stream.getvalue(), "it runs")
    pid = int(stream.getvalue().split()[-1])
    hurry = Switch()
    hurry.turn_on()
    child.stop(within_s=600, hurry=hurry)
    assert child.pid is None
    wait_for(lambda: not alive(pid), "its own child is gone")


def test_a_restart_begins_at_once(make: Make) -> None:
    child = make("sleep", "600")
    child.tend()
    first = child.pid
    child.restart(within_s=5)
    child.tend()
    assert child.pid is not None
    assert child.pid != first
    child.stop(within_s=5)
    child.stop(within_s=5)
