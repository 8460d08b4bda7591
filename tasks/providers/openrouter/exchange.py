"""One question to OpenRouter and its answer, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import httpx

SHORTEST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""However long OpenRouter asks us to wait, we ask again after an hour: a typo there must not stop us for ever."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_EPOCH_MS: Final = re.compile(r"[0-9]{1,14}")


class Effect(StrEnum):
    """What a request does if it arrives, and so what a lost reply means."""

    READ = "read"
    """Changes nothing."""
    CHANGE = "change"
    """Changes something, but doing it twice is doing it once."""
    CREATE = "create"
    """Doing it twice makes two."""


@dataclass(frozen=True, slots=True)
class Call:
    """A question. ``purpose`` completes "OpenRouter was asked to ..."; ``body`` never holds key material.

    ``if_refused`` is the remedy for a 400 of this call, where there is a better one than the general.
    """

    method: str
    path: str
    effect: Effect
    purpose: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    if_refused: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. Its body may hold a new key, so ``repr`` leaves it out."""

    status: int
    body: bytes = field(repr=False)
    server_time: datetime | None
    retry_after: timedelta | None

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status <= 299  # noqa: PLR2004 - the definition of the class


def server_time(headers: httpx.Headers) -> datetime | None:
    """The other side's clock, from ``Date``; None when it does not tell."""
    return _http_date(headers.get("date", ""))


def retry_after(headers: httpx.Headers) -> timedelta | None:
    """How long the other side asks us to wait, between a second and an hour; None when it does not say.

    Reads ``Retry-After`` (seconds or an HTTP date), then ``X-RateLimit-Reset`` (milliseconds since 1970, from
    OpenRouter's public documentation on limits, 2026-08-22). A point in time is measured against ``Date``, so
    that a wrong clock here does no harm.
    """
    asked = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(asked):
        return _bounded(float(asked))
    moment = _http_date(asked) or _epoch_ms(headers.get("x-ratelimit-reset", "").strip())
    if moment is None:
        return None
    now = server_time(headers) or datetime.now(UTC)
    return _bounded((moment - now).total_seconds())


def _bounded(seconds: float) -> timedelta:
    longest = LONGEST_PAUSE.total_seconds()
    return max(SHORTEST_PAUSE, timedelta(seconds=min(seconds, longest)))


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _epoch_ms(text: str) -> datetime | None:
    if not _EPOCH_MS.fullmatch(text):
        return None
    return datetime.fromtimestamp(int(text) / 1000, UTC)
