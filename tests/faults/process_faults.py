"""What happens to the process, or to the machine's clock, whatever it is doing: these strike every call."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from tasks import jobs
from tests.faults.lives import Stage
from tests.faults.points import Point
from tests.faults.striking import HOUR, Fault, after, before, raising
from tests.steered.taps import Killed

_FROZEN: Final = timedelta(minutes=10)
"""Much longer than a lease."""


def _anywhere(_point: Point) -> bool:
    return True


def _frozen(stage: Stage) -> None:
    """The process is stopped, like by SIGSTOP, while another one does its work; then it wakes up and goes on."""
    stage.installation.clock.move(_FROZEN)
    _another_worker(stage)


def _delayed(stage: Stage) -> None:
    stage.installation.clock.move(_FROZEN)


def _another_worker(stage: Stage) -> None:
    """A worker elsewhere gets copies of every message there can be, and runs them all."""
    with closing(stage.installation.worker("another worker")) as other, stage.installation.tap.listening("another"):
        for rotation_id in stage.installation.rotation_ids.values():
            other.engine.advance(rotation_id)


def _another_round(stage: Stage) -> None:
    """Beat's hourly round runs in another process at this very moment."""
    stage.installation.perform(jobs.reconcile)


FAULTS: Final = (
    Fault("killed before", _anywhere, before(raising(Killed))),
    Fault("killed after", _anywhere, after(raising(Killed))),
    Fault("terminated", _anywhere, before(raising(SystemExit))),
    Fault("time limit before", _anywhere, before(raising(SoftTimeLimitExceeded))),
    Fault("time limit after", _anywhere, after(raising(SoftTimeLimitExceeded))),
    Fault("frozen before", _anywhere, before(_frozen)),
    Fault("frozen after", _anywhere, after(_frozen)),
    Fault("10 min late", _anywhere, after(_delayed)),
    Fault("message twice", _anywhere, before(_another_worker)),
    Fault("round meanwhile", lambda point: not point.step.startswith("rotation.rec"), after(_another_round)),
    Fault("clock +1 h", _anywhere, before(lambda stage: stage.installation.clock.step(HOUR))),
    Fault("clock -1 h", _anywhere, before(lambda stage: stage.installation.clock.step(-HOUR))),
)
