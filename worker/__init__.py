"""What runs: Celery's processes, the command line, health.

``celery -A worker worker|beat|flower`` looks for an attribute ``celery`` here. It is made on demand, so that importing
``worker`` reads no settings and brings no Celery.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """``worker.celery``: the application as the ``celery`` command gets it; wrong settings end the process."""
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker.lifecycle import command_line_app  # noqa: PLC0415 - see the module's docstring

    return command_line_app()
