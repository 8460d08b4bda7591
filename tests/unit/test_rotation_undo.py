"""The previous key comes back while it is not deleted, is published again, and the one that it replaces retires."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import Conflict
from tasks.rotation.model import Removal, VersionState
from tests.steered.clock import START
from tests.steered.installation import Installation
from tests.steered.truth import Truth

MINUTE = timedelta(minutes=1)


@pytest.fixture
def rotated(installation: Installation, truth: Truth) -> Installation:
    """Version 2 in service, version 1 in its overlap."""
    installation.create(files=("app.env", "job.env"))
    installation.tick()
    installation.operations.rotate("web")
    installation.tick()
    return installation


def _held(installation: Installation, truth: Truth) -> list[int]:
    numbers = {v.key_hash: v.number for v in installation.versions()}
    return [numbers[truth.held(file)] for file in installation.files()]


@pytest.mark.parametrize("state", [VersionState.RETIRING, VersionState.DISABLED])
def test_an_undo_publishes_the_previous_key_again(rotated: Installation, truth: Truth, state: VersionState) -> None:
    rotated.run_until(state)
    answer = rotated.operations.undo("web")
    assert (answer.version, answer.joined) == (1, False)
    rotated.tick()
    assert rotated.states() == {"web": ["active", "retiring"]}
    assert _held(rotated, truth) == [1, 1]
    assert [d.version for d in rotated.operations.show_rotation("web").destinations] == [1, 1]
    rotated.run_until_rest()
    assert rotated.states() == {"web": ["active", "deleted"]}
    assert rotated.version("web", 1).created_at == START
    truth.check_rest()


def test_an_undo_can_be_undone(rotated: Installation, truth: Truth) -> None:
    rotated.operations.undo("web")
    rotated.tick()
    assert rotated.operations.undo("web").version == 2
    rotated.tick()
    assert _held(rotated, truth) == [2, 2]
    rotated.run_until_rest()
    assert rotated.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_an_undo_that_is_asked_for_twice_in_one_request_undoes_nothing_else(
    rotated: Installation, truth: Truth
) -> None:
    """Without the request's name the second would bring version 2 back."""

    def ask() -> tuple[int, bool]:
        asked = rotated.rotator.requests.undo("web", actor="script", request_id="one")
        rotated.tick()
        return asked.version, asked.joined

    assert [ask(), ask()] == [(1, False), (1, True)]
    assert _held(rotated, truth) == [1, 1]
    rotated.run_until_rest()
    truth.check_rest()


def test_two_who_undo_at_once_get_one_answer(rotated: Installation, truth: Truth) -> None:
    answers = [rotated.operations.undo("web"), rotated.operations.undo("web")]
    assert [(a.version, a.joined) for a in answers] == [(1, False), (1, True)]
    rotated.run_until_rest()
    assert rotated.active().number == 1
    truth.check_rest()


def test_an_undo_takes_the_place_of_a_version_that_is_only_planned(rotated: Installation, truth: Truth) -> None:
    rotated.operations.rotate("web")
    rotated.operations.undo("web")
    rotated.run_until_rest()
    assert rotated.states() == {"web": ["active", "deleted", "deleted"]}
    assert rotated.version("web", 3).key_hash is None
    truth.check_rest()


def test_a_version_on_its_way_must_arrive_before_it_is_undone(rotated: Installation, truth: Truth) -> None:
    rotated.fail("status", "GET", "/key", status=503, times=1)
    rotated.operations.rotate("web")
    rotated.tick()
    with pytest.raises(Conflict, match="Version 3 of web is created"):
        rotated.operations.undo("web")
    rotated.run_until_rest()
    truth.check_rest()


def test_a_deleted_key_cannot_come_back(rotated: Installation, truth: Truth) -> None:
    rotated.run_until_rest()
    with pytest.raises(Conflict, match="no previous key to bring back"):
        rotated.operations.undo("web")
    truth.check_rest()


def test_an_adopted_key_cannot_come_back_for_its_text_is_not_known(installation: Installation, truth: Truth) -> None:
    _, key_hash = installation.account.mint("by hand")
    installation.create(adopt_hash=key_hash)
    installation.tick()
    assert installation.states() == {"web": ["retiring", "active"]}
    with pytest.raises(Conflict, match="adopted"):
        installation.operations.undo("web")
    installation.run_until_rest()
    truth.check_rest()


def test_an_undo_of_a_key_that_died_behind_our_back_ends_with_the_active_one(
    rotated: Installation, truth: Truth
) -> None:
    old = rotated.version("web", 1)
    truth.dead.add(str(old.key_hash))
    rotated.remove_key(str(old.key_hash))
    rotated.operations.undo("web")
    rotated.run_until_rest()
    assert rotated.states() == {"web": ["deleted", "active"]}
    assert any("gone at the provider" in e.why for e in rotated.audit())
    truth.check_rest()


def test_a_revived_key_need_not_be_as_keys_are_asked_for_today(rotated: Installation, truth: Truth) -> None:
    rotated.operations.update_rotation("web", RotationUpdate(limit_usd=3.0))
    rotated.operations.undo("web")
    rotated.run_until_rest()
    assert rotated.active().number == 1
    truth.check_rest()


def test_an_undo_that_cannot_be_delivered_is_given_up_for_a_new_key(rotated: Installation, truth: Truth) -> None:
    """One file got the old key, the other cannot be written; an emergency does not wait for that to end."""
    blocked = rotated.file("job.env")
    truth.excused.add(blocked)
    text = blocked.read_text()
    blocked.unlink()
    blocked.mkdir()
    rotated.operations.undo("web")
    rotated.tick()
    assert rotated.states() == {"web": ["proven", "active"]}
    assert rotated.operations.rotate("web", emergency=True).version == 3
    rotated.run_for(30 * MINUTE)
    blocked.rmdir()
    blocked.write_text(text)
    rotated.run_until_rest()
    truth.excused.clear()
    assert rotated.states() == {"web": ["deleted", "deleted", "active"]}
    truth.check_rest()


@pytest.mark.parametrize("removal", Removal)
def test_a_rotation_can_be_deleted_while_an_undo_is_under_way(
    rotated: Installation, truth: Truth, removal: Removal
) -> None:
    rotated.operations.undo("web")
    rotated.operations.delete_rotation("web", removal)
    rotated.run_until_rest()
    expected = ["deleted", "deleted"] if removal is Removal.REVOKE_KEYS else ["retiring", "active"]
    assert rotated.states() == {"web": expected}
    truth.check_rest()


def test_an_undo_that_meets_a_disable_under_way_wins(rotated: Installation, truth: Truth) -> None:
    """The key is disabled at the provider when the operator asks for it; the proof enables it again."""
    rotated.tap.when(lambda p: p.name == "openrouter PATCH /keys/*", lambda: rotated.operations.undo("web"))
    rotated.run_until_rest()
    assert rotated.states() == {"web": ["active", "deleted"]}
    truth.check_rest()
