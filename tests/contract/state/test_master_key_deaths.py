"""A master-key rotation that is killed, at whatever statement or file operation, locks nobody out and is resumed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from dotenv import dotenv_values

from config.master_key import generate_master_key, master_key_source, write_private
from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.rotation.errors import OperatorNeeded
from tasks.rotation.model import ConnectionHealth
from tasks.rotation.ports import CheckResult
from tasks.store.sql_store import SqlStore, open_store
from tasks.wiring import Rotator
from tests.contract.state.scene import order, ring_file

FILE_CALLS = ("open", "fsync", "replace", "unlink", "link")
SEALED_EACH_TIME = 4
"""The check text, a management key, a destination's target and a key."""


class Killed(BaseException):
    """The process died here, as from ``kill -9``."""


@dataclass
class Doom:
    """Hears statements, commits and file operations of a process, and lets it die before or after one.

    Who died does nothing any more: what would tidy up on the way out does not get to.
    """

    dies_at: int = 0
    heard: list[str] = field(default_factory=list)
    dead: bool = False
    connections: list[Any] = field(default_factory=list)

    def moment(self, what: str) -> None:
        self.heard.append(what)
        if self.dead or len(self.heard) == self.dies_at:
            if not self.dead:
                self._hang_up()
            self.dead = True
            raise Killed(what)

    def _hang_up(self) -> None:
        """What the system does for who died; here objects live on, and a lock of SQLite's with them."""
        for connection in self.connections:
            with suppress(sqlite3.ProgrammingError, psycopg.OperationalError):  # one was closed before
                connection.rollback()


