"""The command line with a rotator behind it that answers from memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from config.settings import settings
from tests.unit.cli.fake import FakeOperations, FakeStore, Run
from worker.cli.app import app


@pytest.fixture(autouse=True)
def _settings_of_this_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody's own settings and data, whoever runs the tests; and no logging set up for those that follow."""
    monkeypatch.setattr("config.logging.configure_logging", lambda settings: None)
    for name in [name for name in os.environ if name.startswith("ROTATOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ROTATOR_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch, store: FakeStore) -> FakeOperations:
    """What the commands talk to, in place of a real rotator."""
    fake = FakeOperations()
    rotator = SimpleNamespace(store=store, check=store.check_schema, close=lambda: None)
    monkeypatch.setattr("tasks.wiring.open_rotator", lambda settings, actor: rotator)
    monkeypatch.setattr("tasks.operations.Operations", lambda _: fake)
    return fake


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def run(ops: FakeOperations) -> Run:
    """Run a command line against ``ops``; ``stdin`` is what is typed or piped."""

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, prog_name="rotator")

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at a terminal and can answer."""
    monkeypatch.setattr("worker.cli.prompts.interactive", lambda: True)
