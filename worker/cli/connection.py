"""`rotator connection`: named, proven management keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.guard import FAILED, MisuseError, example, note
from worker.cli.output import Json, Name, put
from worker.cli.prompts import KeyFromFile, KeyFromStdin, Yes, confirm_name, read_management_key
from worker.cli.session import operations

if TYPE_CHECKING:
    from tasks.operations.views import ConnectionView

app = typer.Typer(
    help="Store and check management keys.",
    no_args_is_help=True,
    epilog=example("rotator connection create prod", "rotator connection list"),
)
Description = Annotated[str | None, typer.Option(help="At most 256 characters.", metavar="TEXT")]
NewDescription = Annotated[str | None, typer.Option(help='At most 256 characters; "" removes it.', metavar="TEXT")]


@app.command(
    epilog=example(
        "rotator connection create prod                              # asks for the key, hidden",
        "rotator connection create prod --api-key-file /run/secrets/management-key",
        "pass openrouter/management | rotator connection create prod --api-key-stdin",
    )
)
def create(
    name: Name,
    *,
    description: Description = None,
    stdin: KeyFromStdin = False,
    file: KeyFromFile = None,
    json: Json = False,
) -> None:
    """Store a management key, once OpenRouter has proven that it is one.

    The key is never shown again. NAME is 1 to 64 of a-z, 0-9 and single hyphens.
    """
    api_key = read_management_key(stdin=stdin, file=file)
    with operations() as ops:
        _show(ops.create_connection(name, api_key, description), json=json)


@app.command("list", epilog=example("rotator connection list", "rotator connection list --json"))
def list_all(json: Json = False) -> None:
    """List the connections and what their last check found."""
    from worker.cli.render import connections

    with operations() as ops:
        put(ops.list_connections(), connections, json=json)


@app.command(epilog=example("rotator connection show prod"))
def show(name: Name, json: Json = False) -> None:
    """Show one connection; of its key only the fingerprint."""
    with operations() as ops:
        _show(ops.show_connection(name), json=json)


@app.command(epilog=example("rotator connection check prod"))
def check(name: Name, json: Json = False) -> None:
    """Prove the stored key against OpenRouter now; exit code 1 unless it is valid."""
    from tasks.rotation.model import ConnectionHealth

    with operations() as ops:
        view = ops.check_connection(name)
    _show(view, json=json)
    if view.health is not ConnectionHealth.VALID:
        raise typer.Exit(FAILED)


@app.command(
    epilog=example("rotator connection update prod --new-key", 'rotator connection update prod --description "Team A"')
)
def update(
    name: Name,
    *,
    new_key: Annotated[bool, typer.Option("--new-key", help="Ask for a new management key.")] = False,
    stdin: KeyFromStdin = False,
    file: KeyFromFile = None,
    description: NewDescription = None,
    rename: Annotated[str | None, typer.Option(metavar="NAME", help="Call it so from now on.")] = None,
    json: Json = False,
) -> None:
    """Replace the management key, once the new one is proven, the description or the name."""
    from tasks.operations.requests import UNSET

    replaces_key = new_key or stdin or file is not None
    if not replaces_key and description is None and rename is None:
        given = "--new-key, --api-key-stdin, --api-key-file, --description or --rename"
        raise MisuseError(f"nothing to change: give {given}")
    api_key = read_management_key(stdin=stdin, file=file) if replaces_key else None
    with operations() as ops:
        changed = UNSET if description is None else description or None
        called = UNSET if rename is None else rename
        _show(ops.update_connection(name, api_key=api_key, description=changed, rename=called), json=json)


@app.command(epilog=example("rotator connection delete prod", "rotator connection delete prod --yes"))
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a connection that no rotation uses, and shred its key's ciphertext."""
    with operations() as ops:
        ops.show_connection(name)
        confirm_name("connection", name, yes=yes)
        ops.delete_connection(name)
    note(f'Connection "{name}" is deleted. Its management key still works at OpenRouter until you delete it there.')


def _show(view: ConnectionView, *, json: bool) -> None:
    from worker.cli.render import connection

    put(view, connection, json=json)
