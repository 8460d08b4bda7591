"""Telling each target what is new: nothing is lost, nothing told twice without a crash, nobody held up by another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any

import pytest

from config.secret import Secret
from tasks.rotation import notifying
from tasks.rotation.errors import CannotDecrypt, OutcomeUnknown, Refused, RotatorError, TakenInPart, Unavailable
from tasks.rotation.model import Attempt, Event
from tasks.rotation.notifying import Claimed, Notifier
from tasks.rotation.policy import Policy
from tasks.rotation.telling import Names, Notice
from tasks.rotation.wording import Level

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOING_ON: Callable[[], bool] = lambda: True  # noqa: E731 - a constant of a kind


@dataclass(frozen=True)
class Line:
    id: int
    event: Event


@dataclass
class FakeOutbox:
    """A log and some targets in memory. A claim that ``overtaken`` names is lost when it is next used."""

    lines: list[Line] = field(default_factory=list)
    targets: dict[str, Claimed] = field(default_factory=dict)
    waiting: dict[str, Attempt] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)
    sealed_away: set[str] = field(default_factory=set)
    named: int = 0

    def add(self, name: str, **facts: object) -> None:
        target = Claimed(name, name, Level.INFO, None, 0, Attempt(), NOON)
        self.targets[name] = replace(target, **facts)  # type: ignore[arg-type]  # fields of it

    def happens(self, name: str, rotation_id: str = "r1", **detail: str) -> None:
        event = Event(NOON, name, "worker", rotation_id=rotation_id, version=1, detail=tuple(detail.items()))
        self.lines.append(Line(len(self.lines) + 1, event))

    def is_due(self) -> bool:
        return any(t.told_through < len(self.lines) for t in self.targets.values())

    def claim(self, *, but: Collection[str]) -> Claimed | None:
        due = (t for t in self.targets.values() if t.told_through < len(self.lines) and t.id not in self.waiting)
        return next((t for t in due if t.id not in but), None)

    def page(self, after: int, *, limit: int) -> list[Line]:
        return self.lines[after : after + limit]

    def names(self, events: Collection[Event]) -> Names:
        self.named += 1
        assert all(event.name != "delivered" for event in events), "nothing is told of it"
        return Names({"r1": "web", "r2": "batch"}, {}, {})

    def address(self, target_id: str) -> Secret:
        if target_id in self.sealed_away:
            raise CannotDecrypt("It does not open.", "Restore it.")
        return Secret(f"address of {target_id}")

    def advance(self, claimed: Claimed, through: int) -> Claimed | None:
        if claimed.id in self.overtaken:
            return None
        self.targets[claimed.id] = replace(claimed, told_through=through, attempt=Attempt())
        return self.targets[claimed.id]

    def release(self, claimed: Claimed, through: int) -> None:
        self.targets[claimed.id] = replace(claimed, told_through=through)

    def put_off(self, claimed: Claimed, attempt: Attempt, *, through: int) -> None:
        self.waiting[claimed.id] = attempt
        self.targets[claimed.id] = replace(claimed, attempt=attempt, told_through=through)

    def now(self) -> datetime:
        return NOON


@dataclass
class Postman:
    """Takes what it is given, or fails with the next of ``failures``."""

    failures: Iterator[RotatorError | None] = field(default_factory=lambda: repeat(None))
    taken: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, address: Secret, notice: Notice) -> None:
        if (failure := next(self.failures)) is not None:
            raise failure
        self.taken.append((address.reveal().removeprefix("address of "), notice.title))


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def notifier(outbox: FakeOutbox, postman: Postman, logged: list[str]) -> Notifier:
    return Notifier(outbox, postman, Policy(), log=lambda event, **fields: logged.append(f"{event} {fields}"))


def test_nobody_to_tell_costs_one_look(outbox: FakeOutbox, notifier: Notifier) -> None:
    outbox.happens("version_active")
    outbox.claim = outbox.page = None  # type: ignore[assignment]  # asking for more would fail
    assert notifier.tell(going_on=GOING_ON) == 0


def test_each_is_told_what_is_new_in_order_and_only_once(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman
) -> None:
    outbox.add("ops")
    outbox.happens("version_active")
    outbox.happens("delivered")
    outbox.happens("drift_found", destination="redis")
    assert notifier.tell(going_on=GOING_ON) == 2
    assert notifier.tell(going_on=GOING_ON) == 0
    assert postman.taken == [
        ("ops", "web: version 1 is in service"),
        ("ops", "redis does not hold the key of web"),
    ]
    assert outbox.targets["ops"].told_through == 3


def test_what_is_not_told_is_passed_over_without_asking_for_names(outbox: FakeOutbox, notifier: Notifier) -> None:
    outbox.add("ops")
    outbox.happens("delivered")
    assert notifier.tell(going_on=GOING_ON) == 0
    assert (outbox.targets["ops"].told_through, outbox.named) == (1, 0)


def test_a_target_has_its_level_and_its_rotations(outbox: FakeOutbox, notifier: Notifier, postman: Postman) -> None:
    outbox.add("night", level=Level.CRITICAL)
    outbox.add("team", rotation_ids=("r2",))
    outbox.happens("version_active", "r1")
    outbox.happens("attention_needed", "r1")
    outbox.happens("version_active", "r2")
    assert notifier.tell(going_on=GOING_ON) == 2
    assert sorted(postman.taken) == [("night", "web needs a person"), ("team", "batch: version 1 is in service")]
    assert outbox.named == 2


def test_one_that_fails_is_put_off_and_the_others_are_told(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman, logged: list[str]
) -> None:
    outbox.add("broken", attempt=Attempt(2))
    outbox.add("ops")
    outbox.happens("version_active")
    outbox.happens("attention_cleared")
    postman.failures = chain([Unavailable("It is away.", "Wait.")], repeat(None))
    assert notifier.tell(going_on=GOING_ON) == 2
    assert {name for name, _ in postman.taken} == {"ops"}
    attempt = outbox.waiting["broken"]
    assert (attempt.count, attempt.family, attempt.error, attempt.remedy) == (3, "try-again", "It is away.", "Wait.")
    assert attempt.next_at is not None
    assert timedelta(seconds=10) <= attempt.next_at - NOON <= timedelta(seconds=30)
    assert outbox.targets["broken"].told_through == 0
    assert any(line.startswith("notice_put_off") for line in logged)


def test_what_may_have_arrived_is_sent_three_times_and_then_the_next_one(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman, logged: list[str]
) -> None:
    """What is known not to have arrived is sent again as often as it takes."""
    outbox.add("ops")
    outbox.happens("version_active")
    outbox.happens("attention_needed")
    away, unknown = Unavailable("It is away."), OutcomeUnknown("It did not answer.")
    postman.failures = chain([away] * 4, [unknown] * 2, repeat(None))
    positions = []
    for _ in range(6):
        assert notifier.tell(going_on=GOING_ON) == 0
        positions.append(outbox.targets["ops"].told_through)
        attempt = outbox.waiting.pop("ops")
    assert positions == [0, 0, 0, 0, 0, 1]
    assert (attempt.count, attempt.error) == (6, "It did not answer. That notice is not sent again.")
    assert attempt.next_at is not None
    assert any(line.startswith("notice_passed_over") for line in logged)
    assert notifier.tell(going_on=GOING_ON) == 1
    assert [title for _, title in postman.taken] == ["web needs a person"]


def test_what_some_of_several_have_is_not_sent_again_and_they_need_not_wait(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman
) -> None:
    outbox.add("ops")
    for _ in range(3):
        outbox.happens("version_active")
    postman.failures = repeat(TakenInPart("One did not take it."))
    for position in (1, 2, 3):
        assert notifier.tell(going_on=GOING_ON) == 0
        assert outbox.targets["ops"].told_through == position
        attempt = outbox.waiting.pop("ops")
        assert (attempt.next_at, attempt.count) == (None, position)
        assert str(attempt.error).startswith("One did not take it.")


def test_what_was_taken_before_a_failure_is_not_told_again(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman
) -> None:
    outbox.add("ops")
    outbox.happens("version_active")
    outbox.happens("attention_needed")
    postman.failures = chain([None, Refused("No.")], repeat(None))
    assert notifier.tell(going_on=GOING_ON) == 1
    assert outbox.waiting["ops"].next_at == NOON + Policy().attention_pace
    del outbox.waiting["ops"]
    assert notifier.tell(going_on=GOING_ON) == 1
    assert [title for _, title in postman.taken] == ["web: version 1 is in service", "web needs a person"]
    assert outbox.targets["ops"].attempt == Attempt()


def test_an_address_that_does_not_open_is_a_failure_of_its_target(outbox: FakeOutbox, notifier: Notifier) -> None:
    outbox.add("ops")
    outbox.sealed_away.add("ops")
    outbox.happens("version_active")
    assert notifier.tell(going_on=GOING_ON) == 0
    assert outbox.waiting["ops"].error == "It does not open."


def test_who_lost_the_claim_stops(outbox: FakeOutbox, notifier: Notifier, postman: Postman) -> None:
    outbox.add("ops")
    outbox.overtaken.add("ops")
    for _ in range(3):
        outbox.happens("version_active")
    assert notifier.tell(going_on=GOING_ON) == 1
    assert len(postman.taken) == 1


def test_time_that_is_up_ends_between_two_notices_and_the_next_run_goes_on(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman
) -> None:
    outbox.add("ops")
    for _ in range(3):
        outbox.happens("version_active")
    answers = chain([True, True], repeat(False))
    assert notifier.tell(going_on=lambda: next(answers)) == 1
    assert outbox.targets["ops"].told_through == 1
    assert notifier.tell(going_on=GOING_ON) == 2
    assert len(postman.taken) == 3


def test_a_flood_is_told_as_one(outbox: FakeOutbox, notifier: Notifier, postman: Postman) -> None:
    outbox.add("ops")
    for _ in range(57):
        outbox.happens("version_active")
    assert notifier.tell(going_on=GOING_ON) == 1
    assert [title.split(" since")[0] for _, title in postman.taken] == ["57 notices"]
    assert outbox.targets["ops"].told_through == 57


def test_a_long_log_is_looked_through_page_by_page_and_run_by_run(
    outbox: FakeOutbox, notifier: Notifier, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "_PAGE", 4)
    monkeypatch.setattr(notifying, "_PAGES", 3)
    outbox.add("ops")
    for number in range(30):
        outbox.happens("version_active" if number % 10 == 9 else "delivered")
    runs = [(notifier.tell(going_on=GOING_ON), outbox.targets["ops"].told_through) for _ in range(3)]
    assert runs == [(1, 12), (1, 24), (1, 30)]
    assert len(postman.taken) == 3


@pytest.mark.parametrize("where", ["sending", "telling"])
def test_a_bug_in_telling_one_silences_nobody_else(
    outbox: FakeOutbox, postman: Postman, logged: list[str], where: str
) -> None:
    def tell(address: Secret, notice: Notice) -> None:
        if where == "sending" and address.reveal().endswith("first"):
            raise TypeError("a bug")
        postman(address, notice)

    page = outbox.page

    def paged(after: int, *, limit: int) -> list[Line]:
        if where == "telling" and len(outbox.waiting) == 0:
            raise TypeError("a bug")
        return page(after, limit=limit)

    outbox.page = paged  # type: ignore[method-assign]  # a bug in between
    outbox.add("first")
    outbox.add("second")
    outbox.happens("version_active")
    Notifier(outbox, tell, Policy(), log=lambda event, **fields: logged.append(event)).tell(going_on=GOING_ON)
    assert [name for name, _ in postman.taken] == ["second"]
    assert "an unexpected TypeError" in str(outbox.waiting["first"].error)


@pytest.mark.parametrize("where", ["sending", "telling"])
def test_whoever_is_told_to_stop_stops(outbox: FakeOutbox, where: str) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object, **__: object) -> Any:
        raise Stop

    if where == "telling":
        outbox.page = stop  # type: ignore[method-assign]  # the process is told then
    outbox.add("ops")
    outbox.happens("version_active")
    with pytest.raises(Stop):
        Notifier(outbox, stop, Policy(), log=stop, stop_on=(Stop,)).tell(going_on=GOING_ON)
    assert outbox.waiting == {}


def test_a_database_that_is_away_is_no_targets_failure(outbox: FakeOutbox, notifier: Notifier) -> None:
    def away(*_: object, **__: object) -> list[Line]:
        raise Unavailable("The database is away.")

    outbox.page = away  # type: ignore[method-assign]  # it is away then
    outbox.add("ops")
    outbox.happens("version_active")
    with pytest.raises(Unavailable):
        notifier.tell(going_on=GOING_ON)
    assert outbox.waiting == {}
