"""Beat's static schedule: one tick that finds what is due, two rounds, and two looks at what people are to be told.

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
_NOTIFY: Final = timedelta(seconds=15)
"""How long news may wait. Nobody to tell, or nothing new: then one query is all that it costs."""
_EXPIRIES: Final = timedelta(minutes=1)
"""So that keys that live for an hour are told of in time, too."""


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
        "tick": _every(tick, "rotation.dispatch_due"),
        "notify": _every(_NOTIFY, "rotation.notify"),
        "watch-expiries": _every(_EXPIRIES, "rotation.watch_expiries"),
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


def _every(interval: timedelta, task: str) -> dict[str, Any]:
    return {
        "task": task,
        "schedule": schedule(interval, nowfun=steady_clock()),
        "options": {"expires": interval.total_seconds()},
    }
