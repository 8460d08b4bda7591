"""Places that hang, fail in ways of their own, show nothing or say now this and now that: no key dies early, nothing is
done over and over, and every place is served in its turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from config.secret import Secret
from tasks.operations.requests import DestinationRequest, RotationUpdate
from tasks.publishers._shared.fingerprint import fingerprint
from tasks.publishers.dotenv import DotenvPublisher
from tasks.rotation import checking
from tasks.rotation.errors import Unavailable
from tasks.rotation.model import Holding, OnDrift
from tasks.rotation.ports import Publication
from tests.steered.installation import Installation, Template, copied
from tests.steered.truth import Truth

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_PUBLISH = DotenvPublisher.publish
_READ_BACK = DotenvPublisher.read_back


@pytest.fixture
def watchful(template: Template, tmp_path: Path) -> Iterator[Installation]:
    """An installation that looks after its destinations every hour, as usual."""
    with copied(template, tmp_path, drift_check_s=3600) as fresh:
        yield fresh


def _publish(installation: Installation, *files: str, **how: object) -> None:
    wanted = [DestinationRequest(installation.destination(f), **how) for f in files]  # type: ignore[arg-type]  # fields
    installation.operations.update_rotation("web", RotationUpdate(add_publish=tuple(wanted)))


def _served(installation: Installation, *files: str) -> None:
    installation.create(files=files or ("app.env",))
    installation.tick()


def _times(installation: Installation, name: str) -> int:
    return installation.events().count(name)


# --- places whose value cannot be told ---------------------------------------------------------------------------


@contextmanager
def showing_nothing() -> Iterator[None]:
    """Files that can be written and not read: a receipt of when each was changed is all that there is."""
    changed = count(10**6)

    def publish(publisher: DotenvPublisher, publication: Publication) -> str:
        _PUBLISH(publisher, publication)
        file = Path(publisher.label.removeprefix("dotenv:"))
        os.utime(file, (next(changed),) * 2)
        return _receipt(publication.value, file)

    def read_back(publisher: DotenvPublisher, _name: str, expected: Secret, receipt: str | None = None) -> Holding:
        file = Path(publisher.label.removeprefix("dotenv:"))
        if not file.exists():
            return Holding.NOTHING
        return Holding.SAME if receipt == _receipt(expected, file) else Holding.OTHER

    with ExitStack() as stack:
        stack.enter_context(patch.object(DotenvPublisher, "publish", publish))
        stack.enter_context(patch.object(DotenvPublisher, "read_back", read_back))
        yield


def _receipt(value: Secret, file: Path) -> str:
    return f"{fingerprint(value)} {file.stat().st_mtime_ns}"


def test_a_key_lives_on_while_a_place_that_shows_no_value_may_hold_it_again(installation: Installation) -> None:
    with showing_nothing():
        _served(installation)
        _publish(installation, "app.env", on_drift=OnDrift.REPORT)
        installation.tick()
        backup, old = installation.file("app.env").read_text(), str(installation.active().key_hash)
        installation.operations.rotate("web")
        installation.tick()
        installation.file("app.env").write_text(backup)
        installation.run_for(3 * DAY)
        assert old in installation.account.live()
        assert "may hold the key of version 1" in str(installation.operations.show_rotation("web").attention)
        installation.file("app.env").unlink()
        installation.run_for(3 * DAY)
        assert old not in installation.account.existing(), "it holds nothing any more"


def test_a_key_lives_on_while_one_of_several_lines_holds_it(installation: Installation) -> None:
    _served(installation)
    _publish(installation, "app.env", on_drift=OnDrift.REPORT)
    installation.tick()
    file, old = installation.file("app.env"), installation.active()
    line = installation.held(file)
    assert line is not None
    installation.operations.rotate("web")
    installation.tick()
    file.write_text(f"{file.read_text()}OPENROUTER_API_KEY={line.reveal()}\n")
    installation.run_for(3 * DAY)
    assert old.key_hash in installation.account.live()
    assert "holds the key of version 1" in str(installation.operations.show_rotation("web").attention)


def test_a_place_that_says_now_this_and_now_that_is_not_written_without_end(installation: Installation) -> None:
    """Such as a replica that lags, or a controller that puts its own value back."""
    _served(installation)
    installation.operations.rotate("web")
    installation.tick()
    look = checking.safe_without

    def elsewhere(*arguments: object) -> bool:
        with patch.object(DotenvPublisher, "read_back", return_value=Holding.OTHER):
            return look(*arguments)  # type: ignore[arg-type]  # its own arguments

    with patch("tasks.rotation.retiring.safe_without", elsewhere):
        installation.run_for(DAY)
        assert 8 <= _times(installation, "drift_repaired") < 40
        shown = installation.operations.show_rotation("web")
        assert "held another value when it was read before this key's end" in str(shown.attention)
        assert installation.states() == {"web": ["retiring", "active"]}
    installation.run_until_rest()
    Truth(installation).check_rest()


# --- places that take their time ---------------------------------------------------------------------------------


@contextmanager
def hanging(installation: Installation, but: str = "app.env") -> Iterator[None]:
    """Every place but one fails only after 25 s; a worker's task ends after 240 s of it."""
    began = [installation.clock.now()]
    advance = installation.rotator.engine.advance

    def wait(publisher: DotenvPublisher, publication: Publication) -> str | None:
        if publisher.label.endswith(but):
            return _PUBLISH(publisher, publication)
        installation.clock.move(25 * SECOND)
        if installation.clock.now() - began[0] > 240 * SECOND:
            raise SoftTimeLimitExceeded
        raise Unavailable("it hangs.")

    def timed(rotation_id: str) -> object:
        began[0] = installation.clock.now()
        return advance(rotation_id)

    with patch.object(DotenvPublisher, "publish", wait), patch.object(installation.rotator.engine, "advance", timed):
        yield


