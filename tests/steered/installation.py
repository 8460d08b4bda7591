"""A whole installation in one process, on a steered clock: real engine, store, adapter and publishers.

The other side is the emulator, in process. Nothing sleeps and nothing listens. ``run_until_rest`` is beat and a
worker in one: it hands out what is due and moves the clock to the next alarm, through deaths and restarts.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import sqlalchemy as sa
from celery.exceptions import SoftTimeLimitExceeded
from dotenv import dotenv_values

from config.secret import Secret
from config.settings import Settings, read_settings
from tasks import jobs
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.providers.openrouter.adapter import OpenRouter
from tasks.providers.openrouter.emulator import Account, EmulatorTransport, Fault, FaultBook, FaultKind, Request
from tasks.rotation import policy
from tasks.rotation.errors import Unavailable
from tasks.rotation.model import Event, KeyVersion, Removal, Snapshot, VersionState
from tasks.rotation.notifying import Notifier
from tasks.rotation.policy import Policy, Step
from tasks.rotation.ports import Provider, Publisher
from tasks.rotation.telling import Notice, may_be_told
from tasks.safe_task import PublicError, SafeTask
from tasks.store import database
from tasks.store.database import Database, make_engine
from tasks.store.events import EventFilter
from tasks.store.sql_store import SqlStore, open_store
from tasks.store.tables import Base, KeyVersionRow, RotationRow
from tasks.wiring import Rotator, policy_of
from tests.steered.broker import SteeredBroker
from tests.steered.clock import SteeredClock
from tests.steered.taps import Killed, Tap, TappedTransport, tapped

BASE_URL: Final = "https://emulated.example/api/v1"
CONNECTION: Final = "main"
SECRET_NAME: Final = "OPENROUTER_API_KEY"
LONG: Final = "3000d"
"""An interval that no test reaches, so that a rotation comes to rest."""
_TICKS_MOST: Final = 20
"""More ticks than this that find work at one moment are a loop that feeds itself."""
_INSTANT: Final = timedelta(milliseconds=1)
_HOUR: Final = timedelta(hours=1)
_ROUNDS_MOST: Final = 8
_TELLINGS_MOST: Final = 12
_QUIET_ROUNDS: Final = 2
"""One may have been told that a key is gone which is not."""


class SteeredRotator(Rotator):
    """The product's composition root, with taps on its ports and the emulator in place of the network."""

    def __init__(
        self,
        settings: Settings,
        store: SqlStore,
        provider: OpenRouter,
        tap: Tap,
        *,
        actor: str,
        stop_on: tuple[type[Exception], ...],
    ) -> None:
        store.leased = tapped(store.leased, "store", tap)
        store.desk = tapped(store.desk, "desk", tap)
        store.dispatch = tapped(store.dispatch, "tick", tap)
        store.outbox = tapped(store.outbox, "outbox", tap)
        store.expiries = tapped(store.expiries, "expiries", tap)
        self._provider = provider
        self._tap = tap
        super().__init__(settings, store, actor=actor, stop_on=stop_on)

    def provider_called(self, app: str) -> Provider:
        """The adapter, whatever the app."""
        return self._provider

    def _publisher(self, kind: str, destination_id: str) -> Publisher:
        return tapped(super()._publisher(kind, destination_id), "publisher", self._tap)

    def close(self) -> None:
        """Close every connection of this worker."""
        self._provider.close()
        super().close()


@dataclass(slots=True)
class LogLines:
    """In place of the logger: keeps what was logged."""

    lines: list[str] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        """Keep one line."""
        self.lines.append(f"{event} {fields}")


@dataclass(slots=True)
class Post:
    """In place of Apprise: whoever is told keeps what arrives."""

    taken: list[Notice]

    def send(self, address: Secret, notice: Notice) -> None:
        """Take it."""
        self.taken.append(notice)


@dataclass(frozen=True, slots=True)
class Template:
    """A data folder with schema, master key and one connection, to be copied for each test."""

    folder: Path
    management_key: Secret


