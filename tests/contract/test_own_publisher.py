"""A destination written by following the README: the code that stands there is a kind, with nothing else changed."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

import tasks.publishers
from config.secret import Secret
from tasks.operations.requests import RotationUpdate
from tasks.publishers import about, kinds, open_publisher
from tasks.publishers._shared.uses import WritesFile
from tasks.rotation.errors import Conflict, InvalidInput, OperatorNeeded
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.habits.house import TOP, text_of
from tests.steered.installation import Installation

NAME = "OPENROUTER_API_KEY"
CODE = re.search(r"^<!-- publisher: .*-->\n```python\n(.*?)^```$", text_of(TOP / "README.md"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The README's file, in the folder of kinds; and a database."""
    assert CODE is not None, "the README has no publisher of its own"
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "sqlite.py").write_text(CODE[1])
    monkeypatch.setattr(tasks.publishers, "__path__", [*tasks.publishers.__path__, str(folder)])
    database = tmp_path / "secrets.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE secrets (name, value, stamp)")
    yield database
    monkeypatch.delitem(sys.modules, "tasks.publishers.sqlite", raising=False)
    monkeypatch.delattr(tasks.publishers, "sqlite", raising=False)


def _held(table: Path) -> list[str]:
    with closing(sqlite3.connect(table)) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM secrets")]


def test_it_is_a_kind_that_says_what_it_is(table: Path) -> None:
    assert "sqlite" in kinds()
    place = open_publisher("sqlite", Secret(about("sqlite").example.partition(":")[2]))
    assert place.label == "sqlite:/srv/app/secrets.db#openrouter"
    assert open_publisher("sqlite", place.target).target == place.target
    assert place.uses == (WritesFile("the target", Path("/srv/app/secrets.db")),)
    with pytest.raises(InvalidInput, match="patience_s"):
        open_publisher("sqlite", Secret("/a?colour=blue#b"))


def test_it_keeps_the_promises_of_a_publisher(table: Path) -> None:
    place = open_publisher("sqlite", Secret(f"{table}#key"))
    first = Publication("r-1", "web", NAME, 1, 10, Secret(token_hex(16)))
    place.check(NAME)
    assert place.read_back(NAME, first.value) is Holding.NOTHING
    for _ in range(2):
        place.publish(first)
        assert _held(table) == [first.value.reveal()]
    assert place.read_back(NAME, first.value) is Holding.SAME
    assert place.read_back(NAME, Secret("other")) is Holding.OTHER
    with pytest.raises(Conflict):
        place.publish(replace(first, sequence=9, value=Secret("late")))
    place.withdraw(replace(first, rotation_id="r-2"))
    assert _held(table) == [first.value.reveal()]
    place.withdraw(first)
    assert _held(table) == []
    with pytest.raises(OperatorNeeded, match="table"):
        open_publisher("sqlite", Secret(f"{table.with_name('other.db')}#key")).check(NAME)


def test_a_rotation_publishes_there(table: Path, installation: Installation) -> None:
    place = Secret(f"sqlite:{table}#openrouter")
    installation.create()
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(place,)))
    installation.tick()
    (held,) = _held(table)
    installation.operations.rotate("web")
    installation.run_until_rest()
    assert len(_held(table)) == 1
    assert _held(table) != [held]
