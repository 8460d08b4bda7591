"""Gathers what became of each cell, and prints the table at the end of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.table import Table

_table = Table()
_FILE = Path("build") / "faults.md"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember a cell: it fell if any phase of its test failed."""
    cell = dict(report.user_properties)
    if "row" in cell and (report.when == "call" or report.failed):
        _table.note(str(cell["row"]), str(cell["column"]), survived=report.passed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write it to a file for whoever wants to read it in peace."""
    if not _table.cells:
        return
    text = _table.text()
    _FILE.parent.mkdir(exist_ok=True)
    _FILE.write_text(text, encoding="utf-8")
    terminalreporter.write_line(text)
    terminalreporter.write_line(f"Written to {_FILE}.")
