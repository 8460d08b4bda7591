"""The release before, as it really was: the source of the last commit that did not have the newest migration.

So a migration is committed with, or before, whatever else its release changes in the product.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.habits.house import TOP, name_of
from tests.upgrade.releases import NEWEST, OURS


def unpack(folder: Path) -> Path:
    """Put the source of the release before into ``folder``. Skips the test without the history; fails in CI."""
    commit = _last_commit_without(next((OURS / "versions").glob(f"{NEWEST}_*.py")))
    if commit is None:
        told = "the history of this repository is needed, for the source of the release before: git fetch --unshallow"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    archive = _git("archive", commit, "config", "tasks", "worker")
    assert archive is not None
    with tarfile.open(fileobj=BytesIO(archive)) as source:
        source.extractall(folder, filter="data")
    return folder


def _last_commit_without(migration: Path) -> str | None:
    """None where the history does not reach back to it. A migration that is not committed yet is in no commit."""
    if (log := _git("log", "--diff-filter=A", "--format=%H", "--", name_of(migration))) is None:
        return None
    added = log.decode().split()
    before = _git("rev-parse", "--verify", "--quiet", f"{added[0]}^{{commit}}^" if added else "HEAD")
    return None if before is None else before.decode().strip()


def _git(*arguments: str) -> bytes | None:
    try:
        ran = subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, check=False)
    except OSError:
        return None
    return ran.stdout if ran.returncode == 0 else None
