"""Every command of `rotator`, put together."""

from __future__ import annotations

import typer

from worker.cli import connection, demo, guard, notify, overview, process, rotate, rotation, run, secret, token, upkeep

app = typer.Typer(
    name="rotator",
    cls=guard.Commands,
    rich_markup_mode=None,  # Rich's help costs 0.4 s of imports (measured November 2026), plain help none
    pretty_exceptions_enable=False,  # a traceback with locals would print key material
    no_args_is_help=True,
    help="Rotate OpenRouter API keys on a schedule, and lose none.",
    epilog="\b\nExample:\n  rotator demo        # the whole job in half a minute, nothing to set up",
)

app.command("demo", epilog=guard.example("rotator demo", "rotator demo --rotations 5 --every 6"))(demo.demo)
process.add_to(app)
app.add_typer(connection.app, name="connection")
app.add_typer(rotation.app, name="rotation")
rotate.add_to(app)
app.add_typer(secret.app, name="secret")
run.add_to(app)
app.add_typer(token.app, name="token")
app.add_typer(notify.app, name="notify")
overview.add_to(app)
upkeep.add_to(app)
