"""Habits of the project around the code: what lies at the top, what it depends on, what it must not contain."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.habits.house import TOP, name_of, pyproject, python_files, text_of

AGREED = {"pyproject.toml", "README.md", "worker", "tasks", "config", "tests", "docker-compose.yml"}
LOCKS = ("requirements.lock", "requirements-all.lock", "requirements-dev.lock", "requirements-mutants.lock")
BY_CONVENTION = {"Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", *LOCKS}
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9, -]+\])?==(\S+)", re.MULTILINE)


def _tracked() -> list[Path]:
    """What a clone contains; nothing when this is no clone."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=False)
    return [path for name in listed.stdout.split("\0") if name and (path := TOP / name).is_file()]


def test_the_top_level_stays_the_user_s() -> None:
    top = {path.relative_to(TOP).parts[0] for path in _tracked()}
    strays = {name for name in top - AGREED - BY_CONVENTION if not name.startswith(".")}
    assert not strays, f"at the top level, and no convention demands it there: {sorted(strays)}"


def test_no_file_holds_what_looks_like_a_key() -> None:
    key_like = re.compile(r"sk-or-v1-[0-9a-f]{40,}")
    texts = {name_of(path): path.read_text(encoding="utf-8", errors="replace") for path in _tracked()}
    found = [name for name, text in texts.items() if key_like.search(text)]
    assert not found, f"make test keys at run time; a person who finds one cannot know that it is none: {found}"


def _optional() -> list[str]:
    extras = pyproject()["project"]["optional-dependencies"].items()
    return [line for name, lines in extras for line in lines if name != "all"]


def _dependencies() -> list[str]:
    project = [*pyproject()["project"]["dependencies"], *_optional()]
    groups = [line for group in pyproject()["dependency-groups"].values() for line in group if isinstance(line, str)]
    return [*project, *groups]


@pytest.mark.parametrize("line", _dependencies())
def test_every_dependency_has_its_reason(line: str) -> None:
    rows = [row for row in text_of(TOP / "pyproject.toml").splitlines() if f'"{line}"' in row]
    reasons = [row.partition("#")[2].strip() for row in rows]
    assert any(reasons), f"why is {line} here, and not our own code? Say it on its line"


@pytest.mark.parametrize("line", _dependencies())
def test_the_locks_hold_what_the_project_asks_for(line: str) -> None:
    asked = Requirement(line)
    for lock in _locks_of(line):
        pinned = _pins(lock).get(canonicalize_name(asked.name))
        assert pinned is not None, f"{line} is not in {lock}: make lock"
        assert asked.specifier.contains(pinned, prereleases=True), f"{line}, but {lock} has {pinned}: make lock"


def test_all_is_every_extra() -> None:
    extras = pyproject()["project"]["optional-dependencies"]
    assert extras["all"] == [f"openrouter-rotator[{','.join(name for name in extras if name != 'all')}]"]


def _locks_of(line: str) -> tuple[str, ...]:
    """Where a dependency is locked: mutmut, which tests nothing but the tests, apart from the rest."""
    product, everything, development, mutants = LOCKS
    if line in pyproject()["dependency-groups"]["mutants"]:
        return (mutants,)
    if line in pyproject()["project"]["dependencies"]:
        return product, everything, development
    return (everything, development) if line in _optional() else (development,)


def test_tests_run_on_what_is_installed_for_the_product() -> None:
    product, everything, development = (_pins(lock) for lock in LOCKS[:3])
    assert {name: everything.get(name) for name in product} == product
    assert {name: development.get(name) for name in everything} == everything


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_complete_and_names_no_host(lock: str) -> None:
    text = text_of(TOP / lock)
    entries = [entry for entry in re.split(r"\n(?=[a-z0-9])", text) if PINNED.match(entry)]
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)


def _pins(lock: str) -> dict[str, Version]:
    return {canonicalize_name(name): Version(version) for name, version in PINNED.findall(text_of(TOP / lock))}


def test_test_files_have_names_of_their_own() -> None:
    """Without packages in tests/, two files of one name would hide each other in reports."""
    names = [path.name for path in python_files("tests") if path.name not in {"conftest.py", "__main__.py"}]
    assert sorted(names) == sorted(set(names))


def test_ci_runs_what_people_run() -> None:
    script = text_of(TOP / ".ci" / "run")
    assert [line for line in script.splitlines() if line.startswith("make ")] == [
        "make demo",
        "make check",
        'make test 2>&1 | tee "$report"',
        "make browser",
        "make attacks",
        "make faults",
        "make mutants",
        'make soak MINUTES=2 SOAK="--rotations 40"',
    ]
