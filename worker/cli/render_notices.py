"""Who is told, as a table and a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from worker.cli.render import facts, now, table
from worker.plain import distance, moment, moment_and_distance

if TYPE_CHECKING:
    from tasks.operations.notices import NoticeTargetView


def notice_targets(views: Sequence[NoticeTargetView]) -> RenderableType:
    """All targets, a line each, and what fails below."""
    if not views:
        return Text("Nobody is told. `rotator notify add NAME` adds somebody.")
    at = now()
    listing = table(
        ("NAME", "SERVICE", "LEVEL", "ROTATIONS", "TOLD", "STATE"),
        (
            (
                Text(view.name, "bold"),
                view.service,
                view.level.value,
                _rotations(view),
                distance(view.told_at, at) if view.told_at else "never",
                _state(view),
            )
            for view in views
        ),
    )
    return Group(listing, *(_failure(view) for view in views if view.error))


def notice_target(view: NoticeTargetView) -> RenderableType:
    """One target, everything known of it."""
    at = now()
    return facts(
        ("name", Text(view.name, "bold")),
        ("service", view.service),
        ("level", view.level.value),
        ("rotations", _rotations(view)),
        ("told", moment_and_distance(view.told_at, at) if view.told_at else "never"),
        ("state", _state(view)),
        ("error", Text(view.error, "red") if view.error else None),
        ("remedy", view.remedy or None),
        ("next attempt", moment_and_distance(view.next_attempt_at, at) if view.next_attempt_at else None),
        ("created", moment(view.created_at)),
    )


def _rotations(view: NoticeTargetView) -> str:
    return "all" if view.rotations is None else ", ".join(view.rotations)


def _state(view: NoticeTargetView) -> Text:
    return Text("ok", "green") if view.error is None else Text(f"failed {view.attempts}x", "bold red")


def _failure(view: NoticeTargetView) -> RenderableType:
    return Text.assemble((f"\n{view.name}: {view.error}", "red"), f"\n  {view.remedy}" if view.remedy else "")
