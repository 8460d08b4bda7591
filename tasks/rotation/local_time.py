"""Wall-clock times of a time zone, and the one instant each of them stands for.

Where clocks go forward some wall-clock times do not exist, and where they go back some exist twice. Both become
exactly one instant here, so nothing that is due at a wall-clock time is ever done twice or not at all.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tasks.rotation.errors import InvalidInput
from tasks.rotation.spans import quoted


@cache
def zone_names() -> frozenset[str]:
    """Every time zone name we accept, the same on each machine: those of the ``tzdata`` package."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def require_zone(name: str, *, field: str) -> str:
    """Give ``name`` back if it is a time zone; raises InvalidInput, with the nearest name that is one, if not."""
    if name in zone_names():
        return name
    near = difflib.get_close_matches(name[:64], sorted(zone_names()), n=1)
    remedy = f"Did you mean {near[0]}?" if near else "Use an IANA name such as UTC or Europe/Berlin."
    raise InvalidInput(field, f"{quoted(name)} is not a time zone.", remedy)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant (aware UTC) at which clocks in ``zone`` show the naive time ``wall``, in whole seconds.

    A time that clocks show twice gives its first occurrence; a time that they skip gives the first instant after the
    gap. A later ``wall`` never gives an earlier instant.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return first
    return _end_of_gap(wall, zone)


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """Find the second in which clocks jump over ``wall``: PEP 495 says that fold=1 lies before it and fold=0 not."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    end = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    old_offset = before.astimezone(zone).utcoffset()
    while end - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(end - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old_offset:
            before = middle
        else:
            end = middle
    return end
