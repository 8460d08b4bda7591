"""One answer for many who ask the same at once, so that watching costs the work little."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

BUSY_PER_S: Final = 20
"""Who asks less often than this always gets an answer of its own."""
LASTS_S: Final = 0.5


class Shared:
    """An answer that is the same for whoever may ask for it.

    Asked more than twenty times a second it is made at most twice a second, and who comes in between gets the same
    bytes: what they say was so within the last half second. Else each gets one that was begun after it asked; those who
    waited meanwhile share it, so that no more than one is made at a time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counting = threading.Lock()
        self._making = threading.Lock()
        self._asked: deque[float] = deque(maxlen=BUSY_PER_S)
        self._answer = b""
        self._began_s = -LASTS_S

    def answer(self, make: Callable[[], bytes]) -> bytes:
        """What ``make`` returns, or returned a moment ago. Raises what it raises; then the next one asks again."""
        came_s, busy = self._clock(), self._busy()
        with self._making:
            now = self._clock()
            made_since, young = self._began_s > came_s, now - self._began_s < LASTS_S
            if not (made_since or (busy and young)):
                self._answer, self._began_s = make(), now
            return self._answer

    def _busy(self) -> bool:
        with self._counting:
            now = self._clock()
            full = len(self._asked) == BUSY_PER_S
            busy = full and now - self._asked[0] < 1
            self._asked.append(now)
        return busy
