"""Whatever goes wrong, and wherever: beat and the workers bring it to rest without help, and nothing is lost.

A cell is one fault at one call of one life. After it has struck, the life goes on to its end; then the checker reads
the emulator's account, every destination, the database and the audit log.
"""

from __future__ import annotations

import secrets
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tasks import jobs
from tasks.rotation import policy, ports
from tasks.safe_task import SafeTask
from tests.faults.matrix import EVERYWHERE, Cell, all_points, cells
from tests.faults.points import live
from tests.faults.stages import PostgresStages, on_sqlite

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def postgres_stages(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresStages]:
    """A database of this process's own, dropped after it."""
    name = f"rotator_faults_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        url = urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
        stages = PostgresStages(url, tmp_path_factory.mktemp("postgres"))
        yield stages
        stages.close()
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_the_fault_is_survived(
    cell: Cell, tmp_path: Path, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    record_property("row", cell.point.what)
    record_property("column", cell.column)
    if cell.fault.on == "postgresql":
        staged = request.getfixturevalue("postgres_stages").stage(tmp_path)
    else:
        staged = on_sqlite(request.getfixturevalue("template"), tmp_path)
    with staged as stage:
        cell.fault.strike(stage, cell.point)
        live(cell.point.life, stage)
        assert stage.struck, "the fault never struck"


def test_every_step_of_the_policy_is_struck() -> None:
    steps = {step.__name__.lower() for step in typing.get_args(policy.Work)}
    assert steps <= {point.step for point in all_points()}


def test_every_task_of_ours_is_struck() -> None:
    tasks = {task.name for task in vars(jobs).values() if isinstance(task, SafeTask)} - {"rotation.advance"}
    assert tasks <= {point.step for point in all_points()}


@pytest.mark.parametrize(("port", "name"), [(ports.Store, "store"), (ports.Publisher, "publisher")])
def test_every_call_of_a_port_is_struck(port: type, name: str) -> None:
    methods = {f"{name}.{m}" for m, found in vars(port).items() if callable(found) and not m.startswith("_")}
    told_apart = {"publisher.check"}  # an operator's call: no worker makes it
    assert methods - told_apart <= {point.name for point in all_points()}


def test_the_readme_tells_how_many_cells_there_are() -> None:
    kinds = len({cell.point.what for cell in cells()})
    told = f"{len(cells()):,} cells: {len({cell.column for cell in cells()})} faults at {kinds} kinds of call"
    readme = " ".join((TOP / "README.md").read_text(encoding="utf-8").split())
    assert EVERYWHERE or told in readme, f"the README should say: {told}"
