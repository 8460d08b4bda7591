"""What a call came to, when it may fail in one known way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Failure = TypeVar("Failure", bound=Exception)


def raised(kind: type[Failure], ask: Callable[[], object]) -> Failure | None:
    """The error of this kind that ``ask`` raised, or None when it came through; anything else is let pass."""
    try:
        ask()
    except kind as error:
        return error
    return None
