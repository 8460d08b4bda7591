"""What the places in files share: who looks at them finds the file, its companion, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path


def looked_at(path: Path) -> object:
    """Every file of the folder, with what would tell that it was touched."""
    return sorted(
        (file.name, file.read_bytes() if file.is_file() else None, file.stat().st_ino, file.stat().st_mtime_ns)
        for file in path.parent.iterdir()
    )


def version_beside(path: Path, where: str) -> str:
    """The version that the companion says the place holds."""
    told = json.loads((path.parent / f".{path.name}.rotation").read_text())
    return str(told[where]["stamp"]["version"])


def make_a_folder_of(path: Path) -> None:
    """Where the file was, nothing can be written any more."""
    path.unlink(missing_ok=True)
    path.mkdir()
