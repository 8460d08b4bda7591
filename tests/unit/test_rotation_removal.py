"""Destinations that are removed or changed: what is withdrawn, what stays, and what an operator does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.operations.requests import DestinationRequest, RotationUpdate
from tasks.publishers.dotenv import DotenvPublisher
from tasks.rotation.errors import Conflict, Refused, Unavailable
from tasks.rotation.model import Holding, OnDrift, Removal, VersionState
from tasks.rotation.ports import Publication
from tasks.store.tables import RotationRow
from tests.steered.installation import Installation, Template, copied
from tests.steered.truth import Truth

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
_PUBLISH = DotenvPublisher.publish


@pytest.fixture
def watchful(template: Template, tmp_path: Path) -> Iterator[Installation]:
    """An installation that looks after its destinations every hour, as usual."""
    with copied(template, tmp_path, drift_check_s=3600) as fresh:
        yield fresh


def _label(installation: Installation, file: str) -> str:
    return f"dotenv:{installation.file(file)}"


def _served(installation: Installation, *files: str) -> None:
    installation.create(files=files or ("app.env",))
    installation.tick()


def _publish(installation: Installation, file: str, **how: object) -> None:
    wanted = DestinationRequest(installation.destination(file), **how)  # type: ignore[arg-type]  # its fields
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(wanted,)))


def _unpublish(installation: Installation, *files: str, withdraw: bool = True) -> None:
    labels = tuple(_label(installation, file) for file in files)
    installation.operations.update_rotation("web", RotationUpdate(remove_publish=labels, withdraw=withdraw))


def _labels(installation: Installation) -> list[tuple[str, bool]]:
    return [(Path(d.label).name, d.leaving) for d in installation.snapshot().destinations]


def _whys(installation: Installation, name: str) -> list[str]:
    return [e.why for e in installation.audit() if e.name == name]


@contextmanager
def _once(method: str, act: Callable[[], object], *, after: bool = False) -> Iterator[None]:
    """Let something happen in the midst of the first call of a publisher's method."""
    real = getattr(DotenvPublisher, method)
    done: list[int] = []

    def calling(publisher: DotenvPublisher, *args: object) -> object:
        if after:
            answer = real(publisher, *args)
        if not done:
            done.append(1)
            act()
        return answer if after else real(publisher, *args)

    with patch.object(DotenvPublisher, method, calling):
        yield


# --- taken away -------------------------------------------------------------------------------------------------


def test_a_destination_that_is_removed_keeps_the_key_or_loses_it(installation: Installation, truth: Truth) -> None:
    _served(installation, "app.env", "kept.env", "lost.env")
    truth.left.add(installation.file("kept.env"))
    truth.withdrawn.add(installation.file("lost.env"))
    _unpublish(installation, "kept.env", withdraw=False)
    _unpublish(installation, "lost.env")
    installation.tick()
    assert truth.held(installation.file("kept.env")) == installation.active().key_hash
    assert [d.label for d in installation.snapshot().destinations] == [_label(installation, "app.env")]
    assert _whys(installation, "destination_withdrawn") == ["the key was taken away"]
    truth.check_rest()


def test_a_withdrawal_that_fails_is_tried_until_it_is_done(installation: Installation, truth: Truth) -> None:
    _served(installation, "app.env", "lost.env")
    _unpublish(installation, "lost.env")
    with patch.object(DotenvPublisher, "withdraw", side_effect=Unavailable("it is away.")):
        installation.run_for(MINUTE)
        leaving = installation.operations.deliveries("web")[1]
        assert leaving.leaving
        assert leaving.attempts > 1
        assert leaving.error == "it is away."
    truth.withdrawn.add(installation.file("lost.env"))
    installation.run_for(HOUR)
    truth.check_rest()


def test_a_rotation_that_is_deleted_takes_its_keys_away_everywhere_if_asked(
    installation: Installation, truth: Truth
) -> None:
    _served(installation)
    truth.withdrawn.add(installation.file("app.env"))
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS, withdraw=True)
    installation.tick()
    assert truth.held(installation.file("app.env")) is None
    assert installation.versions()[0].state is VersionState.ACTIVE
    assert installation.events()[-1] == "rotation_deleted"
    truth.check_rest()


