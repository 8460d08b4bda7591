"""What the tests of stored state share: a clock to move, the database without our code, and things to store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from threading import Barrier
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from config.master_key import generate_master_key, write_private
from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.rotation.model import ConnectionHealth, KeyVersion, Reason, Rotation, VersionState
from tasks.rotation.ports import CheckResult
from tasks.store.columns import as_millis
from tasks.wiring import Rotator

START: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
PAST_A_DAY: Final = DAY + timedelta(seconds=10)
"""Overlap and cooling count from the end of a step, which takes a few milliseconds here."""

Answer = TypeVar("Answer")


class Clock:
    """The database's clock, in the test's hand."""

    def __init__(self) -> None:
        self.now = START

    def advance(self, span: timedelta) -> None:
        self.now += span

    def column(self) -> sa.ColumnElement[int]:
        moment: sa.BindParameter[int] = sa.bindparam("clock", callable_=lambda: as_millis(self.now), unique=True)
        return sa.cast(moment, sa.BigInteger)


@dataclass(frozen=True)
class Rows:
    """The database as its owner sees it, without our code."""

    engine: sa.Engine

    def ask(self, statement: str, **values: object) -> list[Any]:
        with self.engine.begin() as connection:
            answer = connection.execute(sa.text(statement), values)
            return list(answer) if answer.returns_rows else []

    def one(self, statement: str, **values: object) -> Any:
        ((value,),) = self.ask(statement, **values)
        return value

    def tables(self) -> list[str]:
        return sorted(sa.inspect(self.engine).get_table_names())

    def all(self) -> dict[str, list[Any]]:
        """Everything in every table, to see that nothing changed."""
        return {table: sorted(self.ask(f'SELECT * FROM "{table}"'), key=repr) for table in self.tables()}


def add_connection(rotator: Rotator, name: str = "prod", key: Secret | None = None) -> str:
    """Store a connection without asking OpenRouter; its id."""
    id_ = rotator.ids.row()
    result = CheckResult(ConnectionHealth.VALID, "It was not asked.")
    key = key or Secret(f"emulator-{token_hex(8)}")
    rotator.store.connections.insert(
        id_, name, key, description=None, app="open-router", result=result, actor=rotator.actor
    )
    return id_


def ring_file(settings: Settings) -> Path:
    """Where the installation's master keys are."""
    return settings.master_key_file or settings.data_dir / "master.key"


def renew_master_key(operations: Operations, settings: Settings) -> int:
    """Rotate the master key as its owner does: a file of the operator's gets the new key from the operator."""
    if settings.master_key_file is not None:
        ring = settings.master_key_file.read_text(encoding="utf-8")
        write_private(settings.master_key_file, f"{generate_master_key().reveal()}\n{ring}")
    return operations.rotate_master_key()


def order(name: str = "web", **changes: Any) -> RotationRequest:
    """A rotation every thirty days that has nothing to do at first."""
    usual = RotationRequest(
        name=name, connection="prod", schedule=ScheduleRequest(every="30d"), key_name=name, initial=False
    )
    return replace(usual, **changes)


def version_of(rotation: Rotation, number: int, state: VersionState = VersionState.PLANNED, **facts: Any) -> KeyVersion:
    """A version to insert."""
    return KeyVersion(
        id=f"{rotation.id[:30]}-v{number}",
        rotation_id=rotation.id,
        number=number,
        state=state,
        reason=Reason.MANUAL,
        actor="test",
        **facts,
    )


def at_once(count: int, act: Callable[[int], Answer]) -> list[Answer]:
    """Call ``act(0)`` to ``act(count - 1)`` in as many threads, which set off together."""
    barrier = Barrier(count)

    def run(number: int) -> Answer:
        barrier.wait(30)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def start_processes(code: str, environments: Iterable[Mapping[str, str]]) -> list[subprocess.Popen[str]]:
    """Start a Python process for each environment. ``code`` calls ``go()`` when ready, which waits for ``race``."""
    preamble = "import sys, json\ndef go():\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROTATOR_")}
    return [
        subprocess.Popen(
            [sys.executable, "-c", preamble + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=inherited | dict(environment),
            text=True,
        )
        for environment in environments
    ]


def race(processes: list[subprocess.Popen[str]]) -> list[Any]:
    """Let them go together; what each printed last, as JSON. A process that fails fails the test."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = [process.communicate("go\n", timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return [json.loads(output.splitlines()[-1]) for output in outputs]
