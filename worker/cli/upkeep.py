"""`rotator master-key` and `rotator db`: what an operator does to the database itself."""

from __future__ import annotations

import typer

from worker.cli.guard import example
from worker.cli.session import opened, operations

master_key = typer.Typer(
    help="Make and rotate the key of the encrypted database.",
    no_args_is_help=True,
    epilog=example("rotator master-key generate > master.key"),
)
database = typer.Typer(
    help="Prepare and check the database.", no_args_is_help=True, epilog=example("rotator db upgrade")
)


def add_to(app: typer.Typer) -> None:
    """Put both groups on the root."""
    app.add_typer(master_key, name="master-key")
    app.add_typer(database, name="db")


@master_key.command(epilog=example("(umask 077; rotator master-key generate > /etc/rotator/master.key)"))
def generate() -> None:
    """Print a new master key. Keep it safe: without it the stored keys cannot be read."""
    from config.master_key import generate_master_key

    typer.echo(generate_master_key().reveal())


@master_key.command(epilog=example("rotator master-key rotate"))
def rotate() -> None:
    """Encrypt everything anew under a new master key, while workers run; may be interrupted and run again."""
    with operations() as ops:
        count = ops.rotate_master_key()
    typer.echo(f"{count} ciphertexts were encrypted anew under the first master key.")


@database.command(epilog=example("rotator db upgrade"))
def upgrade() -> None:
    """Bring the schema up to date; run it before workers of a new release start. A second run does nothing.

    Workers of the release before go on meanwhile and afterwards, and may be restarted: stop them when the new ones
    run, and before the release after that.
    """
    with opened() as rotator:
        rotator.store.upgrade()
        typer.echo(rotator.store.check_schema())


@database.command(epilog=example("rotator db check"))
def check() -> None:
    """Say whether this release works with the database's schema; exit code 1 if not."""
    with opened() as rotator:
        typer.echo(rotator.store.check_schema())


@database.command(epilog=example("rotator db downgrade"))
def downgrade() -> None:
    """Take back the newest migration, for the release before; only where that loses nothing.

    Stop the workers of this release first. Those of the release before work with the newer schema too: this is needed
    only to go back further.
    """
    with opened() as rotator:
        found = rotator.store.downgrade()
        typer.echo(f"The schema is {found} now. This release does not work with it: start the one that needs it.")
