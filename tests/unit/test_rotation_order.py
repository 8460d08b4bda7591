"""What must be stored before what: a worker may die between any two calls, and the row alone says how to go on."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.rotation.errors import OperatorNeeded
from tasks.rotation.model import KeyVersion, VersionState
from tasks.rotation.parameters import MARKER
from tests.steered.installation import Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth


def test_the_intention_is_stored_before_the_key_is_asked_for(installation: Installation, truth: Truth) -> None:
    seen: list[KeyVersion] = []
    installation.create()
    installation.tap.when(
        lambda p: p.name == "openrouter POST /keys" and p.side is Side.BEFORE,
        lambda: seen.append(installation.version("web", 1)),
    )
    installation.tick()
    (intended,) = seen
    assert intended.state is VersionState.CREATING
    assert installation.account.minted[-1].name == f"web #1-{intended.marker}"
    truth.check_rest()


def test_a_keys_hash_and_text_are_stored_together(installation: Installation, truth: Truth) -> None:
    """Else a worker that dies in between has minted a key whose text nobody will ever have."""
    seen: list[tuple[str | None, bool]] = []

    def look(passing: Passing) -> None:
        if passing.name == "store.commit" and passing.side is Side.AFTER:
            seen.extend((v.key_hash, v.has_key) for v in installation.versions())

    installation.tap.watchers.append(look)
    installation.create()
    installation.tick()
    assert {has_key for key_hash, has_key in seen if key_hash} == {True}
    assert {has_key for key_hash, has_key in seen if not key_hash} == {False}
    truth.check_rest()


@pytest.mark.parametrize("call", ["openrouter POST /keys", "openrouter GET /key", "publisher.publish"])
def test_a_rotation_whose_worker_died_is_found_by_the_next_tick(
    installation: Installation, truth: Truth, call: str
) -> None:
    """The alarm stays set until there is nothing left to do; the dead worker's lease runs out."""
    installation.create()
    installation.tap.kill_at(call, Side.AFTER)
    installation.tick()
    assert installation.deaths == 1
    assert installation.next_alarm() is not None
    installation.run_until_rest(within=timedelta(hours=1))
    assert installation.states()["web"][-1] == "active"
    truth.check_rest()


def test_a_key_that_cannot_be_deleted_keeps_its_hash_until_it_is(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tick()
    old = installation.version("web", 1).key_hash
    installation.operations.rotate("web")
    installation.run_until(VersionState.DISABLED)
    installation.fail("status", "DELETE", status=500, times=2)
    installation.run_for(timedelta(hours=1, seconds=1))
    waiting = installation.version("web", 1)
    assert (waiting.state, waiting.attempt.count, waiting.key_hash) == (VersionState.DISABLED, 1, old)
    installation.run_until_rest()
    assert installation.version("web", 1).key_hash == old
    assert old not in installation.account.existing()
    truth.check_rest()


def test_a_new_key_is_bound_before_any_destination_has_it(installation: Installation, truth: Truth) -> None:
    """No request with it may ever pass without the guardrail that its predecessor was under."""
    installation.create()
    installation.tick()
    lists = installation.bind(str(installation.active().key_hash))
    seen: list[set[str]] = []
    installation.operations.rotate("web")
    installation.tap.when(lambda p: p.name == "publisher.publish", lambda: seen.extend(lists().values()))
    installation.tick()
    new = str(installation.active().key_hash)
    assert [new in bound for bound in seen] == [True] * 3
    installation.run_until_rest()
    truth.check_rest()


def test_what_cannot_be_told_does_not_happen(installation: Installation, truth: Truth) -> None:
    """A state and the event that tells of it are one transaction: neither is ever there without the other."""
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    before = installation.versions()
    _execute(installation, "ALTER TABLE events RENAME TO events_elsewhere")
    with pytest.raises(OperatorNeeded, match="schema"):
        installation.operations.rotate("web", emergency=True)
    with pytest.raises(OperatorNeeded, match="schema"):
        installation.tick()
    assert installation.versions() == before
    _execute(installation, "ALTER TABLE events_elsewhere RENAME TO events")
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_whoever_was_frozen_past_its_lease_asks_for_nothing_more(installation: Installation, truth: Truth) -> None:
    """It makes sure of the lease before each call, so that its successor's create is the only one."""
    installation.create()
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(timedelta(minutes=5))
            other.engine.advance(installation.rotation_ids["web"])

        installation.tap.when(lambda p: p.name == "store.commit" and p.side is Side.AFTER, overtake)
        installation.tick()
    assert "POST /keys" not in installation.asked()
    installation.run_until_rest()
    assert installation.asked().count("POST /keys") == 1
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


@pytest.mark.parametrize("status", [400, 404, 409])
def test_a_create_that_was_refused_is_the_same_versions_next_attempt(
    installation: Installation, truth: Truth, status: int
) -> None:
    """Nothing was made, so there is nothing to look for and no version to give up."""
    installation.fail("status", "POST", "/keys", status=status, times=1)
    installation.create()
    installation.tick()
    refused = installation.version("web", 1)
    assert (refused.state, refused.attempt.count, refused.marker, refused.asked) == (
        VersionState.PLANNED,
        1,
        None,
        None,
    )
    assert installation.operations.show_rotation("web").status == "needs_attention"
    installation.run_until_rest()
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_every_create_has_a_mark_of_its_own(installation: Installation, truth: Truth) -> None:
    """By its mark a lost key is found, and deleted: no other may bear it."""
    installation.create("web")
    installation.create("shop", files=("shop.env",))
    installation.tick()
    for name in ("web", "shop"):
        installation.operations.rotate(name)
    installation.tick()
    names = [key.name for key in installation.account.minted if key.hash not in truth.strangers]
    marks = [found["marker"] for name in names if (found := MARKER.search(name))]
    assert len(set(marks)) == len(names) == 4
    truth.check_instant()


def _execute(installation: Installation, statement: str) -> None:
    with installation.database.write() as connection:
        connection.execute(sa.text(statement))
