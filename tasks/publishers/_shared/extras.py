"""Clients that are installed only where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.rotation.errors import OperatorNeeded


@contextmanager
def needed(kind: str, *, extra: str) -> Iterator[None]:
    """Import a kind's client inside this block, at its first use, so that nobody else pays for it.

    Raises ``OperatorNeeded`` with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise OperatorNeeded(
            f"{kind}: the Python package {error.name} is not installed here; nothing was changed.",
            f"Where workers and commands run: pip install 'openrouter-rotator[{extra}]'",
        ) from error
