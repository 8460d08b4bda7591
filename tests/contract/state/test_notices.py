"""People are told from the audit log: each event once, none lost, whoever dies or is frozen, and in whatever order
transactions end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, repeat
from secrets import token_hex
from threading import Event as Signal
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import InvalidInput, NameTaken, NotFound, RotatorError, Unavailable
from tasks.rotation.model import Attempt, ConnectionHealth, Event
from tasks.rotation.notifying import Claimed, Notifier
from tasks.rotation.policy import Policy
from tasks.rotation.ports import CheckResult
from tasks.rotation.telling import Notice
from tasks.rotation.wording import Level
from tasks.store.columns import database_now
from tasks.store.database import Database, make_engine
from tasks.store.writing import write_events
from tasks.wiring import Rotator
from tests.contract.state.scene import DAY, START, Clock, Rows, add_connection, at_once, order
from tests.contract.state.test_many_rotations import statements

ADDRESS = Secret(f"json://user:canary{token_hex(8)}@h/")
MINUTE = timedelta(minutes=1)
NOTHING_WRONG: Iterator[RotatorError | None] = repeat(None)


@dataclass
class Post:
    """Where everything is sent, in order; and what goes wrong instead."""

    sent: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    failures: Iterator[RotatorError | BaseException | None] = NOTHING_WRONG
    before: Callable[[], object] = lambda: None

    def __call__(self, address: Secret, notice: Notice) -> None:
        assert address == ADDRESS
        self.before()
        if (failure := next(self.failures)) is not None:
            raise failure
        self.sent.append(notice.title)
        self.bodies.append(notice.body)


@dataclass
class Scene:
    """A database with a log and targets, and a post office."""

    rotator: Rotator
    operations: Operations
    clock: Clock
    rows: Rows
    post: Post

    def tell(self) -> int:
        """One run of the task, without Celery."""
        notifier = Notifier(self.rotator.store.outbox, self.post, Policy(), log=lambda *_, **__: None)
        return notifier.tell(going_on=lambda: True)

    def add(self, name: str = "ops", level: Level = Level.INFO, rotation_ids: tuple[str, ...] | None = None) -> None:
        self.rotator.store.notice_targets.insert(
            name, "json", ADDRESS, level=level, rotation_ids=rotation_ids, actor="test"
        )

    def happens(self, number: int = 1, *, name: str = "version_active", rotation_id: str = "r1") -> None:
        """Write an event about some rotation."""
        self.rotator.store.desk.append(Event(START, name, "worker", rotation_id=rotation_id, version=number))


@pytest.fixture
def scene(rotator: Rotator, operations: Operations, clock: Clock, rows: Rows) -> Scene:
    return Scene(rotator, operations, clock, rows, Post())


@contextmanager
def asked() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    counted: list[str] = []
    with statements() as sent:
        yield counted
    counted += [statement for statement in sent if statement != "BEGIN"]


def _active(*numbers: int) -> list[str]:
    return [f"a deleted rotation: version {number} is in service" for number in numbers]


def test_a_new_target_is_told_what_happens_from_now_on(scene: Scene) -> None:
    scene.happens(1)
    scene.add()
    scene.happens(2)
    scene.happens(3)
    assert (scene.tell(), scene.tell()) == (2, 0)
    assert scene.post.sent == _active(2, 3)


def test_nobody_to_tell_is_one_look_that_writes_nothing(scene: Scene) -> None:
    scene.happens()
    with asked() as sent:
        assert scene.tell() == 0
    assert len(sent) == 1


def test_nothing_new_is_one_look_too(scene: Scene) -> None:
    scene.add()
    scene.happens(name="delivered")
    scene.tell()
    with asked() as sent:
        assert scene.tell() == 0
    assert len(sent) == 1


def test_who_dies_between_the_sending_and_the_commit_tells_that_one_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add()
    for number in (1, 2, 3):
        scene.happens(number)
    outbox = scene.rotator.store.outbox
    advance = outbox.advance

    def dies(claimed: Claimed, through: int) -> Claimed | None:
        if len(scene.post.sent) == 2:
            raise KeyboardInterrupt
        return advance(claimed, through)

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "advance", dies)
        with pytest.raises(KeyboardInterrupt):
            scene.tell()
    assert scene.tell() == 0, "its claim still holds"
    scene.clock.advance(2 * MINUTE + timedelta(seconds=1))
    assert scene.tell() == 2
    assert scene.post.sent == _active(1, 2, 2, 3)


def test_who_dies_before_the_sending_loses_nothing(scene: Scene) -> None:
    scene.add()
    scene.happens(1)
    scene.post.failures = chain([KeyboardInterrupt()], repeat(None))
    with pytest.raises(KeyboardInterrupt):
        scene.tell()
    scene.clock.advance(3 * MINUTE)
    assert scene.tell() == 1
    assert scene.post.sent == _active(1)


def test_who_was_frozen_past_the_claim_moves_nothing(scene: Scene) -> None:
    """The frozen one has sent the first; the second worker sends both, and is not set back."""
    scene.add()
    scene.happens(1)
    scene.happens(2)
    frozen = scene.rotator.store.outbox.claim(but=())
    assert frozen is not None
    scene.clock.advance(3 * MINUTE)
    assert scene.tell() == 2
    through = scene.rows.one("SELECT told_through FROM notice_targets")
    assert scene.rotator.store.outbox.advance(frozen, frozen.told_through + 1) is None
    scene.rotator.store.outbox.release(frozen, frozen.told_through)
    scene.rotator.store.outbox.put_off(frozen, frozen.attempt, through=9)
    assert scene.rows.one("SELECT told_through FROM notice_targets") == through
    assert scene.tell() == 0


def test_many_workers_at_once_tell_each_event_once(scene: Scene) -> None:
    for name in ("ops", "night", "team"):
        scene.add(name)
    for number in range(1, 6):
        scene.happens(number)
    scene.post.before = lambda: Signal().wait(0.005)

    assert sum(at_once(6, lambda _: scene.tell())) == 15
    assert sorted(scene.post.sent) == sorted(_active(1, 2, 3, 4, 5) * 3)


def test_a_target_that_fails_waits_ever_longer_and_the_others_are_told(scene: Scene) -> None:
    scene.add("broken")
    scene.happens(1)
    scene.post.failures = repeat(Unavailable("It is away.", "Wait."))
    pauses = []
    for count in range(1, 10):
        assert scene.tell() == 0
        target = scene.rotator.store.notice_targets.get("broken")
        found = target.attempt
        assert (found.count, found.error, found.family) == (count, "It is away.", "try-again")
        assert found.next_at is not None
        pauses.append(found.next_at - scene.clock.now)
        assert scene.tell() == 0
        assert scene.rotator.store.notice_targets.get("broken").attempt.count == count, "it was not left alone"
        scene.clock.now = found.next_at
    assert pauses[0] < timedelta(seconds=10) < pauses[3] < pauses[-1] == timedelta(hours=1)
    scene.add("ops")
    scene.happens(2)
    scene.post.failures = chain([None, Unavailable("still")], repeat(None))
    assert scene.tell() == 1, "whoever is well comes first"
    assert scene.post.sent == _active(2)
    scene.clock.advance(2 * DAY)
    assert scene.tell() == 2
    healed = scene.rotator.store.notice_targets.get("broken")
    assert (healed.attempt.count, healed.attempt.error, healed.told_at) == (0, None, scene.clock.now)


def test_who_was_away_for_days_is_told_as_one(scene: Scene) -> None:
    scene.add()
    scene.happens(1)
    scene.post.failures = chain([Unavailable("away")], repeat(None))
    scene.tell()
    for number in range(2, 100):
        scene.happens(number)
    scene.happens(name="attention_needed")
    scene.clock.advance(DAY)
    assert (scene.tell(), scene.tell()) == (1, 0)
    assert scene.post.sent == [f"100 notices since {START:%Y-%m-%d %H:%M} UTC, told as one"]


@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_event_that_is_committed_late_is_told_too(scene: Scene, settings: Settings) -> None:
    """It has the lower id, and appears after the higher one. SQLite lets one transaction write at a time."""
    scene.add()
    with _writing(settings, 1):
        scene.happens(2)
        assert scene.tell() == 0
    assert scene.tell() == 2
    assert scene.post.sent == _active(1, 2)


@contextmanager
def _writing(settings: Settings, number: int) -> Iterator[None]:
    """Another process that wrote an event and has not committed it yet."""
    with closing(Database(make_engine(settings.database()), database_now())) as database, database.write() as written:
        write_events(written, (Event(START, "version_active", "worker", rotation_id="r1", version=number),))
        yield


def test_one_for_one_rotation_hears_of_it_under_its_new_name_and_of_no_other(scene: Scene) -> None:
    connection = add_connection(scene.rotator)
    for name in ("web", "batch"):
        scene.operations.create_rotation(order(name))
    web, batch = (scene.operations.show_rotation(name).id for name in ("web", "batch"))
    scene.add("team", rotation_ids=(web,))
    scene.happens(1, rotation_id=web)
    scene.happens(2, rotation_id=batch)
    scene.happens(3, rotation_id=web)
    rejected = CheckResult(ConnectionHealth.REJECTED, "It was rejected.")
    scene.rotator.store.desk.record_check(connection, rejected, actor="test")
    scene.operations.update_rotation("web", RotationUpdate(name="shop"))
    assert (scene.tell(), scene.tell()) == (2, 0)
    assert scene.post.sent == ["shop: version 1 is in service", "shop: version 3 is in service"]
    assert scene.operations.list_notice_targets()[0].rotations == ("shop",)


def test_a_level_keeps_the_rest_away(scene: Scene) -> None:
    scene.add("night", level=Level.CRITICAL)
    scene.happens(1)
    scene.happens(name="attention_needed")
    assert (scene.tell(), scene.tell()) == (1, 0)
    assert scene.post.sent == ["a deleted rotation needs a person"]


def test_a_management_key_is_told_of_once_per_change_and_by_its_connections_name(scene: Scene) -> None:
    id_ = add_connection(scene.rotator, "prod")
    scene.add()
    for health in ("valid", "rejected", "rejected", "valid", "valid"):
        scene.rotator.store.desk.record_check(id_, CheckResult(ConnectionHealth(health), "Found."), actor="test")
    assert scene.tell() == 2
    assert scene.post.sent == [
        "OpenRouter rejects the management key of prod",
        "The management key of prod is accepted again",
    ]
    detail = dict(scene.rotator.store.outbox.page(0, limit=100)[-1].event.detail)
    assert detail == {"health": "valid", "before": "valid", "connection": "prod"}


def test_who_is_needed_is_told_the_remedy(scene: Scene) -> None:
    add_connection(scene.rotator)
    scene.operations.create_rotation(order())
    scene.rows.ask("UPDATE rotations SET attention = 'It is stuck.', remedy = 'Pull harder.'")
    id_ = scene.operations.show_rotation("web").id
    scene.add()
    scene.rotator.store.desk.append(Event(START, "attention_needed", "worker", "It is stuck.", rotation_id=id_))
    assert scene.tell() == 1
    assert "To do: Pull harder." in scene.post.bodies[0]


# --- what an operator does -------------------------------------------------------------------------------------


def test_a_target_is_listed_without_its_address_and_a_second_of_its_name_is_refused(scene: Scene) -> None:
    scene.add("ops")
    scene.add("night", level=Level.CRITICAL)
    with pytest.raises(NameTaken):
        scene.add("ops")
    night, ops = scene.operations.list_notice_targets()
    assert (night.name, night.service, night.level) == ("night", "json", Level.CRITICAL)
    assert (night.rotations, night.told_at, night.error) == (None, None, None)
    assert ops.created_at == START
    stored = ADDRESS.reveal().encode()
    assert not any(stored in repr(row).encode() for table in scene.rows.all().values() for row in table)
    assert scene.rotator.store.notice_targets.address("ops") == ADDRESS


def test_changes_leave_events_and_a_new_address_is_tried_at_once(scene: Scene) -> None:
    add_connection(scene.rotator)
    scene.operations.create_rotation(order())
    scene.add()
    scene.happens(1)
    scene.post.failures = chain([Unavailable("away")], repeat(None))
    scene.tell()
    assert scene.operations.update_notice_target("ops", level="warning").attempts == 1
    changed = scene.operations.update_notice_target("ops", level="info", rotations=("web",))
    assert (changed.level, changed.rotations, changed.attempts) == (Level.INFO, ("web",), 1)
    assert scene.operations.update_notice_target("ops", rotations=()).rotations is None
    scene.operations.update_notice_target("ops")
    scene.rotator.store.notice_targets.update(
        "ops", address=("json", ADDRESS), level=Level.INFO, rotation_ids=None, actor="test"
    )
    assert scene.tell() == 1
    scene.operations.remove_notice_target("ops")
    told = scene.rows.ask("SELECT name, why FROM events WHERE name LIKE 'notice%' ORDER BY id")
    assert [tuple(row) for row in told] == [
        ("notice_target_added", ""),
        ("notice_target_updated", "level changed"),
        ("notice_target_updated", "level changed, rotations changed"),
        ("notice_target_updated", "rotations changed"),
        ("notice_target_updated", "nothing changed"),
        ("notice_target_updated", "address replaced"),
        ("notice_target_removed", ""),
    ]
    assert scene.rows.one("SELECT count(*) FROM notice_targets") == 0


def test_a_new_address_ends_the_claim_of_who_tells_by_the_old_one(scene: Scene) -> None:
    scene.add()
    scene.happens()
    claimed = scene.rotator.store.outbox.claim(but=())
    assert claimed is not None
    scene.rotator.store.notice_targets.update(
        "ops", address=("json", ADDRESS), level=Level.INFO, rotation_ids=None, actor="t"
    )
    scene.rotator.store.outbox.put_off(claimed, claimed.attempt, through=9)
    assert scene.rotator.store.outbox.advance(claimed, claimed.told_through + 1) is None
    assert scene.rotator.store.outbox.claim(but=()) is not None


def test_what_waits_after_a_failure_is_tried_at_once_after_a_test(scene: Scene) -> None:
    scene.add()
    scene.happens(1)
    scene.post.failures = chain([Unavailable("away")], repeat(None))
    assert (scene.tell(), scene.tell()) == (0, 0)
    assert scene.rotator.store.outbox.failing() == ("ops (json) is not told: away",)
    scene.rotator.store.notice_targets.try_at_once("ops")
    assert scene.tell() == 1
    assert scene.rotator.store.outbox.failing() == ()


def test_what_there_is_not_is_not_found(scene: Scene) -> None:
    asked_for = scene.operations
    for act in (asked_for.test_notice_target, asked_for.update_notice_target, asked_for.remove_notice_target):
        with pytest.raises(NotFound, match="no notice target nobody"):
            act("nobody")
    for wrong in ({"level": "loud"}, {"name": "No Name"}):
        given: dict[str, str] = {"name": "ops", "level": "info"} | wrong
        with pytest.raises(InvalidInput):
            scene.operations.add_notice_target(given["name"], ADDRESS, level=given["level"])
    with pytest.raises(NotFound):
        scene.operations.add_notice_target("ops", ADDRESS, rotations=("nowhere",))


def test_one_that_is_removed_while_it_is_told_stops(scene: Scene) -> None:
    scene.add()
    scene.happens(1)
    scene.happens(2)
    scene.post.before = lambda: scene.rotator.store.notice_targets.delete("ops", actor="test")
    assert scene.tell() == 1
    assert scene.post.sent == _active(1)


def test_what_hangs_holds_one_worker_up_and_whoever_is_well_is_told_first(scene: Scene) -> None:
    for name in ("hangs", "ops"):
        scene.add(name)
    scene.happens(1)
    outbox = scene.rotator.store.outbox
    hanging = outbox.claim(but=())
    assert hanging is not None
    assert not outbox.is_due()
    assert [found for found in at_once(4, lambda _: outbox.claim(but=())) if found] == []
    outbox.put_off(hanging, Attempt(1, scene.clock.now), through=hanging.told_through)
    claims = [found for found in at_once(4, lambda _: outbox.claim(but=())) if found]
    assert [c.name for c in claims] == [name for name in ("hangs", "ops") if name != hanging.name]
    scene.clock.advance(3 * MINUTE)
    assert outbox.claim(but=()) is not None, "whoever died holds nobody up for ever"


def test_names_are_looked_up_only_of_what_is_told(scene: Scene) -> None:
    add_connection(scene.rotator)
    for name in ("web", "batch"):
        scene.operations.create_rotation(order(name))
    web = scene.operations.show_rotation("web")
    scene.add()
    scene.happens(1, rotation_id=web.id)
    (written,) = scene.rotator.store.outbox.page(0, limit=1000)[-1:]
    names = scene.rotator.store.outbox.names([written.event])
    assert (dict(names.rotations), dict(names.connections)) == ({web.id: "web"}, {})


@pytest.mark.parametrize("broken", ["at = 4611686018427387904", "at = -4611686018427387904", "detail = '[1]'"])
def test_an_event_that_cannot_be_is_passed_over_and_hides_no_other(scene: Scene, broken: str) -> None:
    scene.add()
    for number in (1, 2, 3):
        scene.happens(number)
    scene.rows.ask(f"UPDATE events SET {broken} WHERE version = 2")
    assert scene.tell() == 2
    assert scene.post.sent == _active(1, 3)
    shown = scene.operations.events(limit=1000)
    assert [e.name for e in shown[-3:]] == ["version_active", "unreadable", "version_active"]


@pytest.mark.parametrize("first", [0, 1])
def test_two_changes_at_once_undo_nothing(scene: Scene, first: int) -> None:
    add_connection(scene.rotator)
    scene.operations.create_rotation(order())
    scene.add()
    changes: tuple[dict[str, Any], ...] = ({"level": "critical"}, {"rotations": ("web",)})
    update = scene.rotator.store.notice_targets.update

    def late(name: str, **change: Any) -> None:
        """Somebody else changes it between the asking and the writing."""
        with patch.object(scene.rotator.store.notice_targets, "update", update):
            scene.operations.update_notice_target("ops", **changes[1 - first])
        update(name, **change)

    with patch.object(scene.rotator.store.notice_targets, "update", late):
        scene.operations.update_notice_target("ops", **changes[first])
    shown = scene.operations.list_notice_targets()[0]
    assert (shown.level, shown.rotations) == (Level.CRITICAL, ("web",))


def test_of_checks_that_end_at_once_one_tells_the_change(scene: Scene) -> None:
    id_ = add_connection(scene.rotator, "prod")
    scene.add()
    found = CheckResult(ConnectionHealth.REJECTED, "Found.")
    at_once(6, lambda _: scene.rotator.store.desk.record_check(id_, found, actor="test"))
    assert scene.tell() == 1


def test_a_row_that_holds_no_level_that_there_is_is_told_everything(scene: Scene) -> None:
    scene.add(level=Level.CRITICAL)
    scene.rows.ask("UPDATE notice_targets SET level = 'loud', claimed_until = 9000000000000000")
    scene.happens()
    assert scene.tell() == 1


def test_an_address_that_was_changed_in_the_database_does_not_open_and_says_so(scene: Scene) -> None:
    scene.add("ops")
    scene.add("other")
    other = scene.rows.one("SELECT url_sealed FROM notice_targets WHERE name = 'other'")
    put = sa.text("UPDATE notice_targets SET url_sealed = :sealed WHERE name = 'ops'")
    with scene.rows.engine.begin() as connection:
        connection.execute(put.bindparams(sa.bindparam("sealed", bytes(other), sa.LargeBinary())))
    scene.happens()
    assert scene.tell() == 2
    assert scene.post.sent == [*_active(1), "A ciphertext in the database does not open"]
    assert "moved here from elsewhere" in str(scene.rotator.store.notice_targets.get("ops").attempt.error)
    assert scene.rows.one("SELECT count(*) FROM events WHERE name = 'ciphertext_refused'") == 1


# --- keys that end soon ----------------------------------------------------------------------------------------


@pytest.fixture
def ending(scene: Scene, management_key: Secret) -> Operations:
    """A paused rotation whose key in service ends in 40 days, and one whose key has no end."""
    add_connection(scene.rotator, key=management_key)
    for name, life in (("web", "40d"), ("endless", None)):
        scene.operations.create_rotation(order(name, initial=True, expires_after=life))
        scene.operations.advance_here(name)
        scene.operations.pause_rotation(name)
    return scene.operations


def test_a_key_that_ends_soon_is_told_once(scene: Scene, ending: Operations) -> None:
    scene.add()
    scene.clock.advance(38 * DAY - MINUTE)
    assert scene.rotator.store.expiries.tell(actor="test") == 0
    scene.clock.advance(2 * MINUTE)
    assert sum(at_once(4, lambda _: scene.rotator.store.expiries.tell(actor="test"))) == 1
    scene.clock.advance(3 * DAY)
    assert scene.rotator.store.expiries.tell(actor="test") == 0
    assert scene.tell() == 1
    assert scene.post.sent[0].startswith("web: the key in service ends at 2026-12-31 12:00 UTC")
    (event,) = [e for e in ending.events(limit=1000) if e.name == "key_expires_soon"]
    assert event.why == "the schedule is paused, and OpenRouter ends the key at 2026-12-31 12:00 UTC"


def test_a_successor_in_service_is_another_key(scene: Scene, ending: Operations) -> None:
    scene.clock.advance(37 * DAY)
    ending.rotate("web")
    ending.advance_here("web")
    scene.clock.advance(2 * DAY)
    assert scene.rotator.store.expiries.tell(actor="test") == 0
    assert ending.show_rotation("web").active_version == 2
    scene.clock.advance(37 * DAY)
    assert scene.rotator.store.expiries.tell(actor="test") == 1


@pytest.mark.parametrize("moment", [-(2**62), 2**62, 0])
def test_a_moment_that_cannot_be_hides_no_other_key(scene: Scene, moment: int, ending: Operations) -> None:
    endless = ending.show_rotation("endless").id
    scene.rows.ask("UPDATE key_versions SET expires_at = :moment WHERE rotation_id = :id", moment=moment, id=endless)
    scene.clock.advance(39 * DAY)
    told = scene.rotator.store.expiries.tell(actor="test")
    assert told == (2 if moment == 0 else 1)


def test_a_look_costs_what_is_new_or_due_and_not_what_there_is(scene: Scene, ending: Operations) -> None:
    scene.rotator.store.expiries.tell(actor="test")
    with asked() as sent:
        assert scene.rotator.store.expiries.tell(actor="test") == 0
    assert len(sent) == 1
    scene.clock.advance(50 * DAY)
    assert scene.rotator.store.expiries.tell(actor="test") == 1
    with asked() as later:
        assert scene.rotator.store.expiries.tell(actor="test") == 0
    assert later == sent, "a key that was told of costs nothing any more, though nobody replaces it"
    if scene.rows.engine.dialect.name == "sqlite":
        plan = scene.rows.ask(f"EXPLAIN QUERY PLAN {sent[0]}".replace("?", "1"))
        assert "USING INDEX ix_key_versions_warn_at" in str(plan)
        plan = scene.rows.ask("EXPLAIN QUERY PLAN DELETE FROM deliveries WHERE destination_id = 'x'")
        assert "ix_deliveries_destination_id" in str(plan)
