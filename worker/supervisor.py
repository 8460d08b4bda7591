"""``rotator up``: broker, worker and beat (and Flower, and the web) in one command.

A few plain processes, each as it would run by itself, kept running by this one. They end with it, whatever ends it.
"""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

from config.environment import PREFIX
from config.logging import configure_logging, get_logger, label_process
from config.master_key import write_private
from config.settings import Settings, read_settings
from tasks.rotation.errors import RotatorError
from worker import broker
from worker.beat_watch import BeatWatch
from worker.child import Child, Plan
from worker.data_lock import DataLock
from worker.output import LabelledOutput
from worker.switch import Switch

if TYPE_CHECKING:
    from tasks.wiring import Rotator

log = get_logger(__name__)

_POLL_S: Final = 0.25
_LOCK_S: Final = 20.0
_BROKER_READY_S: Final = 30.0
_STOP_ORDER: Final = (("web", 0.15), ("beat", 0.3), ("worker", 0.8), ("flower", 0.9), ("broker", 1.0))
"""Who is stopped after whom, and by which part of the shutdown time each is killed if it has not ended."""


class Supervisor:
    """Runs a small deployment in the data folder of ``environment``.

    ``start`` brings everything up, ``tend`` must be called several times a second, ``stop`` ends all. Or ``run``, which
    does these until it is told to stop. As a context manager it starts and stops.
    """

    def __init__(
        self, environment: Mapping[str, str], stream: TextIO, *, flower: bool = False, web: bool = False
    ) -> None:
        """Nothing is touched yet. Raises ``SettingsError``."""
        self.settings: Settings = read_settings(environment)
        self.output = LabelledOutput(stream, self.settings.log_format)
        self._environment = {
            **environment,
            "ROTATOR_DATA_DIR": str(self.settings.data_dir),
            "PYTHONUNBUFFERED": "1",
        }
        self._flower, self._web = flower, web
        self._children: dict[str, Child] = {}
        self._lock: DataLock | None = None
        self._rotator: Rotator | None = None
        self._watch: BeatWatch | None = None
        self._hurry = Switch()

    @property
    def pids(self) -> Mapping[str, int]:
        """The processes that run now, by name: broker, worker, beat, flower, web."""
        return {name: child.pid for name, child in self._children.items() if child.pid is not None}

    def start(self) -> None:
        """Take the data folder, start the broker, bring the schema up to date, start the rest.

        Raises ``SettingsError`` or a ``RotatorError``, with nothing left running.
        """
        try:
            self._lock = DataLock(self.settings.data_dir, timeout_s=_LOCK_S)
            if self.settings.embedded_broker:
                self._start_broker(self._lock)
            self._open_database()
            self._start_celery("worker", "--without-gossip", "--without-mingle")
            self._start_celery("beat")
            if self._flower:
                self._start_flower()
            if self._web:
                self._start_web()
        except BaseException:
            self._hurry.turn_on()
            self.stop()
            raise
        self._watch = BeatWatch(self.settings.tick_s, time.monotonic(), time.monotonic())

    def tend(self) -> None:
        """Start again what has ended, and a beat that fell silent. Returns at once."""
        for child in self._children.values():
            child.tend()
        self._look_at_beat()

    def run(self, stop: Switch) -> None:
        """Start everything, keep it running until ``stop`` is on, then end it. Raises what ``start`` raises."""
        self.start()
        try:
            log.info("everything_started", data_dir=str(self.settings.data_dir), pids=dict(self.pids))
            while not stop.is_on:
                self.tend()
                time.sleep(_POLL_S)
        finally:
            self.stop()

    def hurry(self) -> None:
        """A stop that is under way waits for nobody any more."""
        self._hurry.turn_on()

    def stop(self) -> None:
        """End the web, beat, worker, Flower and broker, one after the other, within the shutdown time. A second call
        does nothing."""
        began_s = time.monotonic()
        for name, part in _STOP_ORDER:
            if (child := self._children.pop(name, None)) is not None:
                left = began_s + part * self.settings.shutdown_s.total_seconds() - time.monotonic()
                child.stop(within_s=left, hurry=self._hurry)
        if self._rotator is not None:
            self._rotator.close()
        if self._lock is not None:
            self._lock.release()
        self._rotator = self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_broker(self, lock: DataLock) -> None:
        folder = broker.prepare_folder(self.settings)
        self._add(
            Plan(
                "broker",
                ("exec", *broker.command(self.settings)),
                {k: v for k, v in self._environment.items() if not k.startswith(PREFIX)},  # no key of ours in there
                folder,
                inherited=(lock.descriptor,),
                before_start=lambda: broker.end_leftover(self.settings),
            )
        )
        broker.wait_until_ready(self.settings, timeout_s=_BROKER_READY_S)

    def _open_database(self) -> None:
        from tasks.wiring import open_rotator  # noqa: PLC0415 - slow to import, and not needed to be refused

        self._rotator = open_rotator(self.settings)
        log.info("schema_ready", version=self._rotator.store.upgrade())
        self._rotator.check()

    def _start_celery(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        self._add(
            Plan(
                command[0],
                ("celery", "--quiet", "-A", "worker", *command),
                environment or self._environment,
                self.settings.data_dir,
            )
        )

    def _start_flower(self) -> None:
        environment = dict(self._environment)
        if self.settings.flower_basic_auth is None and not self.settings.flower_open:
            path = flower_credentials(self.settings.data_dir)
            environment["ROTATOR_FLOWER_BASIC_AUTH_FILE"] = str(path)
            log.info("flower_password_file", path=str(path))
        self._start_celery("flower", environment=environment)

    def _start_web(self) -> None:
        command = ("exec", sys.executable, "-P", "-m", "worker.web")
        self._add(Plan("web", command, self._environment, self.settings.data_dir))

    def _add(self, plan: Plan) -> None:
        child = Child(plan, self.output)
        self._children[plan.name] = child
        child.tend()

    def _look_at_beat(self) -> None:
        """Once a tick, see whether ticks still reach the database while a worker is there to run them."""
        now_s = time.monotonic()
        if self._watch is None or self._rotator is None:
            return
        if now_s - self._watch.looked_s < self.settings.tick_s.total_seconds():
            return
        try:
            age = self._rotator.store.last_tick_age()
        except RotatorError as error:
            log.warning("heartbeat_not_read", error=str(error))
            return
        self._watch = self._watch.look(age, now_s)
        if self._watch.silent(now_s):
            log.warning("beat_is_silent", remedy="it is started again")
            self._children["beat"].restart(within_s=5)
            self._watch = self._watch.restarted(time.monotonic())


def flower_credentials(folder: Path) -> Path:
    """The file with Flower's ``user:password``, made on first use, mode 0600."""
    path = folder / "flower.credentials"
    if not path.exists():
        write_private(path, f"rotator:{secrets.token_urlsafe(24)}\n")
    return path


def up(environment: Mapping[str, str], stream: TextIO, *, flower: bool = False, web: bool = False) -> None:
    """What ``rotator up`` does, until SIGINT or SIGTERM; a second signal stops without waiting for running tasks.

    Raises ``SettingsError`` or a ``RotatorError`` when it cannot start. For the main thread.
    """
    supervisor = Supervisor(environment, stream, flower=flower, web=web)
    label_process("up")
    configure_logging(supervisor.settings, supervisor.output.own_stream("up"))
    stop = Switch()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_on:
            supervisor.hurry()
        stop.turn_on()

    with _signals(on_signal):
        supervisor.run(stop)


@contextmanager
def _signals(handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
