"""A pytest plugin for a copy of the project: it makes sure that the copy is what is tested, and tells what failed.

The product is installed in editable mode, so that without care the original would be imported, and every mutation
would survive unseen.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

FAILURES: Final = "MUTANTS_FAILURES"
"""The variable that names the file into which each failure is written: its phase and the test's name, by a tab."""
PACKAGES: Final = ("config", "tasks", "worker")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run any test (exit code 4) unless everything of ours would be imported from this folder."""
    here = Path.cwd().resolve()
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None or here not in Path(spec.origin).resolve().parents:
            raise pytest.UsageError(f"{package} would be imported from {spec and spec.origin}, not from {here}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down what failed; a test that ran out of time has failed in no phase, for the machine may be busy."""
    if report.failed:
        phase = "timeout" if "Failed: Timeout (>" in report.longreprtext else report.when
        with Path(os.environ[FAILURES]).open("a", encoding="utf-8") as file:
            file.write(f"{phase}\t{report.nodeid}\n")
