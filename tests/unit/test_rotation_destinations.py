"""Destinations: each with its own attempts, optional ones, what drifts, what is withdrawn, and when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from config.secret import Secret
from tasks.operations.requests import DestinationRequest, RotationUpdate
from tasks.publishers.dotenv import DotenvPublisher
from tasks.rotation.errors import RateLimited, Unavailable
from tasks.rotation.model import OnDrift, Removal
from tests.steered.installation import Installation, Template, copied
from tests.steered.truth import Truth

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def watchful(template: Template, tmp_path: Path) -> Iterator[Installation]:
    """An installation that looks after its destinations every hour, as usual."""
    with copied(template, tmp_path, drift_check_s=3600) as fresh:
        yield fresh


def _label(installation: Installation, file: str) -> str:
    return f"dotenv:{installation.file(file)}"


def _publish(installation: Installation, file: str, **how: object) -> None:
    wanted = DestinationRequest(installation.destination(file), **how)  # type: ignore[arg-type]  # its fields
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(wanted,)))


def _served(installation: Installation, *files: str) -> None:
    installation.create(files=files or ("app.env",))
    installation.tick()


# --- attempts ---------------------------------------------------------------------------------------------------


def test_a_destination_that_fails_has_its_own_attempts_and_the_others_are_not_written_again(
    installation: Installation, truth: Truth
) -> None:
    installation.create(files=("app.env", "down.env"))
    installation.file("down.env").mkdir()
    truth.excused.add(installation.file("down.env"))
    installation.tick()
    written = installation.file("app.env").stat().st_mtime_ns
    installation.run_for(2 * MINUTE)
    good, bad = installation.operations.deliveries("web")
    assert (good.version, good.attempts, good.error) == (1, 0, None)
    assert bad.version is None
    assert bad.due == 1
    assert bad.next_attempt_at is not None
    assert installation.file("app.env").stat().st_mtime_ns == written
    assert installation.states() == {"web": ["proven"]}
    installation.file("down.env").rmdir()
    installation.run_until_rest()
    assert [d.attempts for d in installation.operations.deliveries("web")] == [0, 0]
    truth.check_rest()


def test_a_version_becomes_active_without_an_optional_destination_which_gets_it_later(
    installation: Installation, truth: Truth
) -> None:
    _served(installation)
    _publish(installation, "spare.env", optional=True)
    installation.tick()
    blocked = installation.file("spare.env")
    text = blocked.read_text()
    blocked.unlink()
    blocked.mkdir()
    truth.excused.add(blocked)
    installation.operations.rotate("web")
    installation.tick()
    assert installation.states() == {"web": ["retiring", "active"]}
    old = str(installation.version("web", 1).key_hash)
    installation.run_for(timedelta(days=2))
    assert old in installation.account.live(), "the optional destination may still hold it"
    assert installation.operations.show_rotation("web").status == "needs_attention"
    blocked.rmdir()
    blocked.write_text(text)
    installation.run_until_rest()
    assert old not in installation.account.existing()
    truth.check_rest()


def test_a_destination_that_is_added_gets_the_current_key_at_once_whatever_another_waits_for(
    installation: Installation, truth: Truth
) -> None:
    _served(installation)
    installation.file("down.env").mkdir()
    with patch.object(DotenvPublisher, "check"):
        _publish(installation, "down.env")
    installation.tick()
    _publish(installation, "new.env")
    installation.tick()
    assert truth.held(installation.file("new.env")) == installation.active().key_hash
    installation.file("down.env").rmdir()
    installation.run_until_rest()
    truth.check_rest()


def test_resuming_tries_at_once_what_a_destination_waits_for(installation: Installation, truth: Truth) -> None:
    installation.create(files=("down.env",))
    installation.file("down.env").mkdir()
    installation.tick()
    installation.file("down.env").rmdir()
    assert not installation.tick()
    installation.operations.resume_rotation("web")
    installation.tick()
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_what_one_destination_asks_for_does_not_make_openrouter_wait(installation: Installation) -> None:
    _served(installation)
    installation.operations.rotate("web")
    installation.tick()
    busy = RateLimited("it asks us to wait.", retry_after=HOUR)
    with patch.object(DotenvPublisher, "read_back", side_effect=busy):
        installation.run_for(2 * HOUR)
    assert "disable_failed" in installation.events()
    assert installation.snapshot().connection_paused_until is None


# --- drift ------------------------------------------------------------------------------------------------------


def _drift(installation: Installation, truth: Truth, text: str = "OPENROUTER_API_KEY=another\n") -> None:
    file = installation.file("app.env")
    truth.excused.add(file)
    file.write_text(text)


@pytest.mark.parametrize("text", ["OPENROUTER_API_KEY=another\n", ""])
def test_drift_is_found_within_the_hour_and_put_right(watchful: Installation, text: str) -> None:
    truth = Truth(watchful)
    _served(watchful)
    _drift(watchful, truth, text)
    watchful.run_for(70 * MINUTE)
    assert truth.held(watchful.file("app.env")) == watchful.active().key_hash
    events = watchful.events()
    assert events.count("drift_found") == events.count("drift_repaired") == 1
    watchful.run_for(3 * HOUR)
    assert watchful.events() == events, "nothing is told of what is well"


def test_drift_that_is_only_reported_is_told_once_and_when_it_ends(watchful: Installation) -> None:
    truth = Truth(watchful)
    _served(watchful)
    _publish(watchful, "app.env", on_drift=OnDrift.REPORT)
    watchful.tick()
    good = watchful.file("app.env").read_text()
    _drift(watchful, truth)
    watchful.run_for(5 * HOUR)
    assert watchful.events().count("drift_found") == 1
    assert "another" in watchful.file("app.env").read_text()
    (shown,) = watchful.operations.deliveries("web")
    assert shown.drifted_at is not None
    assert shown.error is not None
    watchful.file("app.env").write_text(good)
    watchful.run_for(2 * HOUR)
    assert watchful.events().count("drift_ended") == 1
    assert watchful.operations.deliveries("web")[0].drifted_at is None


def test_what_is_only_reported_keeps_the_old_key_alive_only_where_it_is_the_old_key(watchful: Installation) -> None:
    _served(watchful)
    _publish(watchful, "app.env", on_drift=OnDrift.REPORT)
    watchful.tick()
    backup = watchful.file("app.env").read_text()
    watchful.operations.rotate("web")
    watchful.tick()
    watchful.file("app.env").write_text(backup)
    watchful.run_for(timedelta(days=2))
    old = str(watchful.version("web", 1).key_hash)
    assert old in watchful.account.live()
    assert "holds the key of version 1" in str(watchful.operations.show_rotation("web").attention)
    watchful.file("app.env").write_text("OPENROUTER_API_KEY=somebody-elses\n")
    watchful.run_for(timedelta(days=2))
    assert old not in watchful.account.existing()


def test_a_destination_that_cannot_be_looked_at_is_told_and_looked_at_again_soon(watchful: Installation) -> None:
    _served(watchful)
    with patch.object(DotenvPublisher, "read_back", side_effect=Unavailable("it cannot be read.")):
        watchful.run_for(70 * MINUTE)
        (shown,) = watchful.operations.deliveries("web")
        assert shown.attempts > 1
    failures = [e for e in watchful.audit() if e.name == "drift_check_failed"]
    assert [dict(e.detail)["attempt"] for e in failures] == [str(n + 1) for n in range(len(failures))]
    watchful.run_for(HOUR)
    assert watchful.operations.deliveries("web")[0].attempts == 0
    assert watchful.states() == {"web": ["active"]}


def test_a_bug_in_one_destination_s_client_keeps_no_other_from_being_looked_at(watchful: Installation) -> None:
    _served(watchful, "app.env", "other.env")
    real = DotenvPublisher.read_back

    def failing(publisher: DotenvPublisher, name: str, expected: Secret, receipt: str | None = None) -> object:
        if publisher.label.endswith("app.env"):
            raise ZeroDivisionError(expected.reveal())
        return real(publisher, name, expected, receipt)

    watchful.file("other.env").write_text("")
    with patch.object(DotenvPublisher, "read_back", failing):
        watchful.run_for(70 * MINUTE)
        assert "drift_repaired" in watchful.events()
    assert any("ZeroDivisionError" in e.why for e in watchful.audit() if e.name == "drift_check_failed")
    Truth(watchful).check_no_leak()


def test_an_undo_that_is_given_up_delivers_the_active_key_again(installation: Installation, truth: Truth) -> None:
    """Also to destinations that cannot show what they hold: they may have got the key that came back."""
    _served(installation, "app.env", "down.env")
    installation.operations.rotate("web")
    installation.tick()
    blocked = installation.file("down.env")
    text = blocked.read_text()
    truth.excused.add(blocked)
    blocked.unlink()
    blocked.mkdir()
    installation.operations.undo("web")
    installation.tick()
    assert installation.states() == {"web": ["proven", "active"]}
    installation.operations.rotate("web")
    assert len(installation.snapshot().undelivered(installation.active())) == 2
    blocked.rmdir()
    blocked.write_text(text)
    installation.run_until_rest()
    truth.check_rest()


# --- one place, two rotations -----------------------------------------------------------------------------------


def test_a_place_is_one_rotations_until_that_is_over(installation: Installation, truth: Truth) -> None:
    """By two names of one file: neither replaces the other's key for ever, and none is left out for ever."""
    _served(installation)
    held = installation.file("app.env").read_text(encoding="utf-8")
    alias = installation.folder / "alias"
    alias.symlink_to(installation.file("app.env").parent)
    installation.create("api", files=(f"{alias}/app.env",))
    installation.tick()
    (place,) = installation.operations.deliveries("api")
    assert "another rotation, web, publishes there" in (place.error or "")
    assert installation.file("app.env").read_text(encoding="utf-8") == held
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS)
    installation.operations.resume_rotation("api")
    installation.run_until_rest()
    assert installation.operations.show_rotation("api").active_version == 1
    truth.check_rest()
