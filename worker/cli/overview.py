"""`rotator status`, `watch`, `reconcile` and `doctor`: how things stand."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from worker.cli.guard import FAILED, MisuseError, example, fail_if
from worker.cli.output import Json, put
from worker.cli.session import operations


def add_to(app: typer.Typer) -> None:
    """Put the commands on the root."""
    app.command("status", epilog=example("rotator status", "rotator status --json"))(status)
    app.command("watch", epilog=example("rotator watch", "rotator watch web"))(watch)
    app.command("doctor", epilog=example("rotator doctor", "rotator doctor --ready && echo ready"))(doctor)
    app.command("reconcile", epilog=example("rotator reconcile", "rotator reconcile prod --json"))(reconcile)


def status(json: Json = False) -> None:
    """Show the whole installation and what needs attention."""
    from worker.cli import render_rotation

    with operations() as ops:
        view = ops.status()
    put(view, render_rotation.status, json=json)
    fail_if(view.broken)


def watch(
    rotation: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False)] = None,
    every: Annotated[
        float, typer.Option(metavar="S", min=0.2, max=86_400, help="Look again after this many seconds.")
    ] = 1.0,
) -> None:
    """Watch rotations, key versions and events live.

    Ctrl-C ends it. In a pipe it prints an event a line, from now on.
    """
    from worker.cli.watch import watch_events, watch_screen

    with operations() as ops:
        if rotation is not None:
            ops.show_rotation(rotation)
        if _in_terminal():
            watch_screen(ops, rotation, every_s=every)
        else:
            watch_events(ops, rotation, every_s=every)


def reconcile(
    connection: Annotated[str | None, typer.Argument(metavar="CONNECTION", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Compare OpenRouter's keys with the database.

    Orphans of ours are deleted, whatever else differs is reported; a key that is not ours is never changed.
    """
    from worker.cli import render

    with operations() as ops:
        put(ops.reconcile(connection), render.findings, json=json)


def doctor(
    live: Annotated[bool, typer.Option("--live", help="Only: do ticks reach the database?")] = False,
    ready: Annotated[bool, typer.Option("--ready", help="Only: could this machine work?")] = False,
    json: Json = False,
) -> None:
    """Check database, schema, master key, broker, beat and clock.

    Exit code 1 when one of them is not well; nothing is changed. --live is for what restarts processes, --ready for
    what sends them work.
    """
    from config.settings import settings
    from worker import health
    from worker.cli import render

    if live and ready:
        raise MisuseError("--live and --ready exclude each other")
    scope = health.Scope.LIVE if live else health.Scope.READY if ready else health.Scope.ALL
    checks = health.examine(settings(), scope)
    put(tuple(checks), render.checks, json=json)
    if not health.all_well(checks):
        raise typer.Exit(FAILED)


def _in_terminal() -> bool:
    return sys.stdout.isatty()
