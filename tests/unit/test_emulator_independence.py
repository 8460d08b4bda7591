"""The emulator shares no code with the client it tests: a wrong belief about the wire must not be mirrored."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tasks.providers.openrouter import emulator

MODULES = sorted(Path(emulator.__file__).parent.glob("*.py"))
OURS = {"config", "tasks", "worker"}


def imports_of(module: Path) -> list[tuple[int, str]]:
    """(level, first name) of each import in a module."""
    found = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.append((node.level, (node.module or "").split(".")[0]))
        elif isinstance(node, ast.Import):
            found.extend((0, alias.name.split(".")[0]) for alias in node.names)
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_imports_only_its_neighbours_and_libraries(module: Path) -> None:
    outside = [(level, name) for level, name in imports_of(module) if level > 1 or (level == 0 and name in OURS)]
    assert outside == []
