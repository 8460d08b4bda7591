"""The live view of `rotator watch`."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tasks.rotation.errors import RotatorError, TryAgain
from tasks.rotation.model import VersionState
from worker.cli import render
from worker.cli.guard import note
from worker.cli.render_rotation import rotations, state
from worker.plain import distance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tasks.operations import Operations
    from tasks.operations.views import EventView
    from tasks.rotation.model import KeyVersion

_EVENTS_SHOWN: Final = 12
_PAGE: Final = 200


def watch_screen(ops: Operations, rotation: str | None, *, every_s: float) -> None:
    """Redraw rotations, living versions and the last events until Ctrl-C."""
    events: deque[EventView] = deque(maxlen=_EVENTS_SHOWN)
    news = _new_events(ops, rotation)
    with Live(console=render.console(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                events.extend(next(news))
                live.update(_page(ops, rotation, events), refresh=True)
                time.sleep(every_s)
        except KeyboardInterrupt:
            return


def watch_events(ops: Operations, rotation: str | None, *, every_s: float) -> None:
    """Print each event as a line, from now on, until Ctrl-C."""
    out = render.console()
    try:
        for batch in _new_events(ops, rotation, skip_past=True):
            for event in batch:
                out.print(render.event_line(event), soft_wrap=True)
            time.sleep(every_s)
    except KeyboardInterrupt:
        return


def _new_events(ops: Operations, rotation: str | None, *, skip_past: bool = False) -> Iterator[tuple[EventView, ...]]:
    """For ever what came since the last look. A database that cannot be asked for a moment only costs time."""
    after, behind = 0, skip_past
    while True:
        try:
            batch = ops.events(rotation=rotation, after=after, limit=_PAGE)
        except TryAgain as error:
            note(f"rotator watch: {error}")
            batch = ()
        after = max((event.id for event in batch), default=after)
        if behind and len(batch) == _PAGE:
            continue  # still reading the past
        yield () if behind else batch
        behind = False


def _page(ops: Operations, rotation: str | None, events: deque[EventView]) -> RenderableType:
    try:
        now, views = render.now(), ops.list_rotations()
        shown = [view for view in views if rotation in {None, view.name}]
        living = [(view.name, v) for view in shown for v in ops.history(view.name).versions if _alive(v)]
    except RotatorError as error:
        return Text(str(error), "red")
    return Group(
        Text(f"rotator watch   {now:%Y-%m-%d %H:%M:%SZ}   Ctrl-C ends", "dim"),
        Text(),
        rotations(shown),
        *(Text(message, "red") for message in views.broken),
        Text(),
        _versions(living, now),
        Text(),
        *(render.event_line(event) for event in events),
    )


def _versions(living: list[tuple[str, KeyVersion]], now: datetime) -> RenderableType:
    return render.table(
        ("ROTATION", "VERSION", "STATE", "NEXT STEP", "HASH"),
        ((name, f"v{v.number}", state(v.state), _next_step(v, now), v.key_hash or "-") for name, v in living),
    )


def _next_step(version: KeyVersion, now: datetime) -> str:
    match version.state:
        case VersionState.RETIRING:
            return f"disabled {distance(version.retire_at, now)}"
        case VersionState.DISABLED:
            return f"deleted {distance(version.delete_at, now)}"
        case _:
            return version.attempt.error or ""


def _alive(version: KeyVersion) -> bool:
    return version.state is not VersionState.DELETED
