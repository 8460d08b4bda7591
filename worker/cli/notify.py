"""`rotator notify`: who is told of what happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.guard import MisuseError, example, note
from worker.cli.output import Json, Name, put
from worker.cli.prompts import Asked, read_secret
from worker.cli.rotation_options import or_unset
from worker.cli.session import operations

if TYPE_CHECKING:
    from tasks.operations.notices import NoticeTargetView

app = typer.Typer(
    help="Tell people of rotations, failures and drift: by mail, Slack, PagerDuty and a hundred others.",
    no_args_is_help=True,
    epilog=example("rotator notify add ops --url-file slack.url", "rotator notify list"),
)
_ADDRESS = Asked("address", "--url-stdin", "--url-file", "Address, an Apprise URL (hidden)")
UrlFromStdin = Annotated[bool, typer.Option("--url-stdin", help="Read the address from stdin.")]
UrlFromFile = Annotated[Path | None, typer.Option("--url-file", help="Read the address from a file.", metavar="PATH")]


@app.command(
    epilog=example(
        "rotator notify add ops --test                                # asks for the address, hidden",
        "rotator notify add night --url-file pagerduty.url --level critical",
        "pass slack/team-a | rotator notify add team-a --url-stdin --rotation web --rotation batch",
    )
)
def add(
    name: Name,
    *,
    stdin: UrlFromStdin = False,
    file: UrlFromFile = None,
    level: Annotated[str, typer.Option(help="The least to be told: info, warning or critical.", metavar="L")] = "info",
    rotation: Annotated[
        list[str] | None,
        typer.Option(help="Only what happens to this rotation. May be repeated.", metavar="NAME"),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a test message first; if it fails, add nothing.")] = False,
    json: Json = False,
) -> None:
    """Add somebody who is told what happens from now on.

    The address is a URL of Apprise (https://appriseit.com/services/), such as mailtos://USER:PASSWORD@example.com or
    slack://TOKENS. It is stored encrypted and never shown again.

    \b
    info      rotated, well again, swept up
    warning   and what failed and is tried again, and drift
    critical  only what needs a person

    Each event is told once, not once for each retry. Needs: pip install 'openrouter-rotator[notify]'
    """
    address = read_secret(_ADDRESS, stdin=stdin, file=file)
    with operations() as ops:
        _show(ops.add_notice_target(name, address, level=level, rotations=tuple(rotation or ()), test=test), json=json)


@app.command("list", epilog=example("rotator notify list", "rotator notify list --json"))
def list_all(json: Json = False) -> None:
    """List who is told, when that last happened, and what fails; of an address only its service."""
    from worker.cli.render_notices import notice_targets

    with operations() as ops:
        put(ops.list_notice_targets(), notice_targets, json=json)


@app.command("test", epilog=example("rotator notify test ops"))
def try_out(name: Name, json: Json = False) -> None:
    """Send a test message; exit code 1 if it is not taken. Once it is, whatever waits there is told, too."""
    with operations() as ops:
        view = ops.test_notice_target(name)
    if json:
        _show(view, json=json)
        return
    note(f"{view.name} ({view.service}) took a test message.")


@app.command(
    epilog=example(
        "rotator notify update ops --new-url                          # asks for the address, hidden",
        "rotator notify update ops --level warning",
        "rotator notify update team-a --rotation web",
    )
)
def update(
    name: Name,
    *,
    new_url: Annotated[bool, typer.Option("--new-url", help="Ask for a new address.")] = False,
    stdin: UrlFromStdin = False,
    file: UrlFromFile = None,
    level: Annotated[
        str | None, typer.Option(help="The least to be told: info, warning or critical.", metavar="L")
    ] = None,
    rotation: Annotated[
        list[str] | None,
        typer.Option(help="Only what happens to these rotations, instead of those before.", metavar="NAME"),
    ] = None,
    all_rotations: Annotated[
        bool, typer.Option("--all-rotations", help="Whatever happens to any rotation or connection.")
    ] = False,
    json: Json = False,
) -> None:
    """Change the address, the level or the rotations. What waits for a new address is told at once."""
    from tasks.operations.requests import UNSET

    replaces = new_url or stdin or file is not None
    if rotation and all_rotations:
        raise MisuseError("--rotation and --all-rotations exclude each other")
    if not replaces and level is None and not rotation and not all_rotations:
        given = "--new-url, --url-stdin, --url-file, --level, --rotation or --all-rotations"
        raise MisuseError(f"nothing to change: give {given}")
    address = read_secret(_ADDRESS, stdin=stdin, file=file) if replaces else None
    rotations = () if all_rotations else tuple(rotation) if rotation else UNSET
    with operations() as ops:
        _show(ops.update_notice_target(name, address=address, level=or_unset(level), rotations=rotations), json=json)


@app.command(epilog=example("rotator notify remove ops"))
def remove(name: Name) -> None:
    """Tell somebody no more, and delete the ciphertext of the address."""
    with operations() as ops:
        ops.remove_notice_target(name)
    note(f"{name} is not told any more.")


def _show(view: NoticeTargetView, *, json: bool) -> None:
    from worker.cli.render_notices import notice_target

    put(view, notice_target, json=json)