def test_what_is_told_of_a_withdrawal_is_what_became_of_the_value(installation: Installation) -> None:
    files = ("gone.env", "theirs.env", "unmarked.env")
    _served(installation, "app.env", *files)
    gone, theirs, unmarked = map(installation.file, files)
    gone.unlink()
    theirs.write_text("OPENROUTER_API_KEY=somebody-elses\n")
    unmarked.write_text(unmarked.read_text().splitlines()[-1] + "\n")
    _unpublish(installation, *files)
    installation.tick()
    nothing, other, stays = _whys(installation, "destination_withdrawn")
    assert nothing == "nothing was there any more"
    assert other == "what it holds is not ours, and was left there"
    assert "take it away by hand" in stays
    assert installation.held(theirs) is not None


def test_a_rotation_whose_keys_are_gone_still_takes_away_what_is_its_own(installation: Installation) -> None:
    _served(installation)
    installation.operations.delete_rotation("web", Removal.REVOKE_KEYS, withdraw=True)
    with patch.object(DotenvPublisher, "withdraw", side_effect=Unavailable("it is away.")):
        installation.tick()
        assert installation.states() == {"web": ["deleted"]}
    installation.run_for(HOUR)
    assert installation.held(installation.file("app.env")) is None
    assert installation.events()[-1] == "rotation_deleted"


def test_the_lease_is_held_for_each_call_of_a_withdrawal(template: Template, tmp_path: Path) -> None:
    with copied(template, tmp_path, lease_s=60) as installation:
        _served(installation, "app.env", "lost.env")
        _unpublish(installation, "lost.env")
        with ExitStack() as slow:
            for method in ("read_back", "withdraw"):
                slow.enter_context(_each_takes(installation, method, timedelta(seconds=30)))
            installation.tick()
        assert _labels(installation) == [("app.env", False)]
        assert "withdraw_failed" not in installation.events()


@contextmanager
def _each_takes(installation: Installation, method: str, span: timedelta) -> Iterator[None]:
    real = getattr(DotenvPublisher, method)

    def slow(publisher: DotenvPublisher, *args: object) -> object:
        with installation.database.read() as connection:
            held_until = connection.execute(sa.select(RotationRow.lease_until)).scalar_one()
        assert held_until is not None
        assert held_until - installation.clock.now() > span
        installation.clock.move(span)
        return real(publisher, *args)

    with patch.object(DotenvPublisher, method, slow):
        yield


# --- places that show no values ---------------------------------------------------------------------------------


@contextmanager
def _blind(installation: Installation) -> Iterator[None]:
    """Files that show no values, and keep no stamp: what was written last is known by its receipt, and is deleted
    whoever wrote it."""
    real = DotenvPublisher.publish

    def publish(publisher: DotenvPublisher, publication: Publication) -> str:
        real(publisher, publication)
        return publication.value.reveal()[-8:]

    def read_back(
        publisher: DotenvPublisher,
        name: str,
        expected: Secret,
        receipt: str | None = None,
    ) -> Holding:
        held = installation.held(Path(publisher.label.removeprefix("dotenv:")), name)
        if held is None:
            return Holding.NOTHING
        return Holding.SAME if held.reveal()[-8:] == receipt else Holding.OTHER

    def withdraw(publisher: DotenvPublisher, _publication: Publication) -> None:
        Path(publisher.label.removeprefix("dotenv:")).write_text("")

    with ExitStack() as patches:
        for made in (publish, read_back, withdraw):
            patches.enter_context(patch.object(DotenvPublisher, made.__name__, made))
        yield


def _rotate_without(installation: Installation, file: str) -> None:
    """A new version is everywhere but there."""
    with _failing(installation, file):
        installation.operations.rotate("web")
        installation.tick()


@contextmanager
def _failing(installation: Installation, file: str) -> Iterator[None]:
    real = DotenvPublisher.publish

    def publish(publisher: DotenvPublisher, publication: Publication) -> str | None:
        if publisher.label == _label(installation, file):
            raise Unavailable("it is away.")
        return real(publisher, publication)

    with patch.object(DotenvPublisher, "publish", publish):
        yield


@pytest.mark.parametrize("recorded", [True, False])
def test_a_key_that_is_on_its_way_is_taken_away_also_where_only_a_receipt_tells_of_it(
    installation: Installation, recorded: bool
) -> None:
    with _blind(installation):
        _served(installation, "app.env", "down.env")
        if recorded:
            _rotate_without(installation, "down.env")
            _unpublish(installation, "app.env")
            installation.tick()
        else:
            installation.operations.rotate("web")
            with _once("publish", lambda: _unpublish(installation, "app.env"), after=True):
                installation.tick()
        assert installation.held(installation.file("app.env")) is None
        assert _whys(installation, "destination_withdrawn") == ["the key was taken away"]


