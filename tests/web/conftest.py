"""Fixtures of the tests of the HTTP API and the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.served import Served, served


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    """A running server over a new installation, with nothing in it."""
    with served(tmp_path) as stage:
        yield stage


@pytest.fixture(scope="module")
def web_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all that cannot change it."""
    with served(tmp_path_factory.mktemp("once")) as stage:
        yield stage
