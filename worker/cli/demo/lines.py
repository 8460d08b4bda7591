"""The demo told in lines, where there is no terminal to paint on: one for each transition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import typer

from worker.cli.demo.scene import Scene, transitions
from worker.cli.demo.verdict import Figure, all_right


class Lines:
    """Prints what is new since the last scene."""

    def __init__(self) -> None:
        self._told: set[tuple[int, str]] = set()
        self._phase = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def show(self, scene: Scene) -> None:
        """Tell the phase when it changed, and each transition once."""
        if scene.phase != self._phase:
            self._phase = scene.phase
            self._line(scene.started_at, scene.now, scene.phase)
        for step in transitions(scene.versions):
            if (step.number, step.state.value) not in self._told:
                self._told.add((step.number, step.state.value))
                self._line(scene.started_at, step.at, f"version {step.number} is {step.state.value}")

    def verdict(self, figures: Sequence[Figure], *, took_s: float) -> None:
        """One line for each figure, then all of them in one."""
        typer.echo("")
        for figure in figures:
            mark = "ok   " if figure.right else "WRONG"
            typer.echo(f"  {mark} {figure.value:>6} {figure.label:<18} {figure.told_by}")
        told = ", ".join(f"{figure.value} {figure.label}" for figure in figures)
        judged = "every figure is right" if all_right(figures) else "NOT every figure is right"
        typer.echo(f"\nverdict: {told}: {judged} ({took_s:.0f} s)")

    @staticmethod
    def _line(started_at: datetime, at: datetime, text: str) -> None:
        typer.echo(f"{max(0.0, (at - started_at).total_seconds()):6.1f} s  {text}")
