"""A broker in this process: what the tick puts in, the worker finds, unless a test meddles with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.steered.taps import Tap


class SteeredBroker:
    """Stands where ``tasks.jobs`` finds Celery's application and its task ``advance``."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self.messages: deque[str] = deque()
        """Ids of rotations, the next first. Tests drop, repeat and reorder them."""

    @contextmanager
    def producer_or_acquire(self) -> Iterator[None]:
        """In place of Celery's pool of producers."""
        yield

    def apply_async(self, *, kwargs: Mapping[str, str], producer: None, expires: int) -> None:
        """Take a message for ``rotation.advance``."""
        with self._tap.passing("broker.put"):
            self.messages.append(kwargs["rotation_id"])

    def deliver(self) -> Iterator[str]:
        """Every message that there is, also those that are put in meanwhile."""
        while self.messages:
            yield self.messages.popleft()