@pytest.mark.parametrize("optional", [True, False])
def test_places_that_hang_are_each_tried_in_turn_however_many(installation: Installation, optional: bool) -> None:
    hung = [f"d{number:02}.env" for number in range(12)]
    _served(installation)
    _publish(installation, *hung, optional=optional)
    installation.tick()
    installation.operations.rotate("web")
    with hanging(installation):
        installation.run_for(HOUR)
        assert not [line for line in installation.log.lines if line.startswith("task_ran_too_long")]
        assert installation.states() == {"web": ["retiring", "active"] if optional else ["active", "proven"]}
        shown = {d.label: d.attempts for d in installation.operations.deliveries("web")}
        assert sorted(shown.values())[:2][0] == 0
        assert min(tries for label, tries in shown.items() if not label.endswith("app.env")) > 3
    installation.run_until_rest()
    Truth(installation).check_rest()


def test_moments_are_counted_from_the_end_of_the_publishing(installation: Installation) -> None:
    _served(installation, "app.env", "slow.env")
    installation.operations.rotate("web")

    def slow(publisher: DotenvPublisher, publication: Publication) -> str | None:
        installation.clock.move(20 * SECOND)
        return _PUBLISH(publisher, publication)

    with patch.object(DotenvPublisher, "publish", slow):
        installation.tick()
    first, second = installation.versions()
    assert second.active_at == installation.clock.now()
    assert first.retire_at == second.active_at + HOUR
    delivered = [d.delivered_at for d in installation.snapshot().deliveries if d.version_id == second.id]
    assert sorted(map(str, delivered)) == [str(second.active_at - 20 * SECOND), str(second.active_at)]


def test_the_cooling_is_counted_from_the_end_of_the_look(installation: Installation) -> None:
    _served(installation)
    installation.operations.rotate("web")
    installation.tick()
    installation.clock.move(HOUR)

    def slow(publisher: DotenvPublisher, name: str, expected: Secret, receipt: str | None = None) -> Holding:
        installation.clock.move(20 * SECOND)
        return _READ_BACK(publisher, name, expected, receipt)

    with patch.object(DotenvPublisher, "read_back", slow):
        installation.tick()
    old = installation.version("web", 1)
    assert (old.disabled_at, old.delete_at) == (installation.clock.now(), installation.clock.now() + HOUR)


