"""`rotator status`, `watch`, `reconcile` and `doctor`: how things stand."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.guard import example
from worker.cli.output import Json, put
from worker.cli.session import operations


def add_to(app: typer.Typer) -> None:
    """Put the commands on the root."""
    app.command("status", epilog=example("rotator status", "rotator status --json"))(status)
    app.command("watch", epilog=example("rotator watch", "rotator watch web"))(watch)
    app.command("reconcile", epilog=example("rotator reconcile", "rotator reconcile prod --json"))(reconcile)


def status(json: Json = False) -> None:
    """Show the whole installation: beat, connections, rotations, what needs attention."""
    from worker.cli import render

    with operations() as ops:
        put(ops.status(), render.status, json=json)


def watch(
    rotation: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    every: Annotated[float, typer.Option(metavar="S", min=0.2, help="Look again after this many seconds.")] = 1.0,
) -> None:
    """Watch rotations, key versions and events live, until Ctrl-C; in a pipe, an event a line."""
    from worker.cli.watch import watch_events, watch_screen

    with operations() as ops:
        if rotation is not None:
            ops.show_rotation(rotation)
        if _in_terminal():
            watch_screen(ops, rotation, every_s=every)
        else:
            watch_events(ops, rotation, every_s=every)


def reconcile(
    connection: Annotated[str | None, typer.Argument(metavar="[CONNECTION]", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Compare what OpenRouter has with what the database says; delete orphans of ours, report the rest."""
    from worker.cli import render

    with operations() as ops:
        put(ops.reconcile(connection), render.findings, json=json)


def _in_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
