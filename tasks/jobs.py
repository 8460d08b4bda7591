"""The Celery tasks: a few lines each, ids and names only. All real work is behind the ``Rotator`` of this process.

Any of them may be lost, repeated, delayed or run beside a copy of itself: the database's leases and rows decide, and
the next tick finds what a lost message would have done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from config.logging import bound, get_logger
from config.settings import settings
from tasks.rotation.errors import Unavailable
from tasks.safe_task import is_flag, is_id, is_slug, is_slug_or_none, task

if TYPE_CHECKING:
    from tasks.store.sql_store import SqlStore
    from tasks.wiring import Rotator

log = get_logger(__name__)

DISPATCH_EXPIRES_S: Final = 60
"""A message that waited this long is worthless: its claim has run out, and a tick claimed the row again."""
_BATCH: Final = 500
_BATCHES: Final = 20
"""At most 10,000 rotations a tick, so that a tick ends before the next."""
_TELLING_S: Final = 60.0
"""So long one run goes on telling; then the next goes on where it stopped."""

_open: Rotator | None = None
_opening = threading.Lock()


def rotator() -> Rotator:
    """The ``Rotator`` of this process, opened at the first call: never before a fork.

    Raises ``SettingsError`` or ``RotatorError`` when it cannot be opened; a later call tries again.
    """
    global _open  # noqa: PLW0603 - one engine and one HTTP client a process, by Celery's model
    with _opening:
        if _open is None:
            from tasks.wiring import open_rotator  # noqa: PLC0415 - brings SQLAlchemy and httpx; senders need neither

            _open = open_rotator(settings(), stop_on=(SoftTimeLimitExceeded,))
        return _open


def close_rotator() -> None:
    """Close this process's ``Rotator``, if it was opened. A second call does nothing."""
    global _open  # noqa: PLW0603 - see rotator()
    with _opening:
        if _open is not None:
            _open.close()
        _open = None


def enqueue_advance(rotation_ids: Sequence[str]) -> None:
    """Tell the workers that these rotations have something to do. Raises ``Unavailable`` without a broker.

    A hint: whoever calls it has written the work to the database before, where the next tick finds it anyway.
    """
    cause: OperationalError | None = None
    try:
        with current_app.producer_or_acquire() as producer:
            for rotation_id in rotation_ids:
                advance.apply_async(kwargs={"rotation_id": rotation_id}, producer=producer, expires=DISPATCH_EXPIRES_S)
    except OperationalError as error:
        cause = error
    except (KeyError, TypeError, ValueError):
        pass  # kombu's, for a URL that it cannot use. They repeat pieces of it, so they are left out
    else:
        return
    raise Unavailable(
        "The broker could not be reached, so no worker was told.",
        "Nothing is lost: the next tick picks it up once the broker is back.",
    ) from cause


@task("rotation.dispatch_due")
def dispatch_due() -> None:
    """Write beat's heartbeat, then hand every rotation whose time has come to a worker."""
    store = rotator().store
    store.record_tick()
    for _ in range(_BATCHES):
        due = store.claim_due(_BATCH)
        _hand_over(store, due)
        if len(due) < _BATCH:
            return


def _hand_over(store: SqlStore, due: list[str]) -> None:
    """Enqueue what was claimed; without a broker give it back, so that the next tick need not wait for the claim."""
    try:
        enqueue_advance(due)
    except Unavailable:
        store.dispatch.give_back(due)
        raise


@task("rotation.advance", rotation_id=is_id)
def advance(rotation_id: str) -> None:
    """Do what one rotation needs now. A copy that finds the lease taken does nothing."""
    with bound(rotation_id=rotation_id):
        outcome = rotator().engine.advance(rotation_id)
        log.debug("rotation_advanced", acquired=outcome.acquired, wake_at=outcome.wake_at)


@task("rotation.rotate", name=is_slug, emergency=is_flag)
def rotate(name: str, emergency: bool = False) -> None:
    """Rotate now, because a person asked: from Flower, or with ``celery -A worker call rotation.rotate``.

    Writes the request down, then does the work in this very task, whose state a person is watching.
    """
    with bound(rotation=name):
        asked = rotator().requests.rotate(name, actor="celery", emergency=emergency, request_id=rotate.request.id)
        log.info("rotation_requested", version=asked.version, joined=asked.joined, emergency=emergency)
        rotator().engine.advance(asked.rotation_id)


@task("rotation.reconcile", connection=is_slug_or_none)
def reconcile(connection: str | None = None) -> None:
    """Compare what the provider has with what the database says: one connection, or all of them."""
    with bound(connection=connection or "all"):
        findings = rotator().reconciler.reconcile(connection)
        log.info("reconciled", findings=len(findings))


@task("rotation.check_connections")
def check_connections() -> None:
    """Prove every connection's management key, and write down what was found."""
    rotator().reconciler.check_all()


@task("rotation.notify")
def notify() -> None:
    """Tell whoever is to be told what happened since. Nothing but one query where nobody is, or nothing is new."""
    enough_at_s = time.monotonic() + _TELLING_S
    rotator().notifier.tell(going_on=lambda: time.monotonic() < enough_at_s)


@task("rotation.watch_expiries")
def watch_expiries() -> None:
    """Write the event of each key in service that ends soon, while its successor is late."""
    found = rotator().store.expiries.tell(actor=rotator().actor)
    if found:
        log.warning("keys_expire_soon", keys=found)
