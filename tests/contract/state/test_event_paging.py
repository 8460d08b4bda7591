"""The audit log in pages: who goes on from a cursor misses nothing and meets nothing twice, whatever is written."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa

from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import EventsRequest
from tasks.operations.views import EventPage
from tasks.rotation.errors import InvalidInput, NotFound
from tasks.rotation.model import Event, Removal
from tasks.store.columns import database_now
from tasks.store.database import Database, make_engine
from tasks.store.writing import write_events
from tasks.wiring import Rotator
from tests.contract.state.scene import DAY, START, Clock, Rows, add_connection, order

WRITERS, EACH = 4, 40


def _told(name: str) -> Event:
    return Event(at=START, name=name, actor="test")


def _names(page: EventPage) -> list[str]:
    return [event.name for event in page.events]


@contextmanager
def _writing(settings: Settings, name: str) -> Iterator[sa.Connection]:
    """Another process that wrote an event and has not committed it yet."""
    with closing(_another(settings)) as database, database.write() as connection:
        write_events(connection, (_told(name),))
        yield connection


def _another(settings: Settings) -> Database:
    return Database(make_engine(settings.database()), database_now())


BESIDE_EACH_OTHER = pytest.mark.parametrize("kind", ["postgresql"])
"""SQLite lets one transaction write at a time."""


@BESIDE_EACH_OTHER
def test_a_page_ends_before_an_event_that_is_not_committed_yet(
    rotator: Rotator, operations: Operations, settings: Settings
) -> None:
    rotator.store.desk.append(_told("first"))
    with _writing(settings, "slow"):
        rotator.store.desk.append(_told("quick"))
        page = operations.find_events(EventsRequest())
        newest = operations.find_events(EventsRequest(newest_first=True))
    assert (_names(page), _names(newest)) == (["first"], ["first"])
    assert page.cursor is not None
    assert _names(operations.find_events(EventsRequest(after=page.cursor))) == ["slow", "quick"]


@BESIDE_EACH_OTHER
def test_a_gap_that_a_rollback_left_holds_nothing_back(
    rotator: Rotator, operations: Operations, settings: Settings
) -> None:
    rotator.store.desk.append(_told("first"))
    with suppress(LookupError), _writing(settings, "never"):
        raise LookupError
    rotator.store.desk.append(_told("second"))
    assert _names(operations.find_events(EventsRequest())) == ["first", "second"]


@BESIDE_EACH_OTHER
def test_an_open_transaction_holds_back_nothing_that_is_complete(
    rotator: Rotator, operations: Operations, settings: Settings
) -> None:
    rotator.store.desk.append(_told("first"), _told("second"))
    with _writing(settings, "slow"):
        assert _names(operations.find_events(EventsRequest())) == ["first", "second"]


def test_a_reader_beside_many_writers_meets_each_event_once_and_in_order(
    rotator: Rotator, operations: Operations, settings: Settings
) -> None:
    done = threading.Event()
    read: list[int] = []

    def follow() -> None:
        after = 0
        while True:
            ending = done.is_set()
            page = operations.find_events(EventsRequest(after=after, limit=7))
            read.extend(event.id for event in page.events)
            after = page.cursor or 0
            if ending and not page.more:
                return

    threads = [threading.Thread(target=_write, args=(settings, number)) for number in range(WRITERS)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    reader.join(60)
    written = [e.id for e in operations.events(limit=1000)]
    assert len(written) > WRITERS * EACH / 2
    assert read == written


def _write(settings: Settings, number: int) -> None:
    """Write, each in a transaction that lasts a moment and sometimes comes to nothing."""
    chance = random.Random(number)
    with closing(_another(settings)) as database:
        for _ in range(EACH):
            with suppress(LookupError):
                _write_one(database, f"by_{number}", chance)


def _write_one(database: Database, name: str, chance: random.Random) -> None:
    with database.write() as connection:
        write_events(connection, (_told(name),))
        threading.Event().wait(chance.random() / 500)
        if chance.random() < 0.2:
            raise LookupError


@pytest.fixture
def log(rotator: Rotator, operations: Operations, clock: Clock) -> Operations:
    """Two rotations of a connection, a deleted one, and a day between each."""
    add_connection(rotator)
    for name in ("web", "batch", "gone"):
        operations.create_rotation(order(name))
        clock.advance(DAY)
    operations.delete_rotation("gone", Removal.KEEP_KEYS)
    operations.advance_here("gone")
    return operations


def test_pages_go_both_ways_without_a_gap(log: Operations) -> None:
    everything = [e.id for e in log.events(limit=1000)]
    assert len(everything) > 4
    for newest_first in (False, True):
        met, cursor, more = list[int](), None, True
        while more:
            turned = {"before": cursor} if newest_first else {"after": cursor or 0}
            page = log.find_events(EventsRequest(limit=2, newest_first=newest_first, **turned))
            met += [e.id for e in page.events]
            cursor, more = page.cursor, page.more
        assert met == (everything[::-1] if newest_first else everything)
    assert log.find_events(EventsRequest(after=everything[-1])).cursor == everything[-1]


def test_the_log_is_narrowed_by_what_is_asked_for(log: Operations, rotator: Rotator) -> None:
    def names(**asked: object) -> set[str | None]:
        return {e.rotation for e in log.find_events(EventsRequest(**asked)).events}  # type: ignore[arg-type]  # filters

    assert names(rotation="web") == {"web"}
    assert names(rotation="gone") == {"gone"}
    assert names(connection="prod") == {None}
    assert names(name="rotation_created") == {"web", "batch", "gone"}
    assert names(name="rotation_created", rotation="web", actor="test") == {"web"}
    assert names(actor="nobody") == set()
    assert names(name="rotation_created", since=START + DAY) == {"batch", "gone"}
    assert names(name="rotation_created", until=START + DAY) == {"web", "batch"}
    assert names(name="rotation_created", since=START + DAY, until=START + DAY + timedelta(seconds=1)) == {"batch"}


WRONG = {
    "no limit": ("limit", EventsRequest(limit=0)),
    "too much": ("limit", EventsRequest(limit=1001)),
    "after": ("after", EventsRequest(after=-1)),
    "before": ("before", EventsRequest(before=2**63)),
    "backwards": ("until", EventsRequest(since=START + DAY, until=START)),
}


@pytest.mark.parametrize(("field", "request_"), WRONG.values(), ids=WRONG)
def test_a_page_that_cannot_be_is_refused(field: str, request_: EventsRequest, log: Operations, rows: Rows) -> None:
    with pytest.raises(InvalidInput) as refused:
        log.find_events(request_)
    assert refused.value.field == field


def test_events_of_what_there_never_was_are_not_found(log: Operations) -> None:
    for request in (EventsRequest(rotation="never"), EventsRequest(connection="never")):
        with pytest.raises(NotFound):
            log.find_events(request)
