"""`rotator up`, `rotator serve` and `rotator emulator`: long-running processes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from worker.cli.guard import MisuseError, example


def add_to(app: typer.Typer) -> None:
    """Put the commands on the root."""
    app.command("up", epilog=example("rotator up", "rotator up --web", "rotator up --web --flower"))(up)
    app.command(
        "serve",
        epilog=example(
            "rotator serve",
            "rotator serve --address 0.0.0.0 --tls-certificate /etc/rotator/web.crt --tls-key /etc/rotator/web.key",
        ),
    )(serve)
    app.command(
        "emulator",
        epilog=example(
            "rotator emulator --port 8400", "ROTATOR_OPENROUTER_BASE_URL=http://127.0.0.1:8400/api/v1 rotator up"
        ),
    )(emulator)


def up(
    web: Annotated[bool, typer.Option("--web", help="Run the HTTP API and the console too.")] = False,
    flower: Annotated[bool, typer.Option("--flower", help="Run Flower too, on loopback, with a password.")] = False,
) -> None:
    """Run broker, worker and beat in one command.

    Ctrl-C or SIGTERM ends all. The broker is an embedded Valkey unless ROTATOR_BROKER_URL names one.
    A process that dies is started again. A second Ctrl-C does not wait for running tasks.
    """
    from worker import supervisor

    supervisor.up(os.environ, sys.stdout, flower=flower, web=web)


def serve(
    *,
    address: Annotated[str | None, typer.Option(help="Instead of ROTATOR_WEB_ADDRESS.", metavar="A")] = None,
    port: Annotated[
        int | None, typer.Option(help="Instead of ROTATOR_WEB_PORT; 0: a free one.", metavar="P", min=0, max=65_535)
    ] = None,
    tls_certificate: Annotated[
        str | None, typer.Option(help="Instead of ROTATOR_WEB_TLS_CERTIFICATE.", metavar="PATH")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(help="Instead of ROTATOR_WEB_TLS_KEY.", metavar="PATH")] = None,
) -> None:
    """Serve the HTTP API and the console, beside workers that do the work.

    On loopback with plain HTTP, unless settings say otherwise; off loopback it needs TLS, or to be told that it does
    not (ROTATOR_WEB_PLAIN_HTTP). `rotator token create` makes a token to sign in with.
    Ctrl-C or SIGTERM ends it once what it was asked is answered; a second one at once.
    """
    from config.settings import read_settings

    given = {"ADDRESS": address, "PORT": port, "TLS_CERTIFICATE": tls_certificate, "TLS_KEY": tls_key}
    chosen = {f"ROTATOR_WEB_{name}": str(value) for name, value in given.items() if value is not None}
    environment = {**os.environ, **chosen}
    read_settings(environment)
    # In this process's place: its signals, its exit code, and none of what the command line imported.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "worker.web"], environment)  # noqa: S606 - our own module


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
