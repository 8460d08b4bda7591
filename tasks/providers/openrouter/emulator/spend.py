"""How much a key has spent, and in which window that counts.

Windows open at midnight UTC; weeks start on Monday (OpenAPI document of 2026-08-22).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta

from .messages import JsonObject

_DIGITS = 9  # rounds away binary noise: no price has more decimals


def window_opened_on(reset: str | None, now: datetime) -> date | None:
    """First UTC day of the window that is open at ``now``; None for one that never closes."""
    today = now.astimezone(UTC).date()
    match reset:
        case "daily":
            return today
        case "weekly":
            return today - timedelta(days=today.weekday())
        case "monthly":
            return today.replace(day=1)
        case _:
            return None


def window_closes_at(reset: str | None, now: datetime) -> datetime | None:
    """Midnight UTC at which spend returns to zero; None for a window that never closes."""
    opened_on = window_opened_on(reset, now)
    if opened_on is None:
        return None
    if reset == "monthly":
        closes_on = (opened_on + timedelta(days=32)).replace(day=1)
    else:
        closes_on = opened_on + timedelta(days=7 if reset == "weekly" else 1)
    return datetime.combine(closes_on, time(), UTC)


class Spend:
    """USD spent, kept by UTC day."""

    def __init__(self) -> None:
        self._by_day: defaultdict[date, float] = defaultdict(float)

    def add(self, usd: float, at: datetime) -> None:
        """Count ``usd`` as spent at ``at``."""
        self._by_day[at.astimezone(UTC).date()] += usd

    def within(self, reset: str | None, now: datetime) -> float:
        """USD spent in the ``reset`` window that is open at ``now``; all of it when there is no such window."""
        opened_on = window_opened_on(reset, now)
        spent = (usd for day, usd in self._by_day.items() if opened_on is None or day >= opened_on)
        return round(sum(spent), _DIGITS)

    def view(self, now: datetime) -> JsonObject:
        """The four ``usage`` fields of a key, and the four for BYOK, which stay at zero here."""
        usage = {
            "usage": self.within(None, now),
            "usage_daily": self.within("daily", now),
            "usage_weekly": self.within("weekly", now),
            "usage_monthly": self.within("monthly", now),
        }
        return {**usage, **{f"byok_{name}": 0.0 for name in usage}}


def remaining(limit: float, spent: float) -> float:
    """What is left of ``limit``, never shown below zero."""
    return max(0.0, round(limit - spent, _DIGITS))
