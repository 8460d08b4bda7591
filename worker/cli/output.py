"""Results go to stdout: a table for people or, with `--json`, data for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

Json = Annotated[bool, typer.Option("--json", help="Print JSON: times in UTC, spans like 1d.")]
Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
Local = Annotated[bool, typer.Option("--local", help="Do the work in this process, when no worker runs.")]
View = TypeVar("View")


def put(view: View, page: Callable[[View], RenderableType], *, json: bool) -> None:
    """Print a view, by ``page`` for people or as JSON."""
    if json:
        from worker.plain import as_json

        typer.echo(as_json(view))
        return
    from worker.cli.render import show

    show(page(view))
