"""Whose token it is, asked of the database; but of one that comes very often not each time.

A token that comes more than twenty times a second is looked up twice a second: a script that polls that hard would else
cost the database more than its answers do. Every other one is looked up with each request, so that revoking it ends it
at once; for the busy one it takes half a second.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tasks.store.tokens import Token

BUSY_PER_S: Final = 20
LASTS_S: Final = 0.5
_MOST: Final = 1000
"""Tokens remembered at a time; beyond that all are forgotten, which costs a look each."""


@dataclass(slots=True)
class _Known:
    """A token that was good when it was looked up, and how often it came in the present second."""

    token: Token
    looked_s: float
    second: int = 0
    count: int = 0
    before: int = 0


class Lookups:
    """Looks tokens up with ``look``, which gives None for a wrong one. Wrong ones are never remembered."""

    def __init__(self, look: Callable[[str], Token | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._clock = look, clock
        self._known: dict[bytes, _Known] = {}
        self._lock = threading.Lock()

    def remembered(self, text: str) -> Token | None:
        """The token, if it comes so often that it need not be looked up again yet. Asks nobody."""
        with self._lock:
            known, now = self._known.get(_digest(text)), self._clock()
            if known is None:
                return None
            _count(known, int(now))
            busy = max(known.count, known.before) > BUSY_PER_S
            return known.token if busy and now - known.looked_s < LASTS_S else None

    def holder(self, text: str) -> Token | None:
        """The token as the database knows it now; None when it opens nothing."""
        began_s, token = self._clock(), self._look(text)
        with self._lock:
            key = _digest(text)
            if token is None:
                self._known.pop(key, None)
                return None
            if len(self._known) >= _MOST and key not in self._known:
                self._known.clear()
            known = self._known.setdefault(key, _Known(token, began_s))
            known.token, known.looked_s = token, began_s
        return token


def _count(known: _Known, second: int) -> None:
    if second != known.second:
        known.before = known.count if second == known.second + 1 else 0
        known.second, known.count = second, 0
    known.count += 1


def _digest(text: str) -> bytes:
    """What is remembered instead of the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
