"""`rotator token`: who may ask over HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.guard import example, note
from worker.cli.output import Json, Name, put
from worker.cli.session import operations

if TYPE_CHECKING:
    from config.secret import Secret
    from tasks.operations.views import TokenView

app = typer.Typer(
    help="Make, list and revoke tokens of the HTTP API and the console.",
    no_args_is_help=True,
    epilog=example("rotator token create ci --role operator --expires 90d", "rotator token list"),
)


@app.command(
    epilog=example(
        "(umask 077; rotator token create ci --role operator --expires 90d > ci.token)",
        "rotator token create shop --role consumer --rotation web > shop.token",
        "rotator token create me --role admin --json",
    )
)
def create(
    name: Name,
    *,
    role: Annotated[str, typer.Option(help="viewer, operator, admin or consumer.", metavar="ROLE")],
    rotation: Annotated[
        list[str] | None,
        typer.Option(help="For a consumer: whose key it may read. May be repeated.", metavar="NAME"),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="End it after this time, like 90d.", metavar="SPAN")] = None,
    json: Json = False,
) -> None:
    """Make a token, and print it: this once, and alone (a newline only in a terminal).

    \b
    viewer    sees everything but keys
    operator  and rotates, undoes, pauses, checks
    admin     and creates, changes, deletes, and may see a key
    consumer  reads the current key of the rotations that --rotation names, and nothing else

    What the token does, events tell as done by token:NAME. With --json it is the field "token".
    """
    with operations() as ops:
        view, text = ops.create_token(name, role, rotations=tuple(rotation or ()), expires=expires)
    if json:
        _print_as_json(view, text)
        return
    note(f"The token {name} is made: {_told(view)}. It is not shown again.")
    typer.echo(text.reveal(), nl=sys.stdout.isatty())


@app.command("list", epilog=example("rotator token list", "rotator token list --json"))
def list_all(json: Json = False) -> None:
    """List the tokens, what they may do, and when each was last used (to the minute)."""
    from worker.cli.render import tokens

    with operations() as ops:
        put(ops.list_tokens(), tokens, json=json)


@app.command(epilog=example("rotator token revoke ci"))
def revoke(name: Name) -> None:
    """End a token at once, and every session that was begun with it."""
    with operations() as ops:
        ops.revoke_token(name)
    note(f"The token {name} is revoked: from now on it opens nothing.")


def _print_as_json(view: TokenView, text: Secret) -> None:
    from dataclasses import asdict

    from worker.plain import as_json

    typer.echo(as_json({"token": text.reveal(), **asdict(view)}))


def _told(view: TokenView) -> str:
    from worker.plain import moment

    of = f" of {', '.join(view.rotations)}" if view.rotations else ""
    until = "without end" if view.expires_at is None else f"until {moment(view.expires_at)}"
    return f"{view.role}{of}, {until}"
