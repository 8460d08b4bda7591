"""One key, one holder: two rotations never have one key recorded as alive, whoever writes, however close together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.operations import Operations
from tasks.providers.openrouter.emulator import EmulatorServer
from tasks.rotation.errors import Conflict, RotatorError
from tasks.rotation.machine import transition
from tasks.rotation.model import KeyVersion, Removal, Rotation, VersionState
from tasks.rotation.ports import Change
from tasks.store.rotations import Rotations
from tasks.wiring import Rotator
from tests.contract.state.scene import Rows, at_once, order, version_of

RACERS = 4


@pytest.fixture
def ready(operations: Operations, management_key: Secret) -> Operations:
    """Operations of an installation with one proven connection."""
    operations.create_connection("prod", management_key)
    return operations


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees what another is about to adopt: as if all of them looked at the same instant."""
    monkeypatch.setattr(Rotations, "refuse_known", lambda *_: None)


def _holders(rows: Rows, key_hash: str) -> list[str]:
    held = rows.ask(
        "SELECT r.name FROM key_versions v JOIN rotations r ON r.id = v.rotation_id"
        " WHERE v.key_hash = :key_hash AND v.state <> 'deleted' AND r.removed_at IS NULL",
        key_hash=key_hash,
    )
    return [row.name for row in held]


def test_of_rotations_that_adopt_one_key_at_once_one_gets_it_and_the_others_are_told(
    ready: Operations, openrouter: EmulatorServer, rows: Rows, unseen: None
) -> None:
    _, key_hash = openrouter.account.mint("by hand")

    def adopt(number: int) -> RotatorError | None:
        try:
            ready.create_rotation(order(f"web-{number}", adopt_hash=key_hash, initial=True))
        except RotatorError as error:
            return error
        return None

    told = at_once(RACERS, adopt)
    assert told.count(None) == 1
    assert [type(error) for error in told if error] == [Conflict] * (RACERS - 1)
    assert all("Another rotation holds the key" in str(error) for error in told if error)
    assert _holders(rows, key_hash) == [f"web-{told.index(None)}"]
    assert rows.one("SELECT count(*) FROM rotations") == 1
    assert rows.one("SELECT count(*) FROM events WHERE name = 'rotation_created'") == 1


def test_two_connections_to_one_account_share_no_key(
    ready: Operations, openrouter: EmulatorServer, management_key: Secret, unseen: None
) -> None:
    ready.create_connection("other", management_key)
    _, key_hash = openrouter.account.mint("by hand")
    ready.create_rotation(order(adopt_hash=key_hash))
    with pytest.raises(Conflict, match="Another rotation holds"):
        ready.create_rotation(order("again", connection="other", adopt_hash=key_hash))


@pytest.mark.parametrize("release_before", [False, True])
def test_a_key_that_was_left_alive_may_be_adopted_again_and_again(
    ready: Operations, openrouter: EmulatorServer, rows: Rows, release_before: bool
) -> None:
    """Also where the release before closed its rotation, which does not mark the key as released."""
    _, key_hash = openrouter.account.mint("by hand")
    for number in range(3):
        name = f"life-{number}"
        ready.create_rotation(order(name, adopt_hash=key_hash))
        ready.delete_rotation(name, Removal.KEEP_KEYS)
        ready.advance_here(name)
        assert rows.one("SELECT count(*) FROM key_versions WHERE released_at IS NULL") == 0
        if release_before:
            its_own = "rotation_id = (SELECT id FROM rotations WHERE name = :name)"
            rows.ask(f"UPDATE key_versions SET released_at = NULL WHERE {its_own}", name=name)
    released = "SELECT count(*) FROM key_versions v JOIN rotations r ON r.id = v.rotation_id"
    assert rows.one(f"{released} WHERE v.released_at = r.removed_at") >= 2
    ready.create_rotation(order("last", adopt_hash=key_hash))
    assert _holders(rows, key_hash) == ["last"]


@pytest.mark.parametrize("state", ["creating", "abandoned"])
def test_a_key_that_a_version_waits_for_is_not_adopted(
    state: str, ready: Operations, rotator: Rotator, openrouter: EmulatorServer, rows: Rows
) -> None:
    """A key is listed before its hash is stored; it must not be taken from under the worker that makes it."""
    rotation = _rotation(ready, rotator, "web")
    marker = "0123456789ab"
    _store(rotator, "web", version_of(rotation, 1, VersionState(state), marker=marker))
    _, key_hash = openrouter.account.mint(f"web #1-{marker}")
    with pytest.raises(Conflict, match=r"being made for web \(version 1\)"):
        ready.create_rotation(order("thief", adopt_hash=key_hash))
    rows.ask("UPDATE key_versions SET state = 'deleted'")
    assert ready.create_rotation(order("heir", adopt_hash=key_hash)).active_hash == key_hash


def test_a_new_key_whose_hash_another_rotation_holds_is_refused_and_not_touched(
    ready: Operations, rotator: Rotator, openrouter: EmulatorServer, rows: Rows
) -> None:
    """An answer that was given before, say by a cache in between: its key is in service elsewhere."""
    _, key_hash = openrouter.account.mint("by hand")
    ready.create_rotation(order("holder", adopt_hash=key_hash))
    rotation = _rotation(ready, rotator, "web")
    creating = version_of(rotation, 1, VersionState.CREATING)
    _store(rotator, "web", creating)
    lease = rotator.store.leased.take_lease(rotation.id, "test")
    assert lease is not None
    now = rotator.store.now()
    created = transition(creating, VersionState.CREATED, at=now, actor="test", key_hash=key_hash, has_key=True)
    with pytest.raises(Conflict, match="Another rotation holds"):
        rotator.store.leased.commit(lease, replace(created, keys={creating.id: Secret("text")}))
    assert _holders(rows, key_hash) == ["holder"]
    assert rows.one("SELECT state FROM key_versions WHERE id = :id", id=creating.id) == "creating"


def test_whoever_writes_the_rule_stands_in_the_database(
    ready: Operations, openrouter: EmulatorServer, rows: Rows
) -> None:
    _, key_hash = openrouter.account.mint("by hand")
    ready.create_rotation(order(adopt_hash=key_hash))
    ready.create_rotation(order("other", adopt_hash=openrouter.account.mint("another")[1]))
    steal = "UPDATE key_versions SET key_hash = :key_hash WHERE key_hash <> :key_hash"
    with pytest.raises(sa.exc.IntegrityError):
        rows.ask(steal, key_hash=key_hash)
    rows.ask("UPDATE key_versions SET state = 'deleted' WHERE key_hash = :key_hash", key_hash=key_hash)
    rows.ask(steal, key_hash=key_hash)


def _rotation(ready: Operations, rotator: Rotator, name: str) -> Rotation:
    ready.create_rotation(order(name))
    return rotator.store.rotations.get(name).rotation


def _store(rotator: Rotator, name: str, version: KeyVersion) -> None:
    rotator.store.desk.change(name, lambda _: Change(versions=((None, version),)))