# --- steps that fail as a whole ----------------------------------------------------------------------------------


def test_a_delivery_that_cannot_be_stored_backs_off(installation: Installation) -> None:
    _served(installation)
    installation.operations.rotate("web")
    with patch.object(DotenvPublisher, "publish", side_effect=Unavailable("no text: \ud800")):
        installation.run_for(DAY)
        assert 2 <= _times(installation, "deliver_failed") < 40
        assert installation.operations.show_rotation("web").attention is not None
    installation.run_until_rest()
    assert installation.operations.show_rotation("web").attention is None


def test_a_look_that_cannot_be_stored_backs_off_and_is_forgotten_once_one_can(watchful: Installation) -> None:
    _served(watchful)
    with patch.object(DotenvPublisher, "read_back", side_effect=Unavailable("no text: \ud800")):
        watchful.run_for(DAY)
    assert 2 <= _times(watchful, "check_failed") < 40
    assert watchful.active().attempt.error is None
    assert watchful.operations.deliveries("web")[0].error is not None
    watchful.run_for(2 * HOUR)
    assert watchful.operations.deliveries("web")[0].error is None


# --- places that are down ----------------------------------------------------------------------------------------


def _down(*files: str) -> Callable[[DotenvPublisher, Publication], str | None]:
    def publish(publisher: DotenvPublisher, publication: Publication) -> str | None:
        if publisher.label.endswith(files):
            raise Unavailable(f"{publisher.label[-6:]} is away.")
        return _PUBLISH(publisher, publication)

    return publish


@pytest.mark.parametrize("pair", [("a.env", "b.env"), ("c.env", "d.env"), ("e.env", "f.env")])
def test_of_two_that_are_down_a_person_is_told_no_more_than_once_each(
    installation: Installation, pair: tuple[str, str]
) -> None:
    _served(installation)
    _publish(installation, *pair)
    with patch.object(DotenvPublisher, "publish", _down(*pair)):
        installation.run_for(2 * DAY)
    assert _times(installation, "attention_needed") <= 2
    assert _times(installation, "delivery_failed") > 40


def test_the_next_version_does_not_begin_anew_where_none_arrives(installation: Installation) -> None:
    _served(installation)
    _publish(installation, "spare.env", optional=True)
    installation.tick()
    with patch.object(DotenvPublisher, "publish", _down("spare.env")):
        for version in (2, 3, 4):
            installation.operations.rotate("web")
            installation.run_for(30 * SECOND)
            assert installation.active().number == version
        spare = installation.operations.deliveries("web")[1]
        assert spare.attempts == 6
        failures = [dict(e.detail)["attempt"] for e in installation.audit() if e.name == "delivery_failed"]
        assert failures == [str(number + 1) for number in range(len(failures))]


def test_places_that_cannot_all_be_read_in_one_go_keep_the_old_key_alive_and_that_is_told(
    installation: Installation,
) -> None:
    """Each answers, rightly and slowly."""
    _served(installation, *(f"d{number:02}.env" for number in range(6)))
    installation.operations.rotate("web")
    installation.tick()

    def slowly(publisher: DotenvPublisher, *about: Any) -> Holding:
        installation.clock.move(20 * SECOND)
        return _READ_BACK(publisher, *about)

    with patch.object(DotenvPublisher, "read_back", slowly):
        installation.run_for(DAY)
    shown = installation.operations.show_rotation("web")
    assert installation.states() == {"web": ["retiring", "active"]}
    assert "could be read within 60 s" in str(shown.attention)
    assert "check-destination" in str(shown.remedy)
    installation.operations.resume_rotation("web")
    installation.run_until_rest()
    Truth(installation).check_rest()
