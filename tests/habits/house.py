"""The files of this project, as the habits look at them."""

from __future__ import annotations

import ast
import io
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
PRODUCT = ("config", "tasks", "worker")


def python_files(*roots: str) -> list[Path]:
    """Every module below these folders."""
    return sorted(path for root in roots for path in (TOP / root).rglob("*.py"))


def name_of(path: Path) -> str:
    """A file as people name it: from the top of the project."""
    return path.relative_to(TOP).as_posix()


@cache
def text_of(path: Path) -> str:
    """A file's text."""
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """A module, parsed."""
    return ast.parse(text_of(path), str(path))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, nested ones too."""
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def comments_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment; what looks like one inside a string is none."""
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@cache
def pyproject() -> dict[str, Any]:
    """``pyproject.toml``, parsed."""
    return tomllib.loads(text_of(TOP / "pyproject.toml"))
