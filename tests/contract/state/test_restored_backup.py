"""A backup works to the end of a rotation with its master key; with another it says so, and is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values
from typer.testing import CliRunner

from config.master_key import generate_master_key
from config.secret import Secret
from config.settings import Settings, read_settings
from config.settings import settings as current
from tasks.operations import Operations
from tasks.wiring import Rotator, open_rotator
from tests.contract.state.scene import Rows, order
from tests.leaks.takers import dump_postgresql, postgresql_program
from worker.cli.app import app

MASTER_KEY = "master.key"


@pytest.fixture
def environment(environment: Mapping[str, str], kind: str) -> Mapping[str, str]:
    """On SQLite the ring in the data folder, on PostgreSQL a file of the operator's. The broker is nowhere."""
    left_out = {"ROTATOR_MASTER_KEY_FILE"} if kind == "sqlite" else set()
    kept = {name: value for name, value in environment.items() if name not in left_out}
    return kept | {"ROTATOR_BROKER_URL": "redis://127.0.0.1:1/0"}


@pytest.fixture
def backup(  # noqa: PLR0917 - fixtures
    kind: str,
    rotator: Rotator,
    operations: Operations,
    settings: Settings,
    management_key: Secret,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Mapping[str, str]]:
    """A copy of an installation whose rotation has a key in service, brought back elsewhere: its environment."""
    operations.create_connection("prod", management_key)
    operations.create_rotation(order(initial=True, publish=(Secret(f"dotenv:{tmp_path}/app.env"),)))
    operations.advance_here("web")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    changed = {"ROTATOR_DATA_DIR": str(elsewhere)}
    if kind == "sqlite":
        _as_owner(settings.database().reveal(), f"VACUUM INTO '{elsewhere / 'rotator.sqlite3'}'")
        shutil.copy(settings.data_dir / MASTER_KEY, elsewhere)
    else:
        url = str(request.getfixturevalue("postgres_url"))
        restored = sa.make_url(url).set(database=f"{sa.make_url(url).database}_restored")
        changed["ROTATOR_DATABASE_URL"] = restored.render_as_string(hide_password=False)
        _restore(url, restored, dump_postgresql(url))
    yield {**request.getfixturevalue("environment"), **changed}
    if kind == "postgresql":
        _as_owner(url, f'DROP DATABASE "{restored.database}" WITH (FORCE)')


def _as_owner(url: str, statement: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _restore(url: str, restored: sa.URL, dump: bytes) -> None:
    _as_owner(url, f'CREATE DATABASE "{restored.database}"')
    target = restored.set(drivername="postgresql").render_as_string(hide_password=False)
    # Not with ON_ERROR_STOP: the dump begins with settings that an older server does not know.
    subprocess.run([postgresql_program("psql"), "-q", target], input=dump, check=True, capture_output=True, timeout=60)


def test_with_the_right_key_a_rotation_goes_to_its_end(backup: Mapping[str, str], tmp_path: Path) -> None:
    with closing(open_rotator(read_settings(backup))) as rotator:
        rotator.check()
        operations = Operations(rotator)
        before = operations.reveal_key("web").reveal()
        operations.rotate("web")
        operations.advance_here("web")
        after = operations.reveal_key("web").reveal()
        assert before != after == dotenv_values(tmp_path / "app.env")["OPENROUTER_API_KEY"]


@pytest.fixture
def wrong(backup: Mapping[str, str], kind: str, tmp_path: Path) -> Mapping[str, str]:
    """The copy, with another installation's master key."""
    other = generate_master_key().reveal()
    if kind == "sqlite":
        (tmp_path / "elsewhere" / MASTER_KEY).write_text(other)
        return backup
    path = tmp_path / "another-ring"
    path.write_text(other)
    return {**backup, "ROTATOR_MASTER_KEY_FILE": str(path)}


COMMANDS = ("doctor", "secret get web", "run -- true", "rotate web --local", "master-key rotate")
"""Run in this process: to start one takes longer than most commands."""
PROCESSES = {
    "up": [str(Path(sys.executable).with_name("rotator")), "up"],
    "worker": [str(Path(sys.executable).with_name("celery")), "-A", "worker", "worker"],
}


def _said(command: str, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.setattr("config.logging.configure_logging", lambda settings: None)  # pytest's own stays in place
        current.cache_clear()
        done = CliRunner().invoke(app, command.split(), prog_name="rotator")
    current.cache_clear()
    assert done.exit_code in {1, 2}, done.output
    return " ".join(done.output.split())


def _process_said(command: list[str], environment: Mapping[str, str]) -> str:
    given = {"PATH": os.environ["PATH"], "HOME": environment["ROTATOR_DATA_DIR"], **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode in {1, 2}, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def _content(environment: Mapping[str, str]) -> object:
    engine = sa.create_engine(read_settings(environment).database().reveal())
    try:
        return Rows(engine).all()
    finally:
        engine.dispose()


@pytest.mark.timeout(300)  # a loaded machine starts processes slowly
def test_with_the_wrong_key_everything_says_so_and_nothing_changes(
    wrong: Mapping[str, str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, published = _content(wrong), (tmp_path / "app.env").read_text()
    ring = read_settings(wrong).master_key_file or tmp_path / "elsewhere" / MASTER_KEY
    held = ring.read_text()
    everything = {command: _said(command, wrong, monkeypatch) for command in COMMANDS}
    if kind == "sqlite":
        everything |= {name: _process_said(command, wrong) for name, command in PROCESSES.items()}
    for name, said in everything.items():
        assert f"it was encrypted with a master key that {ring} does not hold" in said, name
        assert f"Put the master key that this database was written with into {ring}" in said, name
    assert _content(wrong) == before
    assert ring.read_text() == held
    assert (tmp_path / "app.env").read_text() == published


@pytest.mark.timeout(300)  # the same
@pytest.mark.parametrize("kind", ["sqlite"])
def test_without_its_key_no_other_one_is_made_beside_it(
    backup: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key would look like the right one, and hide that the right one has to be put back."""
    key = tmp_path / "elsewhere" / MASTER_KEY
    held = key.read_text()
    key.unlink()
    for command in COMMANDS:
        assert f"{key}: it is missing" in _said(command, backup, monkeypatch), command
    assert f"{key}: it is missing" in _process_said(PROCESSES["up"], backup)
    assert not key.exists()
    key.write_text(held)
    with closing(open_rotator(read_settings(backup))) as rotator:
        assert Operations(rotator).reveal_key("web")
