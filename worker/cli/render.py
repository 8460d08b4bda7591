"""Views as tables and pages for people. Nothing here asks or changes anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tasks.rotation.model import ConnectionHealth
from worker.plain import distance, moment, moment_and_distance

if TYPE_CHECKING:
    from tasks.operations.views import ConnectionView, EventView, TokenView
    from tasks.rotation.reconciling import Finding
    from worker.health import Check

_PIPE_WIDTH: Final = 4000  # columns when nobody looks: lines must not be folded for `grep`


def console() -> Console:
    """Where results are printed: stdout, its full width in a terminal and no cut lines in a pipe."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def show(renderable: RenderableType) -> None:
    """Print to stdout; in a pipe without the blanks that fill a table's columns."""
    out = console()
    if sys.stdout.isatty():
        out.print(renderable)
        return
    with out.capture() as captured:
        out.print(renderable)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def now() -> datetime:
    """The moment that "5m ago" is told from."""
    return datetime.now(UTC)


def connections(views: Sequence[ConnectionView]) -> RenderableType:
    """All connections, a line each."""
    if not views:
        return Text("No connections yet. `rotator connection create NAME` makes one.")
    at = now()
    return table(
        ("NAME", "HEALTH", "CHECKED", "FINGERPRINT", "ROTATIONS", "DESCRIPTION"),
        (
            (
                Text(view.name, "bold"),
                _health(view.health),
                distance(view.checked_at, at),
                view.fingerprint,
                ", ".join(view.rotations) or "-",
                view.description or "",
            )
            for view in views
        ),
    )


def connection(view: ConnectionView) -> RenderableType:
    """One connection, everything known of it."""
    at = now()
    return facts(
        ("name", Text(view.name, "bold")),
        ("app", f"{view.app} ({view.method})"),
        ("description", view.description or "-"),
        ("health", Text.assemble(_health(view.health), f"  {view.message}")),
        ("checked", moment_and_distance(view.checked_at, at)),
        ("fingerprint", view.fingerprint),
        ("paused until", moment_and_distance(view.paused_until, at) if view.paused_until else None),
        ("rotations", ", ".join(view.rotations) or "none"),
        ("created", moment(view.created_at)),
        ("updated", moment(view.updated_at)),
    )


def tokens(views: Sequence[TokenView]) -> RenderableType:
    """All tokens, a line each."""
    if not views:
        return Text("No tokens yet. `rotator token create NAME --role ROLE` makes one.")
    at = now()
    return table(
        ("NAME", "ROLE", "ROTATIONS", "EXPIRES", "LAST USED", "CREATED"),
        (
            (
                Text(view.name, "bold"),
                view.role,
                ", ".join(view.rotations) or "-",
                _expiry(view.expires_at, at),
                distance(view.last_used_at, at) if view.last_used_at else "never",
                moment(view.created_at),
            )
            for view in views
        ),
    )


def _expiry(at: datetime | None, present: datetime) -> Text:
    if at is None:
        return Text("never")
    return Text(distance(at, present), "bold red" if at <= present else "")


def findings(views: Sequence[Finding]) -> RenderableType:
    """What reconciling met, a line each."""
    if not views:
        return Text("Nothing amiss: what OpenRouter has is what the database says.")
    return table(
        ("CONNECTION", "VERDICT", "KEY", "HASH", "WHAT"),
        ((f.connection, f.verdict, f.name, f.key_hash, f.message) for f in views),
    )


def checks(found: Sequence[Check]) -> RenderableType:
    """What the doctor found, a line each, with what to do."""
    return table(
        ("", "CHECK", "FOUND"),
        (
            (
                Text("ok", "green") if check.ok else Text("FAILED", "bold red"),
                Text(check.name, "bold"),
                f"{check.message} {check.remedy}".strip(),
            )
            for check in found
        ),
    )


def event_line(event: EventView) -> Text:
    """One event as a line: when, which, what, who, why."""
    subject = event.rotation or event.connection or "-"
    version = f" v{event.version}" if event.version is not None else ""
    return Text.assemble(
        (moment(event.at), "dim"),
        f"  {subject}{version}  ",
        (event.name, "bold"),
        f"  {event.why}" if event.why else "",
        (f"  by {event.actor}", "dim"),
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[RenderableType]], *, after: Iterable[RenderableType] = ()
) -> RenderableType:
    """Columns without boxes, as other tools can read them, and lines below."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in head:
        made.add_column(title, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return Group(made, *after)


def facts(*pairs: tuple[str, RenderableType | None]) -> RenderableType:
    """Label and value, a line each; None leaves the line out."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in pairs:
        if value is not None:
            made.add_row(label, value)
    return made


def _health(health: ConnectionHealth) -> Text:
    return Text(health.value, "green" if health is ConnectionHealth.VALID else "bold red")
