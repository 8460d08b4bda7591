"""`rotator secret`: the way to the key for whoever has no destination."""

from __future__ import annotations

import sys

import typer

from worker.cli.guard import example
from worker.cli.output import Name
from worker.cli.session import operations

app = typer.Typer(help="Read the current key.", no_args_is_help=True, epilog=example("rotator secret get web"))


@app.callback()
def group() -> None:
    """Read the current key."""


@app.command(epilog=example('OPENROUTER_API_KEY="$(rotator secret get web)" ./app', "rotator secret get web | pbcopy"))
def get(name: Name) -> None:
    """Print the key that is in service now, and nothing else (a newline only in a terminal)."""
    with operations() as ops:
        key = ops.reveal_key(name)
    typer.echo(key.reveal(), nl=sys.stdout.isatty())