@contextmanager
def doomed(doom: Doom, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, ``doom`` hears what this process does to databases and to files below ``folder``."""

    def file_call(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*arguments: Any, **named: Any) -> Any:
            if isinstance(arguments[0], str | Path) and folder not in Path(arguments[0]).parents:
                return call(*arguments, **named)
            doom.moment(f"before {name}")
            answer = call(*arguments, **named)
            doom.moment(f"after {name}")
            return answer

        return heard

    listeners: dict[str, Callable[..., None]] = {
        "engine_connect": lambda connection: doom.connections.append(connection.connection.dbapi_connection),
        "before_cursor_execute": lambda *about: doom.moment(f"before {about[2][:40]}"),
        "after_cursor_execute": lambda *about: doom.moment(f"after {about[2][:40]}"),
        "commit": lambda _connection: doom.moment("before commit"),
    }
    for event, listener in listeners.items():
        sa.event.listen(sa.Engine, event, listener)
    try:
        with monkeypatch.context() as patched:
            for name in FILE_CALLS:
                patched.setattr(os, name, file_call(name, getattr(os, name)))
            yield
    finally:
        for event, listener in listeners.items():
            sa.event.remove(sa.Engine, event, listener)


@pytest.fixture
def environment(environment: Mapping[str, str], kind: str) -> Mapping[str, str]:
    """On SQLite the ring in the data folder, which is ours to change; on PostgreSQL a file of the operator's."""
    left_out = {"ROTATOR_MASTER_KEY_FILE"} if kind == "sqlite" else set()
    return {name: value for name, value in environment.items() if name not in left_out}


@dataclass(frozen=True)
class Scene:
    """An installation with one ciphertext of each kind, and the store of a process that runs all the time."""

    environment: Mapping[str, str]
    settings: Settings
    worker: SqlStore
    texts: Mapping[str, str]

    def other_process(self) -> closing[SqlStore]:
        """The store of one that starts now."""
        return closing(open_store(read_settings(self.environment)))

    def opens_everything(self, store: SqlStore) -> None:
        """It knows its master key, and each text."""
        store.check_master_key()
        ((connection, _),) = store.desk.connection_names()
        snapshot = store.rotations.get("web")
        opened = {
            "management key": store.leased.management_key(connection),
            "target": store.leased.target(snapshot.destinations[0].id),
            "key": store.leased.key(snapshot.versions[0].id),
        }
        assert {what: secret.reveal() for what, secret in opened.items()} == self.texts

    def seals(self, store: SqlStore) -> None:
        """This process writes a ciphertext now."""
        result, key = CheckResult(ConnectionHealth.VALID, "It was not asked."), Secret(self.texts["management key"])
        stored = store.connections.get("prod")
        store.connections.update(stored, description=None, key=key, result=result, actor="test")

    def rotate_master_key(self) -> int:
        """As its owner does: a file of the operator's gets the new key from the operator."""
        if (path := self.settings.master_key_file) is not None:
            write_private(path, f"{generate_master_key().reveal()}\n{path.read_text()}")
        return self.resume()

    def resume(self) -> int:
        """Ask for it, or ask again."""
        with self.other_process() as store:
            return store.rotate_master_key()

    def finish(self) -> None:
        """Ask until it is done, and forget the older keys. A ring of the operator's may have nothing new in it."""
        with suppress(OperatorNeeded):
            self.resume()
        ring = ring_file(self.settings)
        ring.write_text(ring.read_text().splitlines()[0])


@pytest.fixture
def scene(  # noqa: PLR0917 - fixtures
    environment: Mapping[str, str],
    settings: Settings,
    rotator: Rotator,
    operations: Operations,
    management_key: Secret,
    tmp_path: Path,
) -> Scene:
    file = tmp_path / "app.env"
    operations.create_connection("prod", management_key)
    operations.create_rotation(order(initial=True, publish=(Secret(f"dotenv:{file}"),)))
    operations.advance_here("web")
    rotator.tally.flush()  # else its alarm goes off in a thread of its own, and may be the one that is killed
    key = str(dotenv_values(file)["OPENROUTER_API_KEY"])
    texts = {"management key": management_key.reveal(), "target": str(file), "key": key}
    return Scene(environment, settings, rotator.store, texts)


def test_whoever_is_killed_at_any_moment_locks_nobody_out_and_is_resumed(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who ran all the time is locked out, nor who starts now; and each reads what the other writes."""
    doom = Doom()
    for number in range(1, 1000):
        doom = Doom(number)
        with doomed(doom, tmp_path, monkeypatch):
            if not _dies(scene.rotate_master_key):
                break
        with scene.other_process() as other:
            scene.opens_everything(other)
            scene.seals(scene.worker)
            scene.opens_everything(other)
            with doomed(Doom(number), tmp_path, monkeypatch):
                _dies(scene.resume)  # on its way too; or it gets through, as it has less to do
            scene.opens_everything(scene.worker)
            scene.finish()
            scene.opens_everything(other)
            scene.opens_everything(scene.worker)
    assert len(doom.heard) > 30
    assert {"before fsync", "after replace", "before commit"} <= set(doom.heard)


def test_the_ring_is_on_the_disk_before_a_row_needs_it(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power could take the new name of the file back, and leave rows that no key opens."""
    doom = Doom()
    with doomed(doom, tmp_path, monkeypatch):
        assert scene.rotate_master_key() == SEALED_EACH_TIME
    files_and_commits = [what for what in doom.heard if what.split()[1] in {*FILE_CALLS, "commit"}]
    replaced, committed = files_and_commits.index("after replace"), files_and_commits.index("before commit")
    assert "after fsync" in files_and_commits[:replaced]
    assert "after fsync" in files_and_commits[replaced:committed]


def test_the_first_key_is_on_the_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doom = Doom()
    with doomed(doom, tmp_path, monkeypatch):
        master_key_source(read_settings({"ROTATOR_DATA_DIR": str(tmp_path / "data")}))
    assert "after fsync" in doom.heard[doom.heard.index("after link") :]


def _dies(act: Callable[[], object]) -> bool:
    try:
        act()
    except Killed:
        return True
    return False
