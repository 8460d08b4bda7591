"""Nobody may overlook that a master key was made."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.logging import configure_logging
from config.settings import read_settings
from tasks.wiring import open_rotator


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(read_settings({"ROTATOR_LOG_FORMAT": "json"}), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_warning_names_the_file_and_says_to_back_it_up(tmp_path: Path, logged: io.StringIO) -> None:
    settings = read_settings({"ROTATOR_DATA_DIR": str(tmp_path)})
    open_rotator(settings).close()
    told = logged.getvalue()
    assert "master_key_created" in told
    assert str(tmp_path / "master.key") in told
    assert "Back it up" in told
    assert (tmp_path / "master.key").read_text().strip() not in told
    open_rotator(settings).close()
    assert logged.getvalue() == told
