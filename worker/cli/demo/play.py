"""The demo's script: set the stage, rotate on schedule under a running consumer, judge, clear away."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from config.secret import Secret
from tasks.operations.requests import RotationRequest, ScheduleRequest
from worker.cli.demo.consumer import Consumer
from worker.cli.demo.lines import Lines
from worker.cli.demo.plan import CONNECTION, ROTATION, VARIABLE, Plan
from worker.cli.demo.scene import Scene, all_settled, rotations_done
from worker.cli.demo.stage import ENDING_SIGNALS, Stage, set_stage
from worker.cli.demo.verdict import Figure, all_right, figures
from worker.cli.guard import DONE, FAILED, note

if TYPE_CHECKING:
    from tasks.operations import Operations
    from worker.cli.demo.screen import Screen

_LOOK_EVERY_S: Final = 0.2
_PULSE_KEPT: Final = 60


def perform(plan: Plan) -> int:
    """Play it; return the exit code. All processes and files are gone afterwards, whatever happened."""
    with _ends_in_order(), _audience() as audience:
        play = Play(plan, audience)
        play.announce("starting the emulator, a broker, a worker and beat")
        with set_stage() as stage:
            verdict = play.perform(stage)
        audience.verdict(verdict, took_s=play.took_s())
        return DONE if all_right(verdict) else FAILED


class Play:
    """One performance. It looks from outside, as an operator would; worker and beat do the work."""

    def __init__(self, plan: Plan, audience: Lines | Screen) -> None:
        self._plan = plan
        self._audience = audience
        self._started_at = datetime.now(UTC)
        self._give_up_at = time.monotonic() + plan.patience_s
        self._pulse: list[int] = []
        self._counted = 0

    def announce(self, phase: str) -> None:
        """Show a moment at which there is nothing to see yet."""
        self._audience.show(Scene(self._plan, self._started_at, datetime.now(UTC), phase))

    def took_s(self) -> float:
        """Seconds since the beginning."""
        return (datetime.now(UTC) - self._started_at).total_seconds()

    def perform(self, stage: Stage) -> tuple[Figure, ...]:
        """All acts; returns the verdict."""
        consumer = Consumer(stage.env_file, VARIABLE, stage.emulator.base_url)
        try:
            self._acts(stage, consumer)
        except _OutOfPatienceError as error:
            note(f"error: gave up while {error}; the verdict is on what there is. The last log lines:")
            note(stage.last_log_lines())
        finally:
            seen = consumer.stop()
        self._audience.show(self._scene(stage, consumer, "done, clearing away"))
        return figures(self._plan, stage.emulator.keys(), stage.operations.history(ROTATION).versions, seen)

    def _acts(self, stage: Stage, consumer: Consumer) -> None:
        ops = stage.operations
        ops.create_connection(CONNECTION, stage.management_key, "made by rotator demo")
        ops.create_rotation(_request(self._plan, stage))
        self._watch(stage, consumer, "the first key is minted, proven and published", stage.env_file.exists)
        consumer.start()
        n = self._plan.rotations
        self._watch(stage, consumer, f"rotating {n} times, on schedule", lambda: _done(ops) >= n)
        ops.pause_rotation(ROTATION)
        self._watch(stage, consumer, "the last old key is retired", lambda: all_settled(ops.history(ROTATION)))

    def _watch(self, stage: Stage, consumer: Consumer, phase: str, reached: Callable[[], bool]) -> None:
        """Show what happens until it is ``reached``. Raises ``_OutOfPatienceError`` when that takes too long."""
        while True:
            stage.supervisor.tend()
            there = reached()
            self._audience.show(self._scene(stage, consumer, phase))
            if there:
                return
            if time.monotonic() > self._give_up_at:
                raise _OutOfPatienceError(phase)
            time.sleep(_LOOK_EVERY_S)

    def _scene(self, stage: Stage, consumer: Consumer, phase: str) -> Scene:
        ops, seen = stage.operations, consumer.seen
        self._pulse.append(seen.calls - self._counted)
        self._counted = seen.calls
        return Scene(
            self._plan,
            self._started_at,
            datetime.now(UTC),
            phase,
            processes=stage.processes,
            rotation=ops.show_rotation(ROTATION),
            versions=ops.history(ROTATION).versions,
            consumed=seen,
            pulse=tuple(self._pulse[-_PULSE_KEPT:]),
        )


class _OutOfPatienceError(Exception):
    """Something did not happen in time; the message is the phase."""


def _request(plan: Plan, stage: Stage) -> RotationRequest:
    return RotationRequest(
        name=ROTATION,
        connection=CONNECTION,
        schedule=ScheduleRequest(every=f"{plan.every_s}s"),
        key_name="demo",
        limit_usd=5.0,
        overlap=f"{plan.overlap_s}s",
        cooling=f"{plan.cooling_s}s",
        secret_name=VARIABLE,
        publish=(Secret(f"dotenv:{stage.env_file}"),),
    )


def _done(ops: Operations) -> int:
    return rotations_done(ops.history(ROTATION).versions)


@contextmanager
def _audience() -> Iterator[Lines | Screen]:
    """A painted screen in a terminal that can show it, lines elsewhere."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal or not console.encoding.startswith("utf"):
        yield Lines()
        return
    from worker.cli.demo.screen import Screen

    with Screen(console) as screen:
        yield screen


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: leaving nothing behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        note("Interrupted: everything is stopped and removed.")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
