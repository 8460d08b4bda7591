"""Operators ask while workers work: everyone gets an answer, and nothing that was asked for is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import NotFound
from tasks.rotation.model import Reason, Removal, VersionState
from tests.steered.clock import START
from tests.steered.installation import Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth

DAY = timedelta(days=1)


@pytest.fixture
def running(installation: Installation, truth: Truth) -> Installation:
    """Version 1 in service."""
    installation.create()
    installation.tick()
    return installation


def test_two_people_at_once_get_one_rotation_and_the_same_answer(running: Installation, truth: Truth) -> None:
    answers = [running.operations.rotate("web"), running.operations.rotate("web")]
    assert [(a.version, a.joined) for a in answers] == [(2, False), (2, True)]
    assert not answers[0].enqueued
    assert "picked up" in answers[0].notice
    running.run_until_rest()
    assert running.states() == {"web": ["deleted", "active"]}
    assert running.version("web", 2).reason is Reason.MANUAL
    truth.check_rest()


def test_a_message_that_comes_twice_makes_no_second_rotation(running: Installation, truth: Truth) -> None:
    """Also when the version that answered it is in service by then, and after other requests."""

    def ask(request_id: str) -> tuple[int, bool]:
        asked = running.rotator.requests.rotate("web", actor="celery", request_id=request_id)
        running.tick()
        return asked.version, asked.joined

    assert [ask("one"), ask("one"), ask("two"), ask("one")] == [(2, False), (2, True), (3, False), (2, True)]
    running.run_until_rest()
    truth.check_rest()


def test_an_unknown_rotation_is_named(running: Installation) -> None:
    with pytest.raises(NotFound, match="no rotation nowhere"):
        running.operations.rotate("nowhere")


def test_whoever_joins_a_version_that_waits_has_it_tried_now(running: Installation, truth: Truth) -> None:
    running.fail("status", "POST", "/keys", status=403, times=1)
    running.operations.rotate("web")
    running.tick()
    assert running.operations.show_rotation("web").status == "needs_attention"
    assert running.operations.rotate("web").joined
    running.tick()
    assert running.active().number == 2
    running.run_until_rest()
    truth.check_rest()


def test_a_request_meets_the_schedules_plan(installation: Installation, truth: Truth) -> None:
    """Someone asks in the moment between the worker's look and its plan: one version comes of it, theirs."""
    installation.create(every="1d", overlap="1h", cooling="1h")
    installation.tick()
    installation.clock.move(DAY)
    rotate = installation.operations.rotate
    installation.tap.when(
        lambda p: p.name == "store.commit" and p.side is Side.BEFORE and p.number > 20, lambda: rotate("web")
    )
    installation.tick()
    assert [v.reason for v in installation.versions()] == [Reason.INITIAL, Reason.MANUAL]
    installation.run_until_rest()
    truth.check_rest()


@pytest.mark.parametrize("state", [VersionState.RETIRING, VersionState.DISABLED])
def test_an_emergency_deletes_every_older_key_at_once(running: Installation, truth: Truth, state: VersionState) -> None:
    running.operations.rotate("web")
    running.run_until(state)
    at = running.clock.now()
    answer = running.operations.rotate("web", emergency=True)
    assert (answer.version, answer.joined) == (3, False)
    running.tick()
    assert running.clock.now() == at
    assert running.states() == {"web": ["deleted", "deleted", "active"]}
    assert running.version("web", 3).reason is Reason.EMERGENCY
    truth.check_rest()


def test_an_emergency_makes_one_of_what_is_on_its_way(running: Installation, truth: Truth) -> None:
    running.operations.rotate("web")
    assert running.operations.rotate("web", emergency=True).joined
    running.tick()
    assert running.states() == {"web": ["deleted", "active"]}
    assert "emergency_requested" in running.events()
    truth.check_rest()


def test_an_emergency_that_is_asked_for_while_its_version_is_delivered_counts(
    running: Installation, truth: Truth
) -> None:
    running.operations.rotate("web")
    running.tap.when(lambda p: p.name == "publisher.publish", lambda: running.operations.rotate("web", emergency=True))
    running.tick()
    assert running.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_an_emergency_waits_for_no_destination_to_be_read(running: Installation, truth: Truth) -> None:
    """Its key is delivered; then a file breaks: the older keys die all the same."""
    running.operations.rotate("web", emergency=True)

    def break_file(passing: Passing) -> None:
        if passing.name == "store.load" and running.version("web", 2).state is VersionState.ACTIVE:
            running.tap.watchers.remove(break_file)
            truth.excused.add(running.file("app.env"))
            running.file("app.env").unlink()

    running.tap.watchers.append(break_file)
    running.tick()
    assert running.states() == {"web": ["deleted", "active"]}


def test_the_version_after_an_emergency_lets_it_retire_in_peace(running: Installation, truth: Truth) -> None:
    running.operations.rotate("web", emergency=True)
    running.tick()
    running.operations.rotate("web")
    running.tick()
    assert running.states() == {"web": ["deleted", "retiring", "active"]}
    running.run_until_rest()
    truth.check_rest()


def test_the_first_version_may_be_delayed_and_asked_for(installation: Installation, truth: Truth) -> None:
    installation.create(initial=False)
    assert installation.operations.rotate("web").version == 1
    installation.tick()
    assert installation.active().number == 1
    truth.check_rest()


def test_a_version_that_waits_is_given_up_with_its_rotation(running: Installation, truth: Truth) -> None:
    running.fail("status", "POST", "/keys", status=403)
    running.operations.rotate("web")
    running.tick()
    running.operations.delete_rotation("web", Removal.KEEP_KEYS)
    running.tick()
    assert running.states() == {"web": ["active", "deleted"]}
    assert running.events()[-1] == "rotation_deleted"
    truth.check_rest()


def test_a_delete_that_fails_at_openrouter_is_tried_until_the_keys_are_gone(
    running: Installation, truth: Truth
) -> None:
    running.fail("status", "DELETE", status=500, times=12)
    running.operations.delete_rotation("web", Removal.REVOKE_KEYS)
    running.run_until_rest()
    assert running.states() == {"web": ["deleted"]}
    assert running.account.live() == truth.strangers
    truth.check_rest()


def test_the_name_of_a_deleted_rotation_is_free_again(running: Installation, truth: Truth) -> None:
    kept = running.active().key_hash
    running.operations.delete_rotation("web", Removal.KEEP_KEYS)
    running.tick()
    truth.strangers.add(str(kept))
    running.create(key_name=None, adopt_hash=kept)
    running.rotation_ids.pop("web-old", None)
    truth.strangers.discard(str(kept))
    running.run_until_rest()
    assert running.states() == {"web": ["deleted", "active"]}


def test_a_shorter_overlap_counts_from_the_next_version(running: Installation, truth: Truth) -> None:
    running.operations.rotate("web")
    running.tick()
    running.operations.update_rotation("web", RotationUpdate(overlap="0", cooling="0"))
    running.tick()
    assert running.version("web", 1).retire_at == START + timedelta(hours=1)
    running.run_until_rest()
    assert running.version("web", 1).deleted_at == START + timedelta(hours=1)
    truth.check_rest()
