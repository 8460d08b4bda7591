"""The demo painted: each key version moving through its life, live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Final

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tasks.rotation.model import KeyVersion, VersionState
from worker.cli.demo.scene import LIFE, Scene, transitions
from worker.cli.demo.verdict import Figure, all_right
from worker.cli.render_rotation import STATE_STYLE

_WIDEST: Final = 92
_FRAMES_PER_S: Final = 8
_LAST_STEPS: Final = 6
_VERSIONS_SHOWN: Final = 7
_COLUMNS: Final = (3, 8, 15, 9, 24)  # version, key, track, state, what comes next; 80 characters hold them
_GAUGE: Final = 12
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_TITLE: Final = " rotator demo "


class Screen:
    """Repaints the scene in place; the last one stays, with the verdict below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=_FRAMES_PER_S, transient=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Paint this moment."""
        self._live.update(paint(scene, width=min(self._console.width, _WIDEST)))

    def verdict(self, figures: Sequence[Figure], *, took_s: float) -> None:
        """Paint the verdict below the last scene."""
        self._live.stop()
        self._console.print(paint_verdict(figures, took_s=took_s, width=min(self._console.width, _WIDEST)))


def paint(scene: Scene, *, width: int) -> RenderableType:
    """The whole scene."""
    clock = f"{(scene.now - scene.started_at).total_seconds():.0f} s"
    parts = (_processes(scene), Text(), _lives(scene), Text(), _gauges(scene), Text(), _last_steps(scene))
    return Panel(
        Group(*parts),
        title=Text(_TITLE, "bold"),
        title_align="left",
        subtitle=Text(f" {scene.phase} · {clock} ", "dim"),
        subtitle_align="right",
        box=ROUNDED,
        border_style="cyan",
        padding=(1, 2),
        width=width,
    )


def paint_verdict(figures: Sequence[Figure], *, took_s: float, width: int) -> RenderableType:
    """Every figure with a tick or a cross."""
    right = all_right(figures)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(style="dim")
    for figure in figures:
        mark = Text("✓", "bold green") if figure.right else Text("✗", "bold red")
        grid.add_row(mark, f"{figure.value:,}", figure.label, figure.told_by)
    judged = "every figure is right" if right else "not every figure is right"
    return Panel(
        grid,
        title=Text(" verdict ", "bold"),
        title_align="left",
        subtitle=Text(f" {judged} · {took_s:.0f} s ", "bold green" if right else "bold red"),
        subtitle_align="right",
        box=ROUNDED,
        border_style="green" if right else "red",
        padding=(1, 2),
        width=width,
    )


def _processes(scene: Scene) -> RenderableType:
    """Who is at work, each a process of its own."""
    line = Text()
    for name, pid in scene.processes:
        line.append("● ", "green").append(name, "bold").append(f" {pid}   ", "dim")
    return line if scene.processes else Text("starting ...", "dim")


def _lives(scene: Scene) -> RenderableType:
    """One row for each version: its track, its state, what comes next."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    for width in _COLUMNS:
        grid.add_column(no_wrap=True, min_width=width)
    grid.add_row(*(Text(title, "dim") for title in ("", "key", "born ─▸ deleted", "state", "")))
    shown = scene.versions[-_VERSIONS_SHOWN:]
    for version in shown:
        grid.add_row(
            Text(f"v{version.number}", "bold"),
            Text((version.key_hash or "········")[:8], "dim"),
            _track(version),
            Text(version.state.value, STATE_STYLE[version.state]),
            _what_next(version, scene),
        )
    for number in range(len(scene.versions) + 1, min(scene.plan.versions, _VERSIONS_SHOWN) + 1):
        grid.add_row(Text(f"v{number}", "dim"), "", Text("─".join("·" * len(LIFE)), "dim"), "", "")
    return grid


def _track(version: KeyVersion) -> Text:
    """``●━●━●━●━◉─·─·─·``: where it has been, where it is, what is to come."""
    if version.state is VersionState.ABANDONED:
        return Text("abandoned: its key goes at once", STATE_STYLE[version.state])
    here = LIFE.index(version.state)
    track = Text()
    for index, state in enumerate(LIFE):
        if index:
            track.append("━" if index <= here else "─", STATE_STYLE[LIFE[here]] if index <= here else "dim")
        track.append(
            "◉" if index == here else "●" if index < here else "·", STATE_STYLE[state] if index <= here else "dim"
        )
    return track


def _mark(index: int, here: int, style: str) -> tuple[str, str]:
    if index > here:
        return "·", "dim"
    return ("◉" if index == here else "●"), style


def _what_next(version: KeyVersion, scene: Scene) -> Text:
    if version.state is VersionState.ACTIVE:
        using = scene.number_in_use() == version.number
        return Text("◂ the consumer's key" if using else "", "green")
    if version.state is VersionState.RETIRING:
        return Text(f"works, disabled {_soon(version.retire_at, scene.now)}", "yellow")
    if version.state is VersionState.DISABLED:
        return Text(f"undoable, deleted {_soon(version.delete_at, scene.now)}", "magenta")
    return Text(version.attempt.error or "", "red")


def _gauges(scene: Scene) -> RenderableType:
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    done = scene.rotations_done
    grid.add_row("rotations", Text.assemble(_bar(done, scene.plan.rotations), f"  {done} of {scene.plan.rotations}"))
    grid.add_row("next", _until_next(scene))
    seen = scene.consumed
    refused = (f"{seen.failures} refused", "bold red" if seen.failures else "green")
    grid.add_row("consumer", Text.assemble(_pulse(scene.pulse), f"  {seen.calls:,} calls  ", refused))
    return grid


def _until_next(scene: Scene) -> Text:
    due = scene.rotation.next_rotation_at if scene.rotation else None
    if due is None or (scene.rotation and scene.rotation.paused):
        return Text("paused: the demo has seen enough" if scene.rotation else "", "dim")
    left = max(0.0, (due - scene.now).total_seconds())
    return Text.assemble(_bar(scene.plan.every_s - left, scene.plan.every_s), f"  {_soon(due, scene.now)}")


def _bar(done: float, of: float) -> Text:
    filled = round(_GAUGE * min(1.0, max(0.0, done / of)))
    return Text.assemble(("▰" * filled, "cyan"), ("▱" * (_GAUGE - filled), "dim"))


def _pulse(counts: Sequence[int]) -> Text:
    """Calls per look as a little curve."""
    recent = counts[-_GAUGE:]
    top = max(recent, default=0) or 1
    return Text("".join(_SPARKS[(len(_SPARKS) - 1) * count // top] for count in recent).rjust(_GAUGE), "green")


def _last_steps(scene: Scene) -> RenderableType:
    lines = []
    for step in transitions(scene.versions)[-_LAST_STEPS:]:
        at = (step.at - scene.started_at).total_seconds()
        lines.append(
            Text.assemble(
                (f"{at:5.1f} s  ", "dim"), f"version {step.number} is ", (step.state.value, STATE_STYLE[step.state])
            )
        )
    return Group(*lines, *(Text() for _ in range(_LAST_STEPS - len(lines))))


def _soon(at: datetime | None, now: datetime) -> str:
    left = max(0.0, (at - now).total_seconds()) if at else 0.0
    return f"in {left:.0f} s" if left >= 1 else "now"
