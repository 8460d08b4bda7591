"""Copies of the project in which mistakes may be made."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_MEMORY: Final = Path("/dev/shm")
"""Where Linux has a file system in memory."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A new folder, in memory where that can be had, which is gone afterwards."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=where) as folder:
        yield Path(folder)


def copy_project(to: Path) -> Path:
    """The project as it stands, uncommitted work included, without what git ignores; compiled. ``to`` is made."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():  # what was deleted and not committed yet is still listed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    _compile(to)
    return to


def _compile(tree: Path) -> None:
    """By content: by time and size, a file that is changed within a second may pass for the one that it was."""
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    subprocess.run([*command, "config", "tasks", "worker", "tests"], check=True, cwd=tree)
