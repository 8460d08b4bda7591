"""What goes wrong around a rotation costs time, never the key in service; and a person is told when one is needed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest

from config.secret import Secret
from tasks.operations.requests import RotationUpdate
from tasks.publishers.dotenv import DotenvPublisher
from tasks.rotation.errors import LeaseLost, OutcomeUnknown, RotatorError, TryAgain, Unavailable
from tasks.rotation.model import ConnectionHealth, Holding, VersionState
from tasks.rotation.ports import Publication
from tasks.rotation.telling import may_be_told
from tests.steered.clock import START
from tests.steered.installation import CONNECTION, Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@contextmanager
def _refusing(file: str) -> Iterator[None]:
    """Files of this name cannot be written for now."""
    publish = DotenvPublisher.publish

    def refuse(self: DotenvPublisher, publication: Publication) -> None:
        if self.label.endswith(file):
            raise TryAgain(f"{file} cannot be written.")
        publish(self, publication)

    with patch.object(DotenvPublisher, "publish", refuse):
        yield


def _calls(installation: Installation, method: str, path: str) -> int:
    return installation.asked().count(f"{method} {path}")


# --- OpenRouter -------------------------------------------------------------------------------------------------


def test_a_rejected_management_key_asks_for_a_person_and_recovers_with_a_new_one(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    installation.account.revoke_management_key(installation.management_key.reveal())
    installation.operations.rotate("web")
    installation.run_for(10 * MINUTE)
    view = installation.operations.show_rotation("web")
    assert (view.status, view.active_version) == ("needs_attention", 1)
    assert "connection update" in (view.remedy or "")
    assert _calls(installation, "POST", "/keys") == 2
    new = Secret(f"emulator-{secrets.token_hex(8)}")
    installation.operations.update_connection(CONNECTION, api_key=new)
    installation.run_for(SECOND)
    view = installation.operations.show_rotation("web")
    assert (view.status, view.attention, view.active_version) == ("ok", None, 2)
    installation.run_until_rest()
    assert {"attention_needed", "attention_cleared"} <= set(installation.events())
    truth.check_rest()


def test_after_the_last_attempt_a_rotation_goes_on_slowly(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.fail("never_arrives", "GET", "/key")
    installation.operations.rotate("web")
    installation.run_for(12 * HOUR)
    view = installation.operations.show_rotation("web")
    assert (view.status, view.active_version) == ("needs_attention", 1)
    attempts = _calls(installation, "GET", "/key") - 1
    assert 8 + 10 <= attempts <= 8 + 13
    installation.faults.clear()
    installation.run_for(HOUR)
    assert installation.operations.show_rotation("web").status == "ok"
    installation.run_until_rest()
    truth.check_rest()


def test_retirement_never_gives_up(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.fail("status", "DELETE", status=500)
    installation.operations.rotate("web")
    installation.run_for(timedelta(days=4))
    assert installation.operations.show_rotation("web").status == "needs_attention"
    installation.faults.clear()
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    assert installation.operations.show_rotation("web").status == "ok"
    truth.check_rest()


def test_retry_after_pauses_every_rotation_of_the_connection(installation: Installation, truth: Truth) -> None:
    installation.create("web")
    installation.create("shop", files=("shop.env",))
    installation.tick()
    installation.fail("status", "POST", "/keys", status=429, retry_after=300, times=1)
    installation.operations.rotate("web")
    installation.tick()
    installation.operations.rotate("shop")
    before = len(installation.account.calls)
    installation.run_for(timedelta(seconds=299))
    assert installation.asked(before) == []
    assert installation.operations.show_connection(CONNECTION).paused_until == START + 5 * MINUTE
    installation.run_for(2 * SECOND)
    assert installation.states() == {"web": ["retiring", "active"], "shop": ["retiring", "active"]}
    installation.run_until_rest()
    truth.check_rest()


def test_a_limit_without_a_time_pauses_the_connection_until_the_next_attempt(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    reset = {"body": "{}", "status": 429, "times": 1}
    installation.fail("status", "POST", "/keys", **reset)
    installation.operations.rotate("web")
    installation.tick()
    paused_until = installation.operations.show_connection(CONNECTION).paused_until
    assert paused_until is not None
    assert paused_until > START
    installation.run_until_rest()
    truth.check_rest()


def test_a_new_key_that_is_not_known_everywhere_yet_gets_a_moment(installation: Installation, truth: Truth) -> None:
    installation.fail("status", "GET", "/key", status=401, times=3)
    installation.create()
    installation.run_until_rest()
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_a_new_key_that_is_never_accepted_is_given_up_and_removed(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.fail("status", "GET", "/key", status=401, times=4)
    installation.operations.rotate("web")
    installation.run_for(10 * MINUTE)
    view = installation.operations.show_rotation("web")
    assert (view.status, view.active_version) == ("needs_attention", 1)
    assert "does not accept" in (view.attention or "")
    assert installation.states() == {"web": ["active", "deleted", "planned"]}
    installation.run_until_rest()
    truth.check_rest()


def test_a_key_that_is_not_as_asked_is_never_published(installation: Installation, truth: Truth) -> None:
    """Someone changes the new key at OpenRouter before it is proven."""
    installation.create(limit_usd=5.0)
    installation.tick()
    installation.operations.rotate("web")

    def meddle() -> None:
        minted = installation.account.minted[-1]
        installation.patch_key(minted.hash, {"limit": 50.0})

    installation.tap.when(lambda p: p.name == "openrouter POST /keys" and p.side is Side.AFTER, meddle)
    installation.run_until(VersionState.DELETED)
    (told,) = [e for e in installation.audit() if e.name == "version_abandoned" and may_be_told(e)]
    assert "limit is 50.0 instead of 5.0" in told.why
    installation.run_until_rest()
    truth.check_rest()


def test_a_bug_in_a_step_costs_its_rotation_a_retry(installation: Installation, truth: Truth) -> None:
    installation.create()
    with patch("tasks.rotation.proving.objections", side_effect=ZeroDivisionError):
        installation.tick()
    view = installation.operations.show_rotation("web")
    assert "unexpected ZeroDivisionError happened in prove" in (view.attention or "")
    assert "report" in (view.remedy or "")
    installation.run_until_rest()
    truth.check_rest()


def test_a_bug_before_there_is_a_version_is_raised(installation: Installation, truth: Truth) -> None:
    installation.create(initial=False, every="1d", overlap="0", cooling="0")
    installation.clock.move(timedelta(days=1))
    with (
        patch("tasks.rotation.minting.planning", side_effect=ZeroDivisionError),
        pytest.raises(RotatorError, match="ZeroDivisionError happened in plan"),
    ):
        installation.tick()
    installation.run_for(2 * MINUTE)
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_what_ends_a_worker_ends_the_step_and_is_no_failure_of_it(installation: Installation, truth: Truth) -> None:
    """A task's time limit, say: the next worker carries on, and no attempt is counted."""
    installation.create()
    with (
        closing(installation.worker("worker-b", stop_on=(TimeoutError,))) as other,
        patch("tasks.rotation.proving.objections", side_effect=TimeoutError),
        pytest.raises(TimeoutError),
    ):
        other.engine.advance(installation.rotation_ids["web"])
    assert installation.version("web", 1).attempt.count == 0
    installation.run_until_rest()
    truth.check_rest()


