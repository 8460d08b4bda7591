"""Views as plain data: what `--json` prints, and the words that tables use for times and spans.

Keys are the views' field names; times are ISO 8601 in UTC with ``Z``, spans texts like ``1d``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from tasks.rotation.spans import format_span

_STEPS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_ENOUGH: Final = 2  # of a unit before it is used: "1d" would hide half a day, "36h" does not


def as_json(view: object) -> str:
    """A view, or a tuple of views, as indented JSON."""
    return json.dumps(plain(view), indent=2, ensure_ascii=False)


def plain(value: object) -> object:
    """The same data in what JSON knows. Raises ``TypeError`` for what no view holds, a secret above all."""
    match value:
        case Enum():
            return value.value
        case datetime():
            return iso(value)
        case timedelta():
            return span(value)
        case None | str() | bool() | int() | float():
            return value
        case _:
            return _container(value)


def _container(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def iso(moment: datetime) -> str:
    """``2026-11-21T03:00:00Z``; fractions of a second only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def span(length: timedelta) -> str:
    """``1d12h``, as the options take it."""
    return format_span(length)


def moment(at: datetime | None) -> str:
    """A time for people, to the second: ``2026-11-21 03:00:00Z``."""
    return "-" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def distance(at: datetime | None, now: datetime) -> str:
    """How far off a time is: ``in 29d``, ``5m ago``, ``now``."""
    if at is None:
        return "-"
    seconds = (at - now).total_seconds()
    size = abs(seconds)
    unit, letter = next(((u, name) for u, name in _STEPS if size >= _ENOUGH * u), (1, "s"))
    count = int(size // unit)
    if not count:
        return "now"
    return f"in {count}{letter}" if seconds > 0 else f"{count}{letter} ago"


def moment_and_distance(at: datetime | None, now: datetime) -> str:
    """Both: ``2026-11-21 03:00:00Z (in 29d)``."""
    return "-" if at is None else f"{moment(at)} ({distance(at, now)})"
