"""`rotator demo`: the whole job at speed, then a verdict."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    rotations: Annotated[int, typer.Option(metavar="N", min=1, max=50, help="Rotations after the first key.")] = 3,
    every: Annotated[int, typer.Option(metavar="S", min=3, max=3600, help="Seconds between two rotations.")] = 5,
) -> None:
    """Show the whole job in half a minute, with a verdict.

    A key is rotated on schedule against an emulated OpenRouter, again and again, while an application uses it.
    Nothing needs to be set up and nothing is left behind. Broker, worker, beat and the emulator run as processes of
    their own, the database is SQLite in a temporary folder, and your settings and data are not touched.

    Version 1 is minted first; then beat rotates it N times. Meanwhile a consumer reads the dotenv file and calls the
    emulator with the key it finds, without pause. Exit code 0 only if every figure of the verdict is right.
    """
    from worker.cli.demo.plan import Plan
    from worker.cli.demo.play import perform

    raise typer.Exit(perform(Plan.of(rotations, every_s=every)))