def test_what_somebody_else_put_where_only_receipts_tell_is_left_and_told(installation: Installation) -> None:
    with _blind(installation):
        _served(installation, "app.env", "theirs.env")
        installation.file("theirs.env").write_text("OPENROUTER_API_KEY=somebody-elses\n")
        _unpublish(installation, "theirs.env")
        installation.tick()
    assert installation.held(installation.file("theirs.env")) is not None
    assert _whys(installation, "destination_withdrawn") == ["what it holds is not ours, and was left there"]


def test_a_place_that_never_shows_what_it_holds_was_told_and_that_is_told(installation: Installation) -> None:
    with _blind(installation), patch.object(DotenvPublisher, "withdraw"):
        _served(installation, "app.env", "told.env")
        _unpublish(installation, "told.env")
        installation.tick()
    (why,) = _whys(installation, "destination_withdrawn")
    assert "cannot be seen" in why


# --- what an operator does meanwhile ----------------------------------------------------------------------------


@pytest.mark.parametrize("withdraw", [True, False])
def test_one_that_is_removed_and_added_at_once_stays(installation: Installation, truth: Truth, withdraw: bool) -> None:
    _served(installation, "app.env", "again.env")
    label, again = _label(installation, "again.env"), installation.destination("again.env")
    change = RotationUpdate(remove_publish=(label,), withdraw=withdraw, add_publish=(again,))
    installation.operations.update_rotation("web", change)
    assert sorted(_labels(installation)) == [("again.env", False), ("app.env", False)]
    told = ["destination_changed"] if withdraw else ["destination_removed", "destination_added"]
    assert installation.events()[-len(told) :] == told
    installation.operations.rotate("web")
    installation.run_until_rest()
    truth.check_rest()


def test_one_that_is_removed_while_it_is_read_is_withdrawn(watchful: Installation) -> None:
    _served(watchful, "app.env", "lost.env")
    with _once("read_back", lambda: _unpublish(watchful, "lost.env")):
        watchful.run_for(70 * MINUTE)
    assert _labels(watchful) == [("app.env", False)]
    assert watchful.held(watchful.file("lost.env")) is None


def test_a_deletion_that_withdraws_is_not_forgotten_while_a_destination_is_read(watchful: Installation) -> None:
    _served(watchful)
    ending = lambda: watchful.operations.delete_rotation("web", Removal.KEEP_KEYS, withdraw=True)  # noqa: E731 - short
    with _once("read_back", ending):
        watchful.run_for(70 * MINUTE)
    assert watchful.held(watchful.file("app.env")) is None
    assert watchful.events()[-3:] == ["destination_withdrawn", "key_released", "rotation_deleted"]


@pytest.mark.parametrize("fails", [True, False])
def test_one_that_is_wanted_back_during_its_withdrawal_gets_the_key_again(
    installation: Installation, truth: Truth, fails: bool
) -> None:
    _served(installation, "app.env", "back.env")
    _unpublish(installation, "back.env")

    def wanted_back() -> None:
        truth.emptied(installation.file("back.env"))
        _publish(installation, "back.env")
        if fails:
            raise Unavailable("it is away.")

    with _once("withdraw", wanted_back, after=not fails):
        installation.run_for(5 * MINUTE)
    assert _labels(installation) == [("app.env", False), ("back.env", False)]
    assert truth.held(installation.file("back.env")) == installation.active().key_hash
    assert "withdraw_failed" not in installation.events(), "it is no news any more"
    truth.check_rest()


def test_a_destination_that_is_changed_while_it_is_delivered_to_is_delivered_to_once_more(
    installation: Installation, truth: Truth
) -> None:
    """The delivery under way may have gone where the old order said."""
    _served(installation)
    _publish(installation, "new.env")
    with (
        _once("publish", lambda: _publish(installation, "new.env", optional=True), after=True),
        _counted("publish") as published,
    ):
        installation.tick()
    assert len(published) == 2
    assert installation.events()[-2:] == ["destination_changed", "delivered"]
    truth.check_rest()


@contextmanager
def _counted(method: str) -> Iterator[list[int]]:
    real = getattr(DotenvPublisher, method)
    calls: list[int] = []

    def counting(publisher: DotenvPublisher, *args: object) -> object:
        calls.append(1)
        return real(publisher, *args)

    with patch.object(DotenvPublisher, method, counting):
        yield calls


