"""Spans and times of day as people write them: ``30d``, ``1d12h``, ``03:00``."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Final

from tasks.rotation.errors import InvalidInput

LONGEST_SPAN: Final = timedelta(days=3650)  # ten years: whoever writes more has mistyped

_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
# Each unit at most once, the largest first; nine digits are enough for ten years of seconds.
_SPAN: Final = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in _SECONDS))
_TIME_OF_DAY: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def parse_span(text: str, *, field: str) -> timedelta:
    """Read a span such as ``90s``, ``15m``, ``12h``, ``30d``, ``2w``, ``1d12h`` or ``0``.

    Raises InvalidInput, naming ``field``, for anything else and for more than ten years.
    """
    written = text.strip()
    if written == "0":
        return timedelta(0)
    match = _SPAN.fullmatch(written)
    if match is None or not written:
        raise InvalidInput(
            field,
            f"{quoted(text)} is not a span of time.",
            "Write whole numbers with w, d, h, m or s, the largest first: 90s, 12h, 30d, 1d12h.",
        )
    seconds = sum(int(count or 0) * unit for count, unit in zip(match.groups(), _SECONDS.values(), strict=True))
    if seconds > LONGEST_SPAN.total_seconds():
        raise InvalidInput(field, f"{quoted(text)} is longer than ten years.", "Write a shorter span.")
    return timedelta(seconds=seconds)


def format_span(span: timedelta) -> str:
    """Write a span as ``parse_span`` reads it: ``30d``, ``1d12h``, ``0s``; parts of a second are dropped.

    A negative span, which ``parse_span`` refuses, gets a leading minus sign.
    """
    seconds, parts = int(abs(span).total_seconds()), ""
    for unit in "dhms":  # no weeks: people say "30d", not "4w2d"
        count, seconds = divmod(seconds, _SECONDS[unit])
        parts += f"{count}{unit}" if count else ""
    return f"-{parts}" if parts and span < timedelta(0) else parts or "0s"


def parse_time_of_day(text: str, *, field: str) -> time:
    """Read a wall-clock time such as ``03:00`` or ``3:00``; raises InvalidInput, naming ``field``, otherwise."""
    match = _TIME_OF_DAY.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            field, f"{quoted(text)} is not a time of day.", "Write it from 00:00 to 23:59, such as 03:00."
        )
    return time(int(match[1]), int(match[2]))


def quoted(text: str) -> str:
    """Show what a person wrote, in quotes and escaped, cut where it stops being helpful."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")  # noqa: PLR2004 - a screen's worth
