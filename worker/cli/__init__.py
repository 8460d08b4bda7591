"""The `rotator` command. Nothing heavy is imported before a command needs it, so that `--help` answers at once."""

from __future__ import annotations


def main() -> None:
    """Run the command line; ends the process with 0 done, 1 failed, 2 misuse, 130 interrupted."""
    from worker.cli.app import app

    app(prog_name="rotator")
