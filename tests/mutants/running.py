"""Running tests in a copy of the project, and what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from tests.mutants.inside import FAILURES
from tests.mutants.mutation import Mutation

TEST_TIMEOUT_S: Final = 120
RUN_TIMEOUT_S: Final = 600
_PASSED, _FAILED = 0, 1
"""pytest's exit codes. All others are a run that says nothing: no test was run, or it broke off."""


class Verdict(Enum):
    """What a run says of the mutation that was made before it."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    UNTOLD = "UNTOLD"
    """The tests could not be run, or broke before they tested anything: this proves nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: its verdict, the first test that failed, and the end of what pytest said."""

    verdict: Verdict
    killed_by: str
    seconds: float
    said: str


def run_mutated(mutation: Mutation, base: Path, copy: Path) -> Outcome:
    """Run the mutation's tests in a mutated copy of ``base``, which is removed afterwards."""
    shutil.copytree(base, copy, symlinks=True)
    try:
        mutation.apply_to(copy)
        return run_tests(mutation.tests, copy)
    finally:
        shutil.rmtree(copy)


def run_tests(tests: Iterable[str], tree: Path) -> Outcome:
    """Run these tests of the project in ``tree`` until the first fails."""
    failures, began = tree / "failures.tsv", time.monotonic()
    try:
        done = subprocess.run(
            _command(tests, tree),
            cwd=tree,
            env=_environment(tree, failures),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )
        code, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code, said = -1, f"it did not end within {RUN_TIMEOUT_S} s"
    first = failures.read_text(encoding="utf-8").splitlines()[0] if failures.exists() else ""
    return Outcome(verdict_of(code, first), first.partition("\t")[2], time.monotonic() - began, said[-3000:])


def verdict_of(code: int, first_failure: str) -> Verdict:
    """Killed only if a test ran and failed: a module that cannot be imported, a fixture that breaks, a test that is not
    there, or one that took too long, proves nothing about the tests."""
    if code == _PASSED:
        return Verdict.SURVIVED
    phase = first_failure.partition("\t")[0]
    return Verdict.KILLED if code == _FAILED and phase in {"call", "teardown"} else Verdict.UNTOLD


def _command(tests: Iterable[str], tree: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "--quiet", "--exitfirst", "--tb=short", "-p", "no:cacheprovider"),
        *(
            "-p",
            "pytest_timeout",
            "-p",
            "tests.mutants.inside",
            f"--basetemp={tree / 'scratch'}",
            f"--timeout={TEST_TIMEOUT_S}",
        ),
        *tests,
    ]


def _environment(tree: Path, failures: Path) -> Mapping[str, str]:
    """The copy stands before everything that is installed. No bytecode is written, and no setting comes in
    but where the tests' servers are.

    Plugins that these tests do not need are left out: they take half of the time that pytest needs to start.
    """
    servers = ("ROTATOR_TEST_POSTGRES_URL", "ROTATOR_TEST_REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROTATOR_", "PYTEST_"))}
    inherited = kept | {name: os.environ[name] for name in servers if name in os.environ}
    ours = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", FAILURES: str(failures)}
    return inherited | ours | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