def test_a_database_that_is_away_ends_the_task_and_nothing_else(installation: Installation, truth: Truth) -> None:
    installation.create()

    def away() -> None:
        raise Unavailable("The database failed (away); nothing was changed.")

    installation.tap.when(lambda p: p.name == "store.load", away)
    installation.tick()
    assert "task_failed" in installation.log.lines[-1]
    installation.run_until_rest()
    truth.check_rest()


def test_bindings_that_cannot_be_carried_are_told(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.fail("status", "GET", "/byok", status=403)
    installation.operations.rotate("web")
    installation.run_until_rest()
    assert "binding_not_carried" in installation.events()
    truth.check_rest()


def test_bindings_that_fail_to_be_carried_again_keep_no_key_alive(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    installation.run_until(VersionState.RETIRING)
    installation.fail("status", "GET", "/guardrails/*", status=500)
    installation.run_until_rest()
    assert "binding_not_carried" in installation.events()
    truth.check_rest()


def test_a_lease_that_is_lost_while_bindings_are_carried_again_ends_the_step(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    installation.run_until(VersionState.RETIRING)
    with patch("tasks.rotation.retiring.carry_bindings", side_effect=LeaseLost("another worker has it")):
        installation.clock.move(2 * HOUR)
        installation.tick()
    assert installation.states() == {"web": ["retiring", "active"]}
    assert "binding_not_carried" not in installation.events()
    installation.run_until_rest()
    truth.check_rest()


# --- destinations -----------------------------------------------------------------------------------------------


def test_one_unwritable_destination_keeps_the_new_key_from_none_of_the_others(
    installation: Installation, truth: Truth
) -> None:
    installation.create(files=("app.env", "job.env"))
    installation.tick()
    with _refusing("job.env"):
        installation.operations.rotate("web")
        installation.run_for(10 * MINUTE)
        assert truth.held(installation.file("app.env")) == installation.version("web", 2).key_hash
        assert installation.states() == {"web": ["active", "proven"]}
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_a_destination_that_may_recover_is_not_kept_waiting_by_one_that_needs_a_person(
    installation: Installation, truth: Truth
) -> None:
    installation.create(files=("app.env", "job.env"))
    blocked = installation.file("app.env")
    blocked.mkdir()
    with _refusing("job.env"):
        installation.tick()
    installation.run_for(30 * SECOND)
    assert truth.held(installation.file("job.env")) is not None
    assert installation.operations.show_rotation("web").status == "needs_attention"
    blocked.rmdir()
    installation.run_until_rest()
    truth.check_rest()


def test_an_unreadable_destination_delays_the_old_keys_death(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    installation.tick()
    old = str(installation.version("web", 1).key_hash)
    with patch.object(DotenvPublisher, "read_back", side_effect=Unavailable("it cannot be read.")):
        installation.run_for(timedelta(days=1))
        assert old in installation.account.live()
        assert installation.operations.show_rotation("web").status == "needs_attention"
    installation.run_until_rest()
    assert old not in installation.account.existing()
    truth.check_rest()


def test_drift_is_mended_before_a_key_dies(installation: Installation, truth: Truth) -> None:
    """A file was restored from a backup and holds the old key again: nothing there is ever refused."""
    installation.create()
    installation.tick()
    backup = installation.file("app.env").read_text()
    installation.operations.rotate("web")
    installation.tick()
    installation.file("app.env").write_text(backup)
    installation.run_until_rest()
    events = installation.events()
    assert events.index("drift_found") < events.index("version_disabled")
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_drift_is_mended_before_a_disabled_key_is_deleted_too(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    installation.run_until(VersionState.DISABLED)
    truth.emptied(installation.file("app.env"))
    installation.file("app.env").unlink()
    installation.run_until_rest()
    events = installation.events()
    assert events.index("drift_found") < events.index("version_deleted")
    truth.check_rest()


def test_drift_that_cannot_be_mended_is_told_once_and_keeps_the_old_key_alive(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    backup = installation.file("app.env").read_text()
    installation.operations.rotate("web")
    installation.tick()
    installation.file("app.env").write_text(backup)
    with _refusing("app.env"):
        installation.run_for(timedelta(days=2))
    assert installation.events().count("drift_found") == 1
    assert installation.states() == {"web": ["retiring", "active"]}
    installation.run_until_rest()
    truth.check_rest()


def test_no_older_key_dies_while_a_newer_one_has_reached_some_places_only(
    installation: Installation, truth: Truth
) -> None:
    installation.create(files=("app.env", "job.env"))
    installation.tick()
    installation.operations.rotate("web")
    installation.tick()
    with _refusing("job.env"):
        installation.operations.rotate("web")
        installation.run_for(6 * HOUR)
        assert installation.states() == {"web": ["retiring", "active", "proven"]}
        assert "drift_found" not in installation.events()
        assert truth.held(installation.file("app.env")) == installation.version("web", 3).key_hash
    installation.run_until_rest()
    truth.check_rest()


@pytest.mark.parametrize(("holding", "words"), [(Holding.NOTHING, "nothing"), (Holding.OTHER, "another value")])
def test_what_is_not_read_back_is_not_delivered(
    installation: Installation, truth: Truth, holding: Holding, words: str
) -> None:
    installation.create()
    with patch.object(DotenvPublisher, "read_back", return_value=holding):
        installation.tick()
    assert installation.states() == {"web": ["proven"]}
    assert any(words in e.why for e in installation.audit())
    installation.run_until_rest()
    truth.check_rest()


def test_a_delivery_whose_outcome_is_unknown_is_made_again(installation: Installation, truth: Truth) -> None:
    installation.create()
    with patch.object(DotenvPublisher, "publish", side_effect=OutcomeUnknown("no reply came.")):
        installation.tick()
    assert installation.states() == {"web": ["proven"]}
    installation.run_until_rest()
    truth.check_rest()


def test_a_destination_that_is_taken_away_is_no_longer_waited_for(installation: Installation, truth: Truth) -> None:
    installation.create(files=("app.env", "job.env"))
    installation.file("job.env").mkdir()
    installation.tick()
    assert installation.states() == {"web": ["proven"]}
    label = f"dotenv:{installation.file('job.env')}"
    installation.operations.update_rotation("web", RotationUpdate(remove_publish=(label,)))
    installation.operations.resume_rotation("web")
    installation.file("job.env").rmdir()
    installation.run_until_rest()
    truth.check_rest()


# --- alarms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "side"), [("store.load", Side.AFTER), ("store.release_lease", Side.BEFORE)])
def test_a_request_that_comes_while_a_worker_goes_to_sleep_is_not_overslept(
    installation: Installation, truth: Truth, call: str, side: Side
) -> None:
    """The alarm is set only if nothing was asked since the look that it was set by."""
    installation.create()

    def going_to_sleep(passing: Passing) -> bool:
        return (passing.name, passing.side) == (call, side) and installation.states() == {"web": ["active"]}

    installation.tap.when(going_to_sleep, lambda: installation.operations.rotate("web"))
    installation.tick()
    assert installation.states() == {"web": ["retiring", "active"]}
    installation.run_until_rest()
    truth.check_rest()


def test_a_rotation_with_much_to_do_leaves_the_worker_to_others_in_between(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    with patch("tasks.rotation.engine._STEPS_MOST", 2):
        installation.operations.rotate("web")
        installation.tick()
        assert installation.states() == {"web": ["active", "proven"]}
        installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_a_connection_found_valid_again_wakes_its_rotations(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    installation.fail("status", status=401)
    installation.operations.rotate("web")
    installation.tick()
    assert installation.operations.check_connection(CONNECTION).health is ConnectionHealth.REJECTED
    installation.faults.clear()
    assert installation.operations.check_connection(CONNECTION).health is ConnectionHealth.VALID
    installation.run_for(SECOND)
    assert installation.states() == {"web": ["retiring", "active"]}
    installation.run_until_rest()
    truth.check_rest()