def test_a_rotation_does_not_end_under_an_order_to_withdraw(installation: Installation) -> None:
    _served(installation)
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS)
    ordered: list[int] = []

    def withdraw_too() -> None:
        if not ordered:
            ordered.append(1)
            installation.operations.delete_rotation("web", Removal.KEEP_KEYS, withdraw=True)

    installation.tap.when(lambda p: p.step == "finish" and p.name == "store.commit", withdraw_too)
    installation.tick()
    assert ordered
    assert installation.held(installation.file("app.env")) is None


def test_what_is_not_said_of_a_destination_that_is_there_stays(installation: Installation) -> None:
    _served(installation)
    orders: list[tuple[dict[str, object], tuple[bool, OnDrift]]] = [
        ({"optional": True}, (True, OnDrift.REPAIR)),
        ({"on_drift": OnDrift.REPORT}, (True, OnDrift.REPORT)),
        ({}, (True, OnDrift.REPORT)),
        ({"optional": False}, (False, OnDrift.REPORT)),
    ]
    for order, wanted in orders:
        _publish(installation, "app.env", **order)
        (destination,) = installation.snapshot().destinations
        assert (destination.optional, destination.on_drift) == wanted


# --- when it cannot be done -------------------------------------------------------------------------------------


@pytest.fixture
def stuck(installation: Installation) -> Iterator[Installation]:
    """From ``lost.env`` nothing can be taken away."""
    _served(installation, "app.env", "lost.env")
    with patch.object(DotenvPublisher, "withdraw", side_effect=Refused("nothing is taken back here.")):
        yield installation


def test_a_withdrawal_that_needs_a_person_says_so_and_can_be_called_off(stuck: Installation) -> None:
    _unpublish(stuck, "lost.env")
    stuck.run_for(timedelta(days=1))
    shown = stuck.operations.show_rotation("web")
    assert shown.status == "needs_attention"
    assert "may still hold a key: nothing is taken back here" in str(shown.attention)
    assert f"rotator rotation unpublish web {_label(stuck, 'lost.env')}" in str(shown.remedy)
    assert stuck.events().count("attention_needed") == 1
    _unpublish(stuck, "lost.env", withdraw=False)
    shown = stuck.operations.show_rotation("web")
    assert (shown.status, shown.attention, stuck.events()[-1]) == ("ok", None, "attention_cleared")
    assert _labels(stuck) == [("app.env", False)]


def _unpublished(installation: Installation) -> None:
    _unpublish(installation, "app.env", "lost.env", withdraw=False)


def _deleted_again(installation: Installation) -> None:
    installation.operations.delete_rotation("web", Removal.REVOKE_KEYS)


@pytest.mark.parametrize("let_go", [_unpublished, _deleted_again])
def test_a_deletion_that_waits_for_a_withdrawal_can_be_freed(
    stuck: Installation, let_go: Callable[[Installation], None]
) -> None:
    stuck.operations.delete_rotation("web", Removal.REVOKE_KEYS, withdraw=True)
    stuck.run_for(timedelta(days=1))
    shown = stuck.operations.show_rotation("web")
    assert shown.status == "removing"
    assert "may still hold a key" in str(shown.attention)
    let_go(stuck)
    stuck.tick()
    assert stuck.events()[-1] == "rotation_deleted"
    stuck.create()


def test_of_a_rotation_that_is_being_deleted_nothing_else_changes(stuck: Installation) -> None:
    stuck.operations.delete_rotation("web", Removal.KEEP_KEYS, withdraw=True)
    label = _label(stuck, "lost.env")
    for change in (
        RotationUpdate(remove_publish=(label,), withdraw=True),
        RotationUpdate(remove_publish=(label,), limit_usd=3.0),
        RotationUpdate(add_publish=(stuck.destination("new.env"),)),
    ):
        with pytest.raises(Conflict, match="being deleted"):
            stuck.operations.update_rotation("web", change)


def test_a_deletion_tells_of_each_destination_what_becomes_of_its_value(installation: Installation) -> None:
    _served(installation, "app.env", "lost.env")
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS, withdraw=True)
    assert installation.events()[-3:] == ["rotation_deletion_requested", *["destination_removed"] * 2]
    assert set(_whys(installation, "destination_removed")) == {"its value is to be withdrawn"}


def test_a_removed_destination_is_shown_without_what_failed_there_before(
    watchful: Installation,
) -> None:
    _served(watchful, "app.env", "lost.env")
    with patch.object(DotenvPublisher, "read_back", side_effect=Unavailable("it cannot be read.")):
        watchful.run_for(66 * MINUTE)
    assert watchful.operations.deliveries("web")[1].error is not None
    _unpublish(watchful, "lost.env")
    leaving = watchful.operations.deliveries("web")[1]
    assert (leaving.leaving, leaving.error, leaving.attempts) == (True, None, 0)


