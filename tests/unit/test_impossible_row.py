"""A row that cannot be costs its own rotation alone: it is named, its keys are left alone, and the others go on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Final

import pytest

from tasks.jobs import advance
from tasks.rotation.errors import Broken
from tasks.safe_task import PublicError
from tests.property.outcome import raised
from tests.steered.installation import Installation

NO_SPAN: Final = -1
NO_MOMENT: Final = 2**62
IMPOSSIBLE: Final = {
    "an interval of nothing": "UPDATE rotations SET every = 0",
    "a negative interval": f"UPDATE rotations SET every = {NO_SPAN}",
    "no schedule": "UPDATE rotations SET every = NULL",
    "a time of day that no clock shows": "UPDATE rotations SET every_at = '25:61'",
    "no cron expression": "UPDATE rotations SET cron = 'every now and then'",
    "no time zone": "UPDATE rotations SET timezone = 'Mars/Olympus'",
    "a negative overlap": f"UPDATE rotations SET overlap = {NO_SPAN}",
    "an endless cooling": f"UPDATE rotations SET cooling = {NO_MOMENT}",
    "a moment beyond the calendar": f"UPDATE rotations SET last_rotated_at = {NO_MOMENT}",
    "no way to end": "UPDATE rotations SET removal = 'maybe'",
    "no reset": "UPDATE rotations SET limit_reset = 'yearly'",
}
IMPOSSIBLE_VERSION: Final = {
    "no state": "UPDATE key_versions SET state = 'zombie'",
    "no reason": "UPDATE key_versions SET reason = 'because'",
    "nothing asked for": "UPDATE key_versions SET asked = '{}'",
    "no JSON": "UPDATE key_versions SET asked = '{'",
    "a moment beyond the calendar": f"UPDATE key_versions SET active_at = {NO_MOMENT}",
}
OF_BAD: Final = "(SELECT id FROM rotations WHERE name = 'bad')"
CASES: Final = [pytest.param(f"{sql} WHERE id = {OF_BAD}", id=name) for name, sql in IMPOSSIBLE.items()] + [
    pytest.param(f"{sql} WHERE rotation_id = {OF_BAD}", id=f"version with {name}")
    for name, sql in IMPOSSIBLE_VERSION.items()
]


def break_row(installation: Installation, statement: str) -> None:
    """As a person with a database client may."""
    file = installation.settings.data_dir / "rotator.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        assert database.execute(statement).rowcount == 1


@pytest.fixture
def pair(installation: Installation) -> Installation:
    """Two rotations at rest; ``bad`` comes first wherever names are sorted."""
    for name in ("bad", "web"):
        installation.create(name, files=(f"{name}.env",), every="1d")
    installation.run_until_rest()
    return installation


@pytest.mark.parametrize("statement", CASES)
def test_it_is_named_and_the_others_are_shown_compared_and_rotated(pair: Installation, statement: str) -> None:
    before, keys, its_key = pair.active("web").number, pair.account.existing(), pair.active("bad").key_hash
    break_row(pair, statement)

    status = pair.operations.status()
    assert [view.name for view in status.rotations] == ["web"]
    assert len(status.broken) == 1
    assert "rotation bad " in status.broken[0]
    for ask in (pair.operations.show_rotation, pair.operations.rotate, pair.operations.pause_rotation):
        with pytest.raises(Broken, match="rotation bad "):
            ask("bad")
    listed = pair.operations.list_rotations()
    assert ([view.name for view in listed], listed.broken) == (["web"], status.broken)

    assert pair.account.existing() == keys
    failures = 0
    for _ in range(30):
        pair.clock.move(timedelta(hours=1))
        for rotation_id in pair.rotator.store.claim_due(100):
            if rotation_id == pair.rotation_ids["bad"]:
                failures += 1
                with pytest.raises(PublicError, match="rotation bad "):
                    advance(rotation_id=rotation_id)
            else:
                advance(rotation_id=rotation_id)
        assert pair.rotator.store.claim_due(100) == [], "it is told again before its lease has run out"
    assert failures
    assert pair.active("web").number > before
    assert its_key in pair.account.live()


@pytest.mark.parametrize("statement", CASES[:: len(CASES) // 4])
def test_reconciling_leaves_its_keys_alone_and_finds_what_others_lack(pair: Installation, statement: str) -> None:
    lost, kept = pair.active("web"), pair.active("bad").key_hash
    assert lost.key_hash
    pair.remove_key(lost.key_hash)
    break_row(pair, statement)
    raised(Broken, pair.operations.reconcile)
    pair.run_for(timedelta(minutes=1))
    assert pair.active("web").number > lost.number
    assert kept in pair.account.live()


def test_reconciling_names_a_version_without_a_state(pair: Installation) -> None:
    break_row(pair, f"UPDATE key_versions SET state = 'zombie' WHERE rotation_id = {OF_BAD}")
    with pytest.raises(Broken, match="rotation bad "):
        pair.operations.reconcile()


@pytest.mark.parametrize("state", ["creating", "active"])
def test_reconciling_leaves_a_key_alone_whose_version_lost_its_state_or_hash(pair: Installation, state: str) -> None:
    """Only the mark in the key's name tells whose it is; nobody knows whether it is in use."""
    kept = pair.active("bad").key_hash
    break_row(pair, f"UPDATE key_versions SET state = 'x{state}', key_hash = NULL WHERE rotation_id = {OF_BAD}")
    with pytest.raises(Broken, match="rotation bad "):
        pair.operations.reconcile()
    assert kept in pair.account.live()


def test_a_key_that_is_gone_is_told_though_its_rotation_stands_still(pair: Installation) -> None:
    gone = pair.active("bad").key_hash
    assert gone
    pair.remove_key(gone)
    break_row(pair, f"UPDATE rotations SET overlap = {NO_SPAN} WHERE id = {OF_BAD}")
    (finding,) = pair.operations.reconcile()
    assert finding.verdict == "active_missing"
    assert "holds what cannot be" in finding.message


def test_one_whose_key_is_disabled_too_is_told_of_after_the_others_are_compared(pair: Installation) -> None:
    disabled, lost = pair.active("bad").key_hash, pair.active("web").key_hash
    assert disabled
    assert lost
    pair.patch_key(disabled, {"disabled": True})
    pair.remove_key(lost)
    break_row(pair, f"{IMPOSSIBLE['no reset']} WHERE id = {OF_BAD}")
    with pytest.raises(Broken, match="rotation bad "):
        pair.operations.reconcile()
    assert pair.versions("web")[-1].number > 1
