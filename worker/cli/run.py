"""`rotator run`: a command with the current keys in its environment, kept up to date."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.guard import MisuseError, example
from worker.cli.session import operations

if TYPE_CHECKING:
    from tasks.operations import Operations


def add_to(app: typer.Typer) -> None:
    """Put the command on the root."""
    app.command(
        "run",
        context_settings={"allow_interspersed_args": False},  # COMMAND's own options are its own
        epilog=example(
            "rotator run --rotation web -- gunicorn web:app",
            "rotator run --rotation web --signal HUP -- nginx -g 'daemon off;'",
        ),
    )(run)


def run(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", show_default=False)],
    rotation: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose key to give it; may be repeated. Default: the only rotation."),
    ] = None,
    signal_name: Annotated[
        str | None,
        typer.Option("--signal", metavar="SIGNAL", help="On a new version send this (HUP, USR1), do not restart."),
    ] = None,
    poll: Annotated[
        float, typer.Option(metavar="S", min=0.1, max=86_400, help="Look for a new version this often, seconds.")
    ] = 5.0,
    grace: Annotated[
        float, typer.Option(metavar="S", min=0.0, max=86_400, help="Seconds between SIGTERM and SIGKILL at a restart.")
    ] = 10.0,
) -> None:
    """Run a command with the current key in its environment.

    On a new version it is restarted (SIGTERM, the grace, SIGKILL), or signalled. The variable is the rotation's
    secret name. SIGTERM, SIGINT and the like are passed on; the exit code is COMMAND's (126 not executable, 127 not
    found, 128+N ended by signal N).

    With --signal the environment of the running process cannot change: it must read the new key from a destination.
    The master key and other secrets among our own settings are not passed on.
    """
    from worker.cli.child import Child, keep_current
    from worker.cli.keys import Keys

    number = None if signal_name is None else signal_number(signal_name)
    with operations() as ops:
        keys = Keys(ops, tuple(dict.fromkeys(rotation or ())) or _the_only_one(ops))
        child = Child(command, dict(os.environ), grace_s=grace)
        code = keep_current(child, keys, poll_s=poll, signal_number=number)
    raise typer.Exit(code)


def signal_number(name: str) -> signal.Signals:
    """``HUP``, ``SIGHUP`` or ``1`` as a signal. Raises ``MisuseError``."""
    try:
        if name.isdecimal():
            return signal.Signals(int(name))
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError):
        raise MisuseError(f"--signal: there is no signal {name!r}; write HUP, USR1 or a number") from None


def _the_only_one(ops: Operations) -> tuple[str]:
    views = ops.list_rotations()
    names = [view.name for view in views]
    if len(names) == 1 and not views.broken:
        return (names[0],)
    known = f"one of {', '.join(names)}" if names else "there is none yet"
    raise MisuseError(f"say whose key COMMAND gets: --rotation NAME ({known})")
