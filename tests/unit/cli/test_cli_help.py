"""Every command explains itself, quickly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from worker.cli.app import app

WEB = ("fastapi", "starlette", "uvicorn", "jinja2", "prometheus_client")
HEAVY = ("sqlalchemy", "celery", "kombu", "httpx", "rich", "redis", "alembic", "cryptography", "structlog", *WEB)
"""Not pydantic: Typer itself loads it to read the arguments of a command, though not for the root's help."""


def _paths(command: object = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, as one types it."""
    yield path
    for name, sub in getattr(command or get_command(app), "commands", {}).items():
        yield from _paths(sub, (*path, name))


@pytest.mark.parametrize("path", list(_paths()), ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="rotator")
    assert result.exit_code == 0
    assert "Example:\n" in result.output
    assert " ".join(("rotator", *path)) in result.output.split("Example:")[1]


def test_the_promised_commands_are_there() -> None:
    promised = """
        demo, up, serve, connection create, connection list, connection show, connection check, connection update,
        connection delete, rotation create, rotation list, rotation show, rotation update, rotation pause,
        rotation resume, rotation history, rotation delete, rotate, undo, secret get, run, status, watch, reconcile,
        token create, token list, token revoke, notify add, notify list, notify test, notify update, notify remove,
        doctor, master-key generate, master-key rotate, db upgrade, db check,
        emulator
    """
    assert {name.strip() for name in promised.split(",")} <= {" ".join(path) for path in _paths()}


@pytest.mark.parametrize("arguments", [["--help"], ["rotation", "create", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import sys
from worker.cli.app import app
try:
    app({arguments!r}, prog_name="rotator")
except SystemExit:
    pass
print("LOADED", *sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_no_option_takes_the_management_key_or_an_address_itself() -> None:
    options = [
        option
        for path in _paths()
        for line in CliRunner().invoke(app, [*path, "--help"]).output.splitlines()
        for option in line.split()[:1]
    ]
    assert "--api-key-file" in options
    assert "--api-key" not in options
    assert "--url-file" in options
    assert "--url" not in options
