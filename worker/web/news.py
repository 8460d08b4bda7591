"""Waiting for a rotation's next key: many requests at once, for the price of two small queries a second.

A request that waits holds no thread. One task of the process asks the database which versions are in service, for
all who wait together, and ends with the last of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool

from config.logging import get_logger
from tasks.rotation.errors import RotatorError, Unavailable
from tasks.store.current_keys import Standing
from tasks.wiring import Rotator
from worker.web.errors import Denied

MOST: Final = 500
"""So many may wait in one process: each holds a connection."""
MOST_OF_ONE: Final = 100
"""... and so many with one token, so that none takes every place."""
_PAUSE_S: Final = 0.5
_STALE_S: Final = 5.0
"""After so long without an answer of the database nobody knows that nothing is new."""
_COME_BACK_S: Final = 5

log = get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request that waits until this is no longer what is in service."""

    seen: Standing
    who: str
    woken: asyncio.Event


class News:
    """Tells who waits when another version of a rotation is in service. Used on the server's event loop alone."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator
        self._waiting: set[_Waiting] = set()
        self._watching: asyncio.Task[None] | None = None
        self._looked_at_s = 0.0
        self._ended = False

    async def of(self, seen: Standing, *, who: str, within_s: float) -> bool:
        """Whether something else than ``seen`` is in service, as soon as that is so, or the rotation is gone.

        False when ``within_s`` have passed, or the server ends. ``who`` is the token that waits. Raises ``Denied``
        when too many wait already, ``Unavailable`` when the database could not be asked.
        """
        if self._ended:
            return False
        with self._place(seen, who) as place:
            try:
                await asyncio.wait_for(place.woken.wait(), within_s)
            except TimeoutError:
                self._refuse_stale()
                return False
        return not self._ended

    def end(self) -> None:
        """Let everybody go: the server ends."""
        self._ended = True
        for waiting in self._waiting:
            waiting.woken.set()

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def _place(self, seen: Standing, who: str) -> Iterator[_Waiting]:
        self._refuse_too_many(who)
        place = _Waiting(seen, who, asyncio.Event())
        self._waiting.add(place)
        if self._watching is None or self._watching.done():
            self._looked_at_s = time.monotonic()
            self._watching = asyncio.create_task(self._watch())
        try:
            yield place
        finally:
            self._waiting.discard(place)

    def _refuse_too_many(self, who: str) -> None:
        if sum(w.who == who for w in self._waiting) >= MOST_OF_ONE:
            message = f"This token waits {MOST_OF_ONE} times already; ask without `wait`, or later."
            raise Denied(429, "RateLimitExceeded", message, retry_after_s=_COME_BACK_S)
        if len(self._waiting) >= MOST:
            message = "Too many wait here already; ask without `wait`, or later."
            raise Denied(503, "ServiceUnavailable", message, retry_after_s=_COME_BACK_S)

    def _refuse_stale(self) -> None:
        if time.monotonic() - self._looked_at_s > _STALE_S:
            raise Unavailable("The database could not be asked.", "Ask again; the key that you have may still be good.")

    async def _watch(self) -> None:
        while self._waiting and not self._ended:
            await asyncio.sleep(_PAUSE_S)
            try:
                found = await run_in_threadpool(self._look, {w.seen.rotation_id for w in self._waiting})
            except RotatorError as error:
                log.warning("waiting_not_looked", why=error.message)
                continue
            self._looked_at_s = time.monotonic()
            for waiting in self._waiting:
                if found.get(waiting.seen.rotation_id) != waiting.seen:
                    waiting.woken.set()

    def _look(self, rotation_ids: set[str]) -> dict[str, Standing]:
        return self._rotator.store.current_keys.of(rotation_ids)
