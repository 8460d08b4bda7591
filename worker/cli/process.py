"""`rotator up` and `rotator emulator`: long-running processes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from worker.cli.guard import MisuseError, example


def add_to(app: typer.Typer) -> None:
    """Put both commands on the root."""
    app.command("up", epilog=example("rotator up", "rotator up --flower"))(up)
    app.command(
        "emulator",
        epilog=example(
            "rotator emulator --port 8400", "ROTATOR_OPENROUTER_BASE_URL=http://127.0.0.1:8400/api/v1 rotator up"
        ),
    )(emulator)


def up(
    flower: Annotated[bool, typer.Option("--flower", help="Run Flower too, on loopback, with a password.")] = False,
) -> None:
    """Run broker, worker and beat in one command.

    Ctrl-C or SIGTERM ends all. The broker is an embedded Valkey unless ROTATOR_BROKER_URL names one.
    A process that dies is started again. A second Ctrl-C does not wait for running tasks.
    """
    from worker import supervisor

    supervisor.up(os.environ, sys.stdout, flower=flower)


def emulator(
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65_535, help="Port on loopback; 0: a free one.")] = 0,
    latency: Annotated[float, typer.Option(metavar="S", min=0, max=3600, help="Let every call wait S seconds.")] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Makes faults with a probability repeat.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="JSON", help='A fault, like {"kind": "lost_reply", "method": "POST"}. May be repeated.'),
    ] = None,
) -> None:
    """Run a stand-in for OpenRouter, for trials and tests.

    It takes only management keys that begin with "emulator-". Never give it a real one.
    """
    from tasks.providers.openrouter.emulator import parse_fault
    from tasks.providers.openrouter.emulator.__main__ import main

    for rule in fault or ():
        try:
            parse_fault(rule)
        except ValueError as error:
            raise MisuseError(f"--fault: {error}") from None
    options = ["--port", str(port), "--latency", str(latency), "--seed", str(seed)]
    code = main([*options, *(part for rule in fault or () for part in ("--fault", rule))])
    raise typer.Exit(code)
