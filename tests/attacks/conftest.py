"""Fixtures of the attacks; their counts are told at the end of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.attacks.target import Target, attacked

_KEY = "attack:"


@pytest.fixture(scope="module")
def _stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for the attacks of a module."""
    with attacked(tmp_path_factory.mktemp("attacked") / "it") as target:
        yield target
        target.search_what_is_left()
        assert not target.findings, target.findings


@pytest.fixture
def target(_stage: Target, record_property: Callable[[str, object], None]) -> Iterator[Target]:
    """The server; after each test nothing secret has been seen."""
    yield _stage
    tell(_stage, record_property)
    assert not _stage.findings, _stage.findings


def tell(target: Target, record_property: Callable[[str, object], None]) -> None:
    """Have the requests of a test counted."""
    for attack, number in target.sent.items():
        record_property(f"{_KEY}{attack}", number)
    target.sent.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often each attack was tried."""
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, number in getattr(report, "user_properties", ()):
                if name.startswith(_KEY) and report.when == "teardown":
                    counts[name.removeprefix(_KEY)] += int(str(number))
    if counts:
        terminalreporter.section("requests by attack")
        for attack, number in sorted(counts.items()):
            terminalreporter.write_line(f"{number:>7}  {attack}")
        terminalreporter.write_line(f"{counts.total():>7}  in all")