class Installation:
    """One database, one account, one clock, some dotenv files; and one worker at a time, which may die.

    ``operations`` is the operator's door; it tells no worker, as without a broker.
    """

    def __init__(
        self, folder: Path, management_key: Secret, clock: SteeredClock, log: LogLines, **settings: object
    ) -> None:
        self.folder = folder
        self.management_key = management_key
        self.canary = f"canary{secrets.token_hex(6)}"
        self.clock = clock
        self.account = Account(clock=self.clock.now, canary=self.canary)
        self.faults = FaultBook()
        self.tap = Tap()
        self.broker = SteeredBroker(self.tap)
        self.log = log
        self.deaths = 0
        at_rest = {"drift_check_s": 0, **settings}  # else there is always a next look
        given = {f"ROTATOR_{name.upper()}": str(value) for name, value in at_rest.items()}
        self.settings = read_settings(
            {"ROTATOR_DATA_DIR": str(folder / "data"), "ROTATOR_OPENROUTER_BASE_URL": BASE_URL, **given}
        )
        self._ticks_now, self._ticked_at = 0, clock.now()
        self._ending = ExitStack()
        self.rotation_ids: dict[str, str] = {}
        self.told: list[Notice] = []
        """What people were told."""
        self.database = Database(make_engine(self.settings.database()), self.clock.expression())
        """For looking; the worker has its own."""
        self.rotator = self.worker("worker-1")

    # --- workers -----------------------------------------------------------------------------------------------

    def worker(self, actor: str, *, stop_on: tuple[type[Exception], ...] = (SoftTimeLimitExceeded,)) -> SteeredRotator:
        """One more worker on the same database and account. Whoever asks closes it."""
        transport = TappedTransport(EmulatorTransport(self.account, self.faults, sleep=self.clock.sleep), self.tap)
        store = open_store(self.settings, now=self.clock.expression())
        provider = OpenRouter(BASE_URL, transport=transport)
        rotator = SteeredRotator(self.settings, store, provider, self.tap, actor=actor, stop_on=stop_on)
        post = tapped(Post(self.told), "post", self.tap)
        rotator.notifier = Notifier(
            store.outbox, post.send, policy_of(self.settings), log=self.log.info, stop_on=stop_on
        )
        return rotator

    def tell(self) -> None:
        """Let the workers tell everybody, however often they die of it, until each event was told that is to be."""
        for _ in range(_TELLINGS_MOST):
            if self.perform(jobs.notify) and not self._untold():
                return
            self.clock.move(timedelta(minutes=5))  # longer than whoever died keeps a target to itself
        raise AssertionError(f"it is never told: {self._untold()}\n{self._story()}")

    def _untold(self) -> list[str]:
        """Events of rotations that nobody was told of; of many at once the most important is."""
        events = [event for name in self.rotation_ids for event in self.audit(name) if may_be_told(event)]
        missing = Counter(e.name for e in events) - Counter(notice.kind for notice in self.told)
        return [] if any(notice.kind == "digest" for notice in self.told) else sorted(missing)

    def restart(self) -> None:
        """A new worker process in place of the old one."""
        self.rotator.close()
        self.rotator = self.worker(f"worker-{self.deaths + 1}")

    def look_after_every(self, span: timedelta) -> None:
        """From now on workers read the destinations back so often."""
        self.settings = self.settings.model_copy(update={"drift_check_s": span})
        self.restart()

    @property
    def operations(self) -> Operations:
        """The operator's door."""
        return Operations(self.rotator)

    def advance(self, name: str) -> None:
        """Let the worker do what the rotation needs now. It may die of it; then another takes its place."""
        self._advance(self.rotation_ids[name])

    def _advance(self, rotation_id: str) -> None:
        try:
            with self.tap.listening():
                self.rotator.engine.advance(rotation_id)
        except (Killed, SystemExit):
            self.deaths += 1
            self.restart()
        except SoftTimeLimitExceeded:
            self.log.info("task_ran_too_long")
        except Unavailable as error:
            self.log.info("task_failed", why=str(error))

    def tick(self) -> bool:
        """What beat's tick and the workers do now; False when no worker had anything to do."""
        self.perform(jobs.dispatch_due)
        busy = False
        for rotation_id in self.broker.deliver():
            busy = True
            self._advance(rotation_id)
        return busy

    def perform(self, task: SafeTask, **arguments: object) -> bool:
        """Let the worker run a task of beat's or of a person's; whether it succeeded. It may die of it."""
        try:
            with self.tap.listening(task.name):
                task(**arguments)
        except (Killed, SystemExit):
            self.deaths += 1
            self.restart()
        except PublicError as error:
            self.log.info("task_failed", why=str(error))
        else:
            return True
        return False

    def round(self) -> bool:
        """What beat has done every hour and every day, an hour later; whether there is nothing left to mend."""
        self.clock.move(_HOUR)
        before = len(self.account.calls)
        well = [self.perform(jobs.reconcile), self.perform(jobs.check_connections)]
        return all(well) and not any(c.method in {"POST", "PATCH", "DELETE"} for c in self.account.calls[before:])

    def settle(self) -> None:
        """Work, with beat's rounds, until every rotation rests and two rounds in a row find nothing to do."""
        quiet = 0
        for _ in range(_ROUNDS_MOST):
            self.run_until_rest()
            quiet = quiet + 1 if self.round() and self.at_rest() else 0
            if quiet == _QUIET_ROUNDS:
                return
        raise AssertionError(f"every round finds something to do\n{self._story()}")

    def run_until_rest(self, within: timedelta = timedelta(days=400)) -> None:
        """Work and let time pass until every rotation rests; AssertionError when that takes longer than ``within``."""
        end = self.clock.now() + within
        while not self.at_rest():
            assert self._go_on(end), f"no rest within {within}: {self.states()}\n{self._story()}"

    def run_for(self, span: timedelta) -> None:
        """Work and let time pass for so long, whether anything rests or not."""
        end = self.clock.now() + span
        while self._go_on(end):
            pass
        self.clock.move_to(end)

    def run_until(self, state: VersionState, name: str = "web") -> KeyVersion:
        """Work and let time pass until a version of the rotation is in this state; that version."""
        end = self.clock.now() + timedelta(days=400)
        while not (found := [v for v in self.versions(name) if v.state is state]):
            assert self._go_on(end), f"no version ever got {state}: {self.states()}\n{self._story()}"
        return found[0]

    def run_past(self, state: VersionState, name: str = "web") -> None:
        """Work and let time pass until a version of the rotation is in this state, or has it behind it."""
        end = self.clock.now() + timedelta(days=400)
        while not any(_has_been(v, state) for v in self.versions(name)):
            assert self._go_on(end), f"no version ever got {state}: {self.states()}\n{self._story()}"

    def _go_on(self, end: datetime) -> bool:
        """Let time pass until there is something to do, and do it; False when that is not before ``end``."""
        alarm = self.next_alarm()
        if alarm is None or max(alarm, self.clock.now()) > end:
            return False
        self.clock.move_to(alarm)
        self._ticks_now = self._ticks_now + 1 if self._ticked_at == self.clock.now() else 0
        self._ticked_at = self.clock.now()
        assert self._ticks_now < _TICKS_MOST, f"it keeps itself busy without end\n{self._story()}"
        if not self.tick() and (self.next_alarm() or end) <= self.clock.now():
            self.clock.move(self.settings.tick_s)
        return True

    def next_alarm(self) -> datetime | None:
        """When beat's tick will next find something: awake, and neither leased nor told of."""
        row = RotationRow
        query = sa.select(row.wake_at, row.lease_until, row.dispatched_until).where(
            row.wake_at.is_not(None), row.removed_at.is_(None)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        free = [max([r.wake_at, *(busy + _INSTANT for busy in r[1:] if busy)]) for r in rows]
        return min(map(self.clock.by_database, free), default=None)

    def at_rest(self) -> bool:
        """Whether every rotation that is left has its active version everywhere, and nothing else alive."""
        unrest = sa.select(KeyVersionRow.id).where(KeyVersionRow.state.not_in(["active", "deleted"]))
        open_ = (KeyVersionRow.rotation_id == RotationRow.id, RotationRow.removed_at.is_(None))
        with self.database.read() as connection:
            if connection.execute(unrest.where(*open_).limit(1)).first():
                return False
        return all(isinstance(s, Snapshot) and _rests(s) for s in self.rotator.store.rotations.each())

    # --- operators ---------------------------------------------------------------------------------------------

    def create(
        self,
        name: str = "web",
        *,
        files: Sequence[str] = ("app.env",),
        overlap: str = "1h",
        cooling: str = "1h",
        every: str = LONG,
        **request: object,
    ) -> None:
        """Create a rotation that publishes to dotenv files of this installation."""
        asked = RotationRequest(
            name=name,
            connection=CONNECTION,
            schedule=ScheduleRequest(every=every),
            overlap=overlap,
            cooling=cooling,
            publish=tuple(self.destination(f) for f in files),
            **{"key_name": name, **request},  # type: ignore[arg-type]  # a test names fields of the request
        )
        self.rotation_ids[name] = self.operations.create_rotation(asked).id

    def destination(self, file: str) -> Secret:
        """A file of this installation, as an operator names it."""
        return Secret(f"dotenv:{self.file(file)}")

    def bind(self, key_hash: str) -> Callable[[], dict[str, set[str]]]:
        """Put a key under a guardrail, into a BYOK list and into a trace filter, each beside no other; what those
        name is what the answer tells."""
        guardrail = self._made("/guardrails", {"name": "careful"})
        self._ask("POST", f"/guardrails/{guardrail}/assignments/keys", {"key_hashes": [key_hash]})
        byok = self._made("/byok", {"provider": "openai", "key": "any", "allowed_api_key_hashes": [key_hash]})
        config = {"publicKey": "any", "secretKey": "any"}
        order = {"type": "langfuse", "name": "traces", "config": config, "api_key_hashes": [key_hash]}
        traces = self._made("/observability/destinations", order)
        return lambda: {
            "guardrail": {a["key_hash"] for a in self._ask("GET", f"/guardrails/{guardrail}/assignments/keys")},
            "byok": set(self._ask("GET", f"/byok/{byok}")["allowed_api_key_hashes"]),
            "traces": set(self._ask("GET", f"/observability/destinations/{traces}")["api_key_hashes"]),
        }

    def remove_key(self, key_hash: str) -> None:
        """Delete a key as a person would at OpenRouter, behind the product's back."""
        self._ask("DELETE", f"/keys/{key_hash}")

    def patch_key(self, key_hash: str, change: Mapping[str, object]) -> None:
        """Change a key as a person would at OpenRouter."""
        self._ask("PATCH", f"/keys/{key_hash}", change)

    def _made(self, path: str, order: Mapping[str, object]) -> str:
        return str(self._ask("POST", path, order)["id"])

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What the account answers to a person with the management key."""
        payload = b"" if body is None else json.dumps(body).encode()
        answer = self.account.handle(Request(method, path, {}, self.management_key.reveal(), payload))
        assert answer.status in {200, 201}, answer
        return answer.body.get("data")

    def fail(self, kind: FaultKind | str, method: str = "*", path: str = "*", **how: object) -> None:
        """Let OpenRouter fail; see ``Fault``."""
        self.faults.add(Fault.model_validate({"kind": FaultKind(kind), "method": method, "path": path, **how}))

    # --- looking -----------------------------------------------------------------------------------------------

    def file(self, name: str) -> Path:
        """A dotenv file of this installation."""
        return self.folder / name

    def files(self) -> tuple[Path, ...]:
        """Every dotenv file that there is."""
        return tuple(sorted(self.folder.glob("*.env")))

    def held(self, file: Path, secret_name: str = SECRET_NAME) -> Secret | None:
        """What an application would read."""
        value = dotenv_values(file, interpolate=False).get(secret_name)
        return Secret(value) if value else None

    def snapshot(self, name: str = "web") -> Snapshot:
        """A rotation as the engine sees it."""
        return self.rotator.store.rotations.get(name)

    def versions(self, name: str = "web") -> tuple[KeyVersion, ...]:
        """Every version that there ever was, by number; also of a deleted rotation."""
        return self.rotator.store.rotations.versions(self.rotation_ids[name])

    def active(self, name: str = "web") -> KeyVersion:
        """The version in service."""
        return next(v for v in self.versions(name) if v.state is VersionState.ACTIVE)

    def version(self, name: str, number: int) -> KeyVersion:
        """One version."""
        return self.versions(name)[number - 1]

    def states(self) -> dict[str, list[str]]:
        """The states of all versions, by rotation."""
        return {name: [str(v.state) for v in self.versions(name)] for name in self.rotation_ids}

    def events(self, name: str = "web") -> list[str]:
        """The names of a rotation's events, oldest first."""
        return [e.name for e in self.audit(name)]

    def audit(self, name: str = "web") -> tuple[Event, ...]:
        """A rotation's events, oldest first; also of a deleted one."""
        stored = self.rotator.store.events.page(EventFilter(rotation_ids=(self.rotation_ids[name],)), limit=100_000)
        return tuple(s.event for s in stored)

    def removal_of(self, name: str) -> Removal | None:
        """How an operator ended the rotation, if one did."""
        query = sa.select(RotationRow.removal).where(RotationRow.id == self.rotation_ids[name])
        with self.database.read() as connection:
            removal = connection.execute(query).scalar_one()
        return None if removal is None else Removal(removal)

    def asked(self, since: int = 0) -> list[str]:
        """What OpenRouter was asked, after the first ``since`` calls."""
        return [f"{c.method} {c.path}" for c in self.account.calls[since:]]

    def _story(self) -> str:
        stored = self.rotator.store.events.page(EventFilter(), limit=100_000)
        return "\n".join(
            f"{s.event.at:%d %H:%M:%S} v{s.event.version} {s.event.name}: {s.event.why}" for s in stored[-60:]
        )

    def stored(self) -> dict[str, bytes]:
        """Everything that is stored: files of the data folder, and rows where the database is a server."""
        files = [f for f in self.settings.data_dir.rglob("*") if f.is_file()]
        places = {f.name: f.read_bytes() for f in files}
        if self.database.engine.dialect.name == "postgresql":
            with self.database.read() as connection:
                for name in Base.metadata.tables:
                    rows = connection.exec_driver_sql(f"SELECT t::text FROM {name} t").scalars()
                    places[name] = "\n".join(rows).encode()
        return places

    def on_close(self, act: Callable[[], object]) -> None:
        """Let something happen at the end of the test."""
        self._ending.callback(act)

    def close(self) -> None:
        """End the worker."""
        self._ending.close()
        self.rotator.close()
        self.database.close()


def _has_been(version: KeyVersion, state: VersionState) -> bool:
    """Whether it was in this state of its end, or has skipped it because its key was found gone."""
    skipped = version.state is VersionState.DELETED and version.retiring_at is not None
    return skipped or getattr(version, f"{state}_at") is not None


def _rests(snapshot: Snapshot) -> bool:
    if snapshot.rotation.removal is not None:
        return False
    active = snapshot.active
    if active is None:
        return not snapshot.versions
    if any(d.leaving for d in snapshot.destinations):
        return False
    return len(snapshot.versions) == 1 and not (active.has_key and snapshot.undelivered(active))


@contextmanager
def steered(folder: Path, management_key: Secret, **settings: object) -> Iterator[Installation]:
    """An installation over ``folder``, whose leases run by its clock and whose operators reach no broker."""
    clock, log = SteeredClock(), LogLines()
    with ExitStack() as stack:
        stack.enter_context(patch("tasks.store.leased.time", clock))
        stack.enter_context(patch("tasks.wiring.time", clock))
        stack.enter_context(patch("tasks.operations.running.tell", lambda _ids: False))
        stack.enter_context(patch("tasks.wiring.log", log))
        stack.enter_context(patch("tasks.store.database._prepare_sqlite", _prepare_sqlite))
        installation = Installation(folder, management_key, clock, log, **settings)
        stack.callback(installation.close)
        stack.enter_context(patch("tasks.jobs.rotator", lambda: installation.rotator))
        stack.enter_context(patch("tasks.jobs.current_app", installation.broker))
        stack.enter_context(patch("tasks.jobs.advance", installation.broker))
        stack.enter_context(patch("tasks.rotation.policy.next_step", partial(_decided, installation.tap)))
        yield installation


_next_step: Final = policy.next_step
_prepare_durably: Final = database._prepare_sqlite


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """As the product does, but without waiting for the disk: here a process dies, and no machine loses its power."""
    _prepare_durably(connection, record)
    connection.execute("PRAGMA synchronous=OFF")


def _decided(tap: Tap, snapshot: Snapshot, rules: Policy) -> Step:
    """The next step, which the calls that follow belong to."""
    step = _next_step(snapshot, rules)
    tap.step = type(step).__name__.lower()
    return step


def make_template(folder: Path) -> Template:
    """Set an installation up once: schema, master key and a connection."""
    template = Template(folder, Secret(f"emulator-{secrets.token_hex(12)}"))
    with steered(folder, template.management_key) as installation:
        installation.rotator.store.upgrade()
        installation.operations.create_connection(CONNECTION, template.management_key)
    return template


@contextmanager
def copied(template: Template, folder: Path, **settings: object) -> Iterator[Installation]:
    """A fresh installation, as the template was."""
    shutil.copytree(template.folder, folder, dirs_exist_ok=True)
    with steered(folder, template.management_key, **settings) as installation:
        yield installation
