"""What happens when a Celery process starts and ends.

The engine and the HTTP client are opened after the fork, once in each pool child (or at first use, in the pools that
do not fork), and closed at shutdown. A connection that goes through a fork answers one child's query with another's.
"""

from __future__ import annotations

import sys
from contextlib import closing
from functools import cache
from typing import Any, NoReturn

from celery import Celery, signals

from config.logging import configure_logging, get_logger, label_process
from config.settings import SettingsError, settings
from tasks import jobs
from tasks.rotation.errors import RotatorError
from worker.app import make_app

log = get_logger(__name__)


@cache
def command_line_app() -> Celery:
    """The application for the ``celery`` command. Ends the process with a message when the settings are wrong."""
    try:
        ours = settings()
    except SettingsError as error:
        _refuse_to_start(error)
    label_process("celery")
    configure_logging(ours)
    if "flower.command" in sys.modules:  # the celery command loads it; nothing else should pay for Flower
        from worker import flower  # noqa: PLC0415 - see above

        flower.prepare(ours)
    connect_signals()
    return make_app(ours)


def connect_signals() -> None:
    """Have Celery's processes open, check and close what they need. A second call changes nothing."""
    signals.setup_logging.connect(_keep_our_logging, weak=False)
    signals.worker_init.connect(_check_before_work, weak=False)
    signals.worker_ready.connect(_say_ready, weak=False)
    signals.worker_process_init.connect(_open_after_fork, weak=False)
    signals.worker_process_shutdown.connect(_close, weak=False)
    signals.worker_shutdown.connect(_close, weak=False)
    signals.beat_init.connect(_label_beat, weak=False)


def _refuse_to_start(error: SettingsError | RotatorError) -> NoReturn:
    """End the process: exit code 1, the message on standard error, no traceback."""
    lines = error.faults if isinstance(error, SettingsError) else (str(error),)
    raise SystemExit("\n".join(("rotator: not started:", *(f"  {line}" for line in lines))))


def _keep_our_logging(**_: Any) -> None:
    """Being connected is what keeps Celery from setting up its own."""


def _check_before_work(**_: Any) -> None:
    """Refuse to start with a wrong master key or an older schema. Leaves nothing open for the children to inherit."""
    label_process("worker")
    from tasks.wiring import open_rotator  # noqa: PLC0415 - only workers need the database

    try:
        with closing(open_rotator(settings())) as rotator:
            rotator.check()
    except (SettingsError, RotatorError) as error:
        _refuse_to_start(error)


def _say_ready(**_: Any) -> None:
    log.info("worker_ready")


def _open_after_fork(**_: Any) -> None:
    """Open this child's resources. If that fails now, the first task tries again and reports it."""
    try:
        jobs.rotator()
    except (SettingsError, RotatorError) as error:
        log.warning("worker_child_not_ready", error=str(error))


def _close(**_: Any) -> None:
    jobs.close_rotator()


def _label_beat(**_: Any) -> None:
    label_process("beat")
    log.info("beat_ready", tick_s=settings().tick_s.total_seconds())
