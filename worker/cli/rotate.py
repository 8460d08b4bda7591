"""`rotator rotate` and `rotator undo`: ask for a change now, and wait for it if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.rotation.errors import Broken
from worker.cli.guard import DONE, FAILED, MisuseError, complain, example, fail_if, note
from worker.cli.output import Json, Local, Name, put
from worker.cli.prompts import Yes, confirm
from worker.cli.session import operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.operations import Operations
    from tasks.operations.views import RotateAnswer

Wait = Annotated[bool, typer.Option("--wait", help="Show progress until the new key is in service.")]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait. ``local`` does the work in this process, ``wait`` waits for whoever does it.

    Without ``wait`` one round must be enough: what is left then waits for a moment that the database knows.
    """

    wait: bool
    local: bool
    undo: bool = False
    emergency: bool = False
    """It is over only when every older key is deleted."""


def add_to(app: typer.Typer) -> None:
    """Put both commands on the root."""
    app.command(
        "rotate",
        epilog=example(
            "rotator rotate web --wait",
            "rotator rotate --all",
            "rotator rotate web --dry-run",
            "rotator rotate web --emergency        # a key has leaked",
        ),
    )(rotate)
    app.command("undo", epilog=example("rotator undo web --wait"))(undo)


def rotate(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every rotation that is not paused.")] = False,
    wait: Wait = False,
    local: Local = False,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Once the new key is delivered, delete every older one at once.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Rotate now, without waiting for the schedule.

    Two people who ask at once get one rotation and the same answer. Each rotation is tried, also after one failed.
    """
    if bool(names) == everything:
        raise MisuseError("give the names of rotations, or --all")
    if dry_run and (emergency or wait or local):
        raise MisuseError("--dry-run changes nothing: leave --emergency, --wait and --local out")
    with operations() as ops:
        chosen, unreadable = _all_names(ops) if everything else (list(dict.fromkeys(names or ())), ())
        if dry_run:
            _show_dry_runs(ops, chosen, json=json)
            fail_if(unreadable)
            return
        if emergency:
            _confirm_emergency(chosen, yes=yes)
        waiting = Waiting(wait=wait, local=local, emergency=emergency)
        _each(ops, chosen, lambda name: ops.rotate(name, emergency=emergency), waiting, json=json, left_out=unreadable)


def undo(name: Name, wait: Wait = False, local: Local = False, json: Json = False) -> None:
    """Bring the previous key back, while it is not deleted."""
    with operations() as ops:
        _each(ops, [name], ops.undo, Waiting(wait=wait, local=local, undo=True), json=json)


def _each(
    ops: Operations,
    names: list[str],
    ask: Callable[[str], RotateAnswer],
    waiting: Waiting,
    *,
    json: bool,
    left_out: tuple[str, ...] = (),
) -> None:
    """Ask for each, then wait for each; one that fails stops no other, nor what is wrong with those ``left_out``.

    Ends with the worst exit code; but misuse, which says that nothing was changed, only when nothing was asked for.
    """
    codes, answers = [DONE, *(complain(Broken(message)) for message in left_out)], []
    for name in names:
        try:
            answers.append(ask(name))
        except Exception as error:  # noqa: BLE001 - told like any other, but after it the others still get their turn
            codes.append(complain(error))
    if answers:
        codes = [min(code, FAILED) for code in codes]
    _tell(answers, wait=waiting.wait, local=waiting.local, json=json)
    if waiting.wait or waiting.local:
        from worker.cli.progress import follow

        codes += [follow(ops, answer, waiting) for answer in answers]
    if any(codes):
        raise typer.Exit(max(codes))


def _tell(answers: list[RotateAnswer], *, wait: bool, local: bool, json: bool) -> None:
    if json:
        from worker.plain import as_json

        typer.echo(as_json(answers))
        return
    for answer in answers:
        already = " already" if answer.joined else ""
        typer.echo(f"{answer.rotation}: version {answer.version} is on its way{already}.")
        if answer.notice and not local:
            note(answer.notice if answer.enqueued else f"{answer.notice} --local does it now, in this process.")
        elif not wait and not local:
            note(f"`rotator rotation history {answer.rotation}` shows how it goes.")


def _all_names(ops: Operations) -> tuple[list[str], tuple[str, ...]]:
    """Every rotation that is not paused, and what is wrong with those that cannot be read."""
    views = ops.list_rotations()
    for view in views:
        if view.paused:
            note(f"{view.name}: left out, it is paused")
    return [view.name for view in views if not view.paused and view.removal is None], views.broken


def _show_dry_runs(ops: Operations, names: list[str], *, json: bool) -> None:
    from rich.console import Group

    from worker.cli import render_rotation

    put(tuple(ops.dry_run(n) for n in names), lambda views: Group(*map(render_rotation.dry_run, views)), json=json)


def _confirm_emergency(names: list[str], *, yes: bool) -> None:
    confirm(
        f"Emergency: as soon as the new key is delivered, every older key of {', '.join(names)} is deleted at "
        "OpenRouter, without overlap and without a way back. Whoever still uses one is refused at once. Go on?",
        yes=yes,
    )
