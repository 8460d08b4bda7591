"""An emergency kills the leaked key, whatever else happens; and other ways in which intentions got lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.secret import Secret
from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import Conflict
from tests.steered.installation import CONNECTION, Installation
from tests.steered.truth import Truth

_HOUR = timedelta(hours=1)


@pytest.fixture
def rotated(installation: Installation) -> Installation:
    """Version 2 in service, version 1 in its overlap."""
    installation.create(overlap="12h")
    installation.tick()
    installation.operations.rotate("web")
    installation.tick()
    return installation


def _alive(installation: Installation) -> int:
    return len(installation.account.existing() & {v.key_hash for v in installation.versions() if v.key_hash})


def test_an_emergency_that_joins_a_create_whose_reply_is_lost_stays_one(rotated: Installation, truth: Truth) -> None:
    rotated.fail("lost_reply", "POST", "/keys", times=1)
    ask = rotated.operations
    rotated.tap.when(lambda p: p.name == "openrouter POST /keys", lambda: ask.rotate("web", emergency=True))
    ask.rotate("web")
    rotated.run_for(_HOUR)
    assert rotated.active().emergency
    assert _alive(rotated) == 1
    rotated.run_until_rest()
    truth.check_rest()


def test_an_emergency_that_joins_a_key_whose_proof_fails_stays_one(rotated: Installation, truth: Truth) -> None:
    rotated.fail("status", "GET", "/key", status=401)
    rotated.operations.rotate("web")
    ask = rotated.operations
    rotated.tap.when(lambda p: p.name == "openrouter GET /key", lambda: ask.rotate("web", emergency=True))
    rotated.run_for(timedelta(minutes=10))
    rotated.faults.clear()
    rotated.run_for(6 * _HOUR)
    assert rotated.active().emergency
    assert _alive(rotated) == 1
    rotated.run_until_rest()
    truth.check_rest()


def test_what_an_emergency_condemned_dies_even_when_the_next_version_comes_first(rotated: Installation) -> None:
    rotated.fail("status", "DELETE", status=500, times=3)
    rotated.operations.rotate("web", emergency=True)
    rotated.tick()
    assert _alive(rotated) > 1
    rotated.operations.rotate("web")
    rotated.run_for(_HOUR)
    assert not rotated.active().emergency
    assert [v.state for v in rotated.versions()][:-2] == ["deleted"] * (len(rotated.versions()) - 2)


def test_what_an_emergency_condemned_cannot_be_brought_back(rotated: Installation) -> None:
    rotated.fail("status", "DELETE", status=500)
    rotated.operations.rotate("web", emergency=True)
    rotated.tick()
    with pytest.raises(Conflict, match="an emergency condemned it"):
        rotated.operations.undo("web")


def test_an_undo_does_not_cancel_an_emergency_that_waits(rotated: Installation) -> None:
    rotated.operations.rotate("web", emergency=True)
    with pytest.raises(Conflict, match="an emergency"):
        rotated.operations.undo("web")


def test_an_update_while_a_key_is_minted_takes_effect_at_the_next_one(rotated: Installation, truth: Truth) -> None:
    before = len(rotated.versions())
    update = RotationUpdate(limit_usd=7.0)
    rotated.tap.when(
        lambda p: p.name == "openrouter POST /keys", lambda: rotated.operations.update_rotation("web", update)
    )
    rotated.operations.rotate("web")
    rotated.tick()
    assert rotated.active().number == before + 1
    assert rotated.operations.show_rotation("web").attention is None
    rotated.run_until_rest()
    truth.check_rest()


def test_a_destination_removed_while_it_is_delivered_to_stops_nothing(rotated: Installation, truth: Truth) -> None:
    label = rotated.operations.show_rotation("web").destinations[0].label
    update = RotationUpdate(remove_publish=(label,))
    rotated.tap.when(
        lambda p: p.name == "openrouter GET /key", lambda: rotated.operations.update_rotation("web", update)
    )
    number = rotated.operations.rotate("web").version
    rotated.tick()
    assert rotated.active().number == number
    assert rotated.operations.show_rotation("web").attention is None


def test_a_management_key_of_another_account_is_refused(rotated: Installation) -> None:
    fingerprint = rotated.operations.show_connection(CONNECTION).fingerprint
    rotated.fail("status", "GET", "/keys/*", status=404, body='{"error": {"code": 404, "message": "Not found"}}')
    with pytest.raises(Conflict, match="none of the keys"):
        rotated.operations.update_connection(CONNECTION, api_key=Secret("emulator-of-another-account"))
    rotated.faults.clear()
    assert rotated.operations.show_connection(CONNECTION).fingerprint == fingerprint
    rotated.operations.update_connection(CONNECTION, api_key=Secret("emulator-new-of-the-same-account"))
    assert rotated.operations.show_connection(CONNECTION).fingerprint != fingerprint


def test_an_undo_that_fails_its_proof_deletes_nothing(rotated: Installation) -> None:
    rotated.fail("status", "GET", "/key", status=401)
    previous = rotated.operations.undo("web").version
    rotated.run_for(_HOUR)
    version = rotated.version("web", previous)
    assert version.state == "retiring"
    assert version.retire_at is not None
    assert version.retire_at > rotated.snapshot().now
    assert any("the undo failed" in event.why for event in rotated.audit())
