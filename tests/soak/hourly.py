"""What beat asks for every hour, which a soak of minutes has to ask for itself: the same message, to the same queue."""

from __future__ import annotations

from functools import partial
from typing import Final

from kombu.exceptions import OperationalError

from tasks import jobs
from tests.leaks.takers import Events
from tests.soak.unit import wait_until

_EXPIRES_S: Final = 3600
_PATIENCE_S: Final = 90.0
_TIMES: Final = 3


class Hourly:
    """Reconciling, by the workers themselves. ``events`` tell when it is done."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def send(self) -> None:
        """Ask for it; without a broker it is lost, as beat's own would be."""
        self._sent()

    def done(self) -> bool:
        """Ask for it, again if it got lost; whether a worker did it."""
        for _ in range(_TIMES):
            try:
                wait_until("it is reconciled", partial(self._succeeded, self._sent()), timeout_s=_PATIENCE_S)
            except TimeoutError:
                continue
            return True
        return False

    def _sent(self) -> str | None:
        try:
            return str(jobs.reconcile.apply_async(expires=_EXPIRES_S).id)
        except OperationalError:
            return None

    def _succeeded(self, task_id: str | None) -> bool:
        return any(e["uuid"] == task_id and e["type"] == "task-succeeded" for e in tuple(self._events.endings))
