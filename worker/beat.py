"""Beat's static schedule: one tick that finds what is due, and two daily rounds.

Nothing about a rotation is in here: when each is due is in the database. So the schedule needs no memory, two beats
at once only tick twice, and a beat that was away has nothing to catch up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery.schedules import crontab, schedule

SCHEDULER: Final = "celery.beat:Scheduler"
"""In memory. The default keeps a file whose future times silence beat after the clock was set back."""

_ROUND_EXPIRES_S: Final = 3600
"""A round that no worker took within the hour is dropped; the next one does the same."""


def steady_clock(
    now: Callable[[], datetime] = lambda: datetime.now(UTC), monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], datetime]:
    """A UTC clock that nobody can set: it reads the time once, and from then on counts.

    By the wall clock, beat would fall silent for an hour when it is set back by an hour.
    """
    started_at, started_s = now(), monotonic()
    return lambda: started_at + timedelta(seconds=monotonic() - started_s)


def beat_schedule(tick: timedelta) -> dict[str, dict[str, Any]]:
    """Celery's ``beat_schedule``. Messages expire, so that those nobody took do not run in a burst later."""
    return {
        "tick": {
            "task": "rotation.dispatch_due",
            "schedule": schedule(tick, nowfun=steady_clock()),
            "options": {"expires": tick.total_seconds()},
        },
        "check-connections": {
            "task": "rotation.check_connections",
            "schedule": crontab(hour="2", minute="41"),
            "options": {"expires": _ROUND_EXPIRES_S},
        },
        "reconcile": {
            "task": "rotation.reconcile",
            # Hourly: it also learns whether anything names keys by their hash, which a rotation then carries over.
            "schedule": crontab(minute="11"),
            "options": {"expires": _ROUND_EXPIRES_S},
        },
    }
