"""A rotation from its first key to its last, with nothing going wrong: real engine, store, adapter and publisher."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import Conflict
from tasks.rotation.model import Reason, Removal, VersionState
from tests.steered.clock import START
from tests.steered.installation import CONNECTION, Installation
from tests.steered.truth import Truth

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_the_first_version_is_minted_and_published_at_once(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    version = installation.version("web", 1)
    assert (version.state, version.reason, version.number) == (VersionState.ACTIVE, Reason.INITIAL, 1)
    assert truth.held(installation.file("app.env")) == version.key_hash
    assert installation.clock.now() == START
    truth.check_rest()


def test_without_an_initial_version_the_schedule_makes_the_first(installation: Installation, truth: Truth) -> None:
    installation.create(every="3d", initial=False)
    installation.run_for(3 * DAY - HOUR)
    assert installation.versions() == ()
    truth.check_rest()
    installation.run_for(HOUR)
    assert installation.version("web", 1).reason is Reason.INITIAL


def test_versions_follow_the_schedule_and_end_deleted_in_order(installation: Installation, truth: Truth) -> None:
    installation.create(every="3d", files=("app.env", "job.env"))
    installation.run_for(12 * DAY + 3 * HOUR)
    versions = installation.versions()
    assert [str(v.state) for v in versions] == ["deleted"] * 4 + ["active"]
    assert [v.reason for v in versions] == [Reason.INITIAL] + [Reason.SCHEDULED] * 4
    deleted_at = [v.deleted_at for v in versions[:-1]]
    assert deleted_at == [START + 3 * DAY * n + 2 * HOUR for n in range(1, 5)]
    truth.check_rest()


def test_overlap_and_cooling_are_waited_out_to_the_second(installation: Installation, truth: Truth) -> None:
    installation.create(overlap="90s", cooling="30m")
    installation.tick()
    installation.operations.rotate("web")
    installation.run_until_rest()
    old = installation.version("web", 1)
    assert (old.retiring_at, old.disabled_at) == (START, START + timedelta(seconds=90))
    assert old.deleted_at == START + timedelta(seconds=90, minutes=30)
    truth.check_rest()


def test_neither_overlap_nor_cooling_is_needed(installation: Installation, truth: Truth) -> None:
    installation.create(overlap="0", cooling="0")
    installation.tick()
    installation.operations.rotate("web")
    installation.tick()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_after_an_outage_a_rotation_runs_once(installation: Installation, truth: Truth) -> None:
    installation.create(every="1d", overlap="1m", cooling="1m")
    installation.tick()
    installation.clock.move(30 * DAY)
    installation.run_for(HOUR)
    assert installation.states() == {"web": ["deleted", "active"]}
    assert installation.operations.show_rotation("web").next_rotation_at == START + 31 * DAY
    truth.check_rest()


def test_a_plain_rotation_asks_openrouter_five_times_at_most(installation: Installation, truth: Truth) -> None:
    """Four, in fact, once a look has found that the account binds nothing to its keys: create, prove, disable,
    delete. The look is the fifth, and serves every rotation of the connection."""
    installation.create()
    installation.tick()
    installation.operations.reconcile(CONNECTION)
    before = len(installation.account.calls)
    installation.operations.rotate("web")
    installation.run_until_rest()
    old = installation.version("web", 1).key_hash
    assert installation.asked(before) == ["POST /keys", "GET /key", f"PATCH /keys/{old}", f"DELETE /keys/{old}"]
    truth.check_rest()


def test_what_is_bound_to_an_adopted_key_is_carried_though_an_earlier_look_found_nothing(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    installation.tick()
    installation.operations.reconcile(CONNECTION)
    assert not installation.snapshot().binds_keys
    _, adopted = installation.account.mint("by hand")
    lists = installation.bind(adopted)
    installation.create("shop", files=("shop.env",), key_name="shop", adopt_hash=adopted)
    installation.tick()
    new = str(installation.active("shop").key_hash)
    assert all(new in names for names in lists().values())


def test_a_key_is_replaced_with_a_tenth_of_its_life_left(installation: Installation, truth: Truth) -> None:
    """Whatever the schedule says, which here comes half a day too late for that."""
    installation.create(every="9d12h", expires_after="10d")
    installation.tick()
    assert installation.version("web", 1).expires_at == START + 10 * DAY
    assert installation.operations.show_rotation("web").next_rotation_at == START + 9 * DAY
    installation.run_for(9 * DAY + 3 * HOUR)
    assert installation.states() == {"web": ["deleted", "active"]}
    assert installation.version("web", 2).expires_at == START + 19 * DAY
    truth.check_rest()


def test_pausing_stops_the_schedule_and_nothing_else(installation: Installation, truth: Truth) -> None:
    """A version in flight still becomes active, and the old key still dies."""
    installation.create(every="3d")
    installation.tick()
    installation.operations.rotate("web")
    installation.operations.pause_rotation("web")
    installation.run_for(10 * DAY)
    assert installation.states() == {"web": ["deleted", "active"]}
    installation.operations.resume_rotation("web")
    installation.run_for(HOUR)
    assert installation.states()["web"][2:] == ["active"]
    truth.check_instant()


def test_an_adopted_key_is_replaced_and_retired_like_one_of_ours(installation: Installation, truth: Truth) -> None:
    _, key_hash = installation.account.mint("by hand", limit=7.5)
    installation.create(key_name=None, adopt_hash=key_hash)
    installation.run_until_rest()
    adopted, minted = installation.versions()
    assert (adopted.reason, adopted.key_hash, adopted.has_key) == (Reason.ADOPTED, key_hash, False)
    assert (adopted.state, minted.state) == (VersionState.DELETED, VersionState.ACTIVE)
    assert adopted.disabled_at == START + HOUR
    parameters = installation.operations.show_rotation("web").parameters
    assert (parameters.key_name, parameters.limit_usd) == ("by hand", 7.5)
    truth.check_rest()


def test_an_adopted_key_stays_in_service_until_the_schedule_replaces_it(
    installation: Installation, truth: Truth
) -> None:
    _, key_hash = installation.account.mint("by hand")
    installation.create(every="3d", key_name=None, adopt_hash=key_hash, initial=False)
    installation.run_for(2 * DAY)
    assert installation.states() == {"web": ["active"]}
    assert installation.held(installation.file("app.env")) is None
    installation.run_for(DAY + 3 * HOUR)
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


@pytest.mark.parametrize("removal", Removal)
def test_a_deleted_rotation_leaves_its_keys_alive_or_takes_them_along(
    installation: Installation, truth: Truth, removal: Removal
) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    installation.run_until(VersionState.DISABLED)
    ours = {v.key_hash for v in installation.versions()}
    installation.operations.delete_rotation("web", removal)
    with pytest.raises(Conflict, match="is being deleted"):
        installation.operations.rotate("web")
    installation.run_until_rest()
    assert installation.operations.list_rotations() == ()
    existing = installation.account.existing() & ours
    assert existing == (ours if removal is Removal.KEEP_KEYS else set())
    assert installation.events()[-1] == "rotation_deleted"
    assert not any(v.has_key for v in installation.versions())
    truth.check_rest()


def test_a_deleted_rotation_gives_up_what_is_in_flight(installation: Installation, truth: Truth) -> None:
    """Also a create whose outcome is unknown: the rotation is not closed before that is settled."""
    installation.create()
    installation.tick()
    installation.fail("late_effect", "POST", "/keys", seconds=20, times=1)
    installation.operations.rotate("web")
    installation.tick()
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS)
    installation.run_until_rest()
    assert installation.states() == {"web": ["active", "deleted", "deleted"]}
    assert installation.version("web", 2).deleted_at == START + timedelta(minutes=15)
    truth.check_rest()


def test_no_destination_loses_its_key_to_a_delete_that_keeps_keys(installation: Installation, truth: Truth) -> None:
    """A version that reached only one of two files is kept alive too: that file holds it."""
    installation.create(files=("app.env", "job.env"))
    installation.tick()
    installation.file("job.env").chmod(0o000)
    installation.file("job.env").unlink()
    installation.file("job.env").mkdir()
    truth.excused.add(installation.file("job.env"))
    installation.operations.rotate("web")
    installation.tick()
    assert truth.held(installation.file("app.env")) == installation.version("web", 2).key_hash
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS)
    installation.run_until_rest()
    assert installation.states() == {"web": ["active", "proven"]}
    assert installation.events().count("key_released") == 2
    truth.check_rest()


def test_bindings_follow_the_key(installation: Installation, truth: Truth) -> None:
    """Guardrail, BYOK list and trace filter have the new key before anyone can use it, and lose the old one."""
    installation.create()
    installation.tick()
    old = installation.version("web", 1).key_hash
    assert old is not None
    lists = installation.bind(old)
    installation.operations.rotate("web")
    installation.run_until_rest()
    new = installation.version("web", 2).key_hash
    assert lists() == {"guardrail": {new}, "byok": {new}, "traces": {new}}
    assert installation.events().count("binding_carried") == 3
    truth.check_rest()


def test_an_update_takes_effect_at_the_next_version(installation: Installation, truth: Truth) -> None:
    installation.create(limit_usd=5.0, limit_reset="daily")
    installation.tick()
    installation.operations.update_rotation("web", RotationUpdate(limit_usd=8.0, key_name="shop"))
    installation.operations.rotate("web")
    installation.run_until_rest()
    old, new = [k for k in installation.account.minted if k.hash not in truth.strangers]
    assert old.name.startswith("web #1-")
    assert new.name.startswith("shop #2-")
    truth.check_rest()


def test_an_added_destination_gets_the_key_in_service_at_once(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    added = installation.destination("job.env")
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(added,)))
    installation.tick()
    assert truth.held(installation.file("job.env")) == installation.version("web", 1).key_hash
    assert len(installation.versions()) == 1
    truth.check_rest()