@pytest.mark.parametrize("withdraw", [True, False])
def test_what_failed_at_a_destination_needs_nobody_once_that_is_removed(
    installation: Installation, withdraw: bool
) -> None:
    _served(installation)
    with patch.object(DotenvPublisher, "publish", side_effect=Refused("it is not ours.")):
        _publish(installation, "bad.env")
        installation.tick()
        _publish(installation, "worse.env")
        installation.tick()
        assert installation.operations.show_rotation("web").status == "needs_attention"
        _unpublish(installation, "bad.env", withdraw=withdraw)
        assert installation.operations.show_rotation("web").status == "needs_attention", "the other fails as well"
        _unpublish(installation, "worse.env", withdraw=withdraw)
        shown = installation.operations.show_rotation("web")
    assert (shown.status, shown.attention) == ("ok", None)
    assert installation.active().attempt.error is None


def test_what_failed_elsewhere_stays_when_a_destination_is_removed(installation: Installation) -> None:
    _served(installation, "app.env", "good.env")
    with patch.object(DotenvPublisher, "publish", side_effect=Refused("it is not ours.")):
        _publish(installation, "bad.env")
        installation.tick()
        _unpublish(installation, "good.env", withdraw=False)
    assert installation.operations.show_rotation("web").status == "needs_attention"


# --- what an operator does while destinations are read ----------------------------------------------------------


def test_a_place_that_is_added_during_the_last_look_is_looked_at_before_the_old_key_ends(
    installation: Installation, truth: Truth
) -> None:
    """It may hold that very key, and be one that cannot be written now."""
    _served(installation, "app.env", "late.env")
    _unpublish(installation, "late.env", withdraw=False)
    late = installation.file("late.env")
    installation.operations.rotate("web")
    installation.tick()

    def wanted_back() -> None:
        _publish(installation, "late.env")
        truth.excused.add(late)
        late.rename(late.with_name("aside"))
        late.mkdir()

    with _once("read_back", wanted_back):
        installation.run_for(2 * HOUR)
    assert installation.states() == {"web": ["retiring", "active"]}
    late.rmdir()
    installation.run_until_rest()
    truth.check_rest()


def test_what_is_ordered_of_drift_while_a_place_is_read_is_done(watchful: Installation) -> None:
    _served(watchful)
    _publish(watchful, "app.env", on_drift=OnDrift.REPORT)
    watchful.run_for(MINUTE)
    file = watchful.file("app.env")
    file.write_text("OPENROUTER_API_KEY=somebody-elses\n", encoding="utf-8")
    with _once("read_back", lambda: _publish(watchful, "app.env", on_drift=OnDrift.REPAIR)):
        watchful.run_for(70 * MINUTE)
    assert Truth(watchful).held(file) == watchful.active().key_hash


def test_what_fails_is_counted_however_busy_operators_are(installation: Installation) -> None:
    _served(installation, "app.env", "down.env")
    down = installation.file("down.env")
    down.unlink()
    down.mkdir()
    installation.operations.rotate("web")

    def busy(publisher: DotenvPublisher, publication: Publication) -> str | None:
        if publisher.label.endswith("down.env"):
            installation.operations.pause_rotation("web")
            installation.operations.resume_rotation("web")
            raise Unavailable("it is away.")
        return _PUBLISH(publisher, publication)

    with patch.object(DotenvPublisher, "publish", busy):
        for _ in range(4):
            installation.tick()
    (place,) = (d for d in installation.operations.deliveries("web") if d.label.endswith("down.env"))
    assert place.attempts == 1, "at one moment it is tried once"


@pytest.mark.parametrize(("ours", "told"), [(True, "was left there"), (False, "still holds the key")])
def test_a_key_beside_somebody_elses_line_goes_or_is_told_to_stay(
    installation: Installation, ours: bool, told: str
) -> None:
    """Where the comment that makes a line ours is gone, a person has to take it out."""
    _served(installation, "app.env", "both.env")
    both, theirs = installation.file("both.env"), "OPENROUTER_API_KEY=somebody-elses\n"
    lines = both.read_text(encoding="utf-8").splitlines(keepends=True)
    both.write_text("".join(lines if ours else lines[-1:]) + theirs, encoding="utf-8")
    _unpublish(installation, "both.env")
    installation.tick()
    (why,) = _whys(installation, "destination_withdrawn")
    assert told in why
    assert (both.read_text(encoding="utf-8") == theirs) is ours
