"""What the provider has is compared with what is recorded: ours and forgotten goes, ours and dead is replaced."""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import timedelta

import pytest

from config.secret import Secret
from tasks.rotation.errors import CredentialRejected, NotFound, Unavailable
from tasks.rotation.model import ConnectionHealth, Reason, Removal
from tasks.rotation.reconciling import Finding
from tests.steered.installation import CONNECTION, Installation
from tests.steered.taps import Side
from tests.steered.truth import Truth


@pytest.fixture
def running(installation: Installation, truth: Truth) -> Installation:
    """Version 1 in service."""
    installation.create()
    installation.tick()
    return installation


def _verdicts(found: tuple[Finding, ...]) -> list[str]:
    return [f.verdict for f in found if f.verdict != "unknown_reported"]


def test_a_healthy_account_brings_nothing_but_look_alikes(running: Installation, truth: Truth) -> None:
    """A key whose name ends as ours do is reported and left alone; other keys are not even mentioned."""
    found = running.operations.reconcile()
    assert [(f.verdict, f.name) for f in found] == [("unknown_reported", "web #1-0123456789ab")]
    assert found[0].key_hash in truth.strangers
    assert found[0].connection == CONNECTION
    truth.check_rest()


def test_a_key_that_bears_our_mark_twice_is_deleted(running: Installation, truth: Truth) -> None:
    """A create that took effect twice: one of the two is in service."""
    name = next(k.name for k in running.account.minted if k.hash == running.active().key_hash)
    _, twin = running.account.mint(name)
    found = running.operations.reconcile(CONNECTION)
    assert [(f.verdict, f.key_hash) for f in found if f.name == name] == [("orphan_deleted", twin)]
    assert running.events()[-1] == "orphan_deleted"
    truth.check_rest()


def test_a_key_of_a_deleted_version_is_deleted_again(running: Installation, truth: Truth) -> None:
    running.operations.rotate("web")
    running.run_until_rest()
    name = next(k.name for k in running.account.minted if k.hash == running.version("web", 1).key_hash)
    running.account.mint(name)
    assert _verdicts(running.operations.reconcile()) == ["orphan_deleted"]
    truth.check_rest()


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_key_that_was_said_to_be_gone_and_is_not_is_found(running: Installation, truth: Truth, method: str) -> None:
    running.fail("status", method, "/keys/*", status=404, times=1)
    running.operations.rotate("web")
    running.run_until_rest()
    old = str(running.version("web", 1).key_hash)
    assert old in running.account.existing()
    assert _verdicts(running.operations.reconcile()) == ["orphan_deleted"]
    truth.check_rest()


def test_an_orphan_that_is_gone_by_the_time_it_is_looked_at_is_no_finding(running: Installation, truth: Truth) -> None:
    """A worker deletes a retired key just after the list was made."""
    running.operations.rotate("web", emergency=True)
    running.tap.when(lambda p: p.name == "openrouter GET /keys" and p.side is Side.AFTER, running.tick)
    with running.tap.listening():
        assert _verdicts(running.operations.reconcile()) == []
    truth.check_rest()


def test_keys_in_every_state_of_their_life_are_left_alone(running: Installation, truth: Truth) -> None:
    running.operations.rotate("web")
    while not running.at_rest():
        assert _verdicts(running.operations.reconcile()) == []
        running.run_for(timedelta(minutes=20))
    truth.check_rest()


def test_a_key_that_is_minted_during_the_comparison_is_left_alone(running: Installation, truth: Truth) -> None:
    """A worker mints and publishes while the comparison is under way: whatever is listed is recorded by then."""

    def meanwhile() -> None:
        running.operations.rotate("web")
        running.tick()

    with running.tap.listening():
        running.tap.when(lambda p: p.name == "openrouter GET /keys" and p.side is Side.BEFORE, meanwhile)
        findings = running.operations.reconcile(CONNECTION)
    assert {finding.key_hash for finding in findings} <= truth.strangers
    assert running.active().number == 2
    running.run_until_rest()
    truth.check_rest()


def test_a_create_that_is_still_looked_for_is_left_to_the_looks(running: Installation, truth: Truth) -> None:
    running.fail("late_effect", "POST", "/keys", times=1, seconds=60)
    running.operations.rotate("web")
    running.tick()
    running.clock.move(timedelta(seconds=61))
    assert _verdicts(running.operations.reconcile()) == []
    running.run_until_rest()
    truth.check_rest()


def test_keys_that_were_kept_alive_are_left_in_the_operators_hands(running: Installation, truth: Truth) -> None:
    """Also one that bears the same mark: whose it is now is not ours to say."""
    name = next(k.name for k in running.account.minted if k.hash == running.active().key_hash)
    running.operations.delete_rotation("web", Removal.KEEP_KEYS)
    running.tick()
    truth.strangers.add(running.account.mint(name)[1])
    assert _verdicts(running.operations.reconcile()) == []
    truth.check_rest()


def test_an_active_key_that_is_gone_is_replaced_at_once(running: Installation, truth: Truth) -> None:
    gone = str(running.active().key_hash)
    truth.dead.add(gone)
    truth.excused.add(running.file("app.env"))
    running.remove_key(gone)
    assert _verdicts(running.operations.reconcile()) == ["active_missing"]
    running.tick()
    truth.excused.clear()
    assert running.active().reason is Reason.REPAIR
    running.run_until_rest()
    assert any("gone at the provider already" in e.why for e in running.audit())
    truth.check_rest()


def test_an_active_key_that_is_gone_while_its_rotation_is_deleted_is_only_told_of(
    running: Installation, truth: Truth
) -> None:
    gone = str(running.active().key_hash)
    running.fail("status", "DELETE", status=500, times=1)
    running.operations.delete_rotation("web", Removal.REVOKE_KEYS)
    running.tick()
    running.remove_key(gone)
    found = [f for f in running.operations.reconcile() if f.verdict == "active_missing"]
    assert "is being deleted" in found[0].message
    running.run_until_rest()
    truth.check_rest()


def test_an_active_key_that_is_disabled_asks_for_a_person_until_it_is_enabled(
    running: Installation, truth: Truth
) -> None:
    key_hash = str(running.active().key_hash)
    truth.dead.add(key_hash)
    truth.excused.add(running.file("app.env"))
    running.patch_key(key_hash, {"disabled": True})
    for _ in range(2):
        assert _verdicts(running.operations.reconcile()) == ["active_disabled"]
    assert running.events().count("active_key_disabled") == 1
    view = running.operations.show_rotation("web")
    assert (view.status, view.remedy) == (
        "needs_attention",
        "Enable it there, or run `rotator rotate web` for a new key.",
    )
    running.patch_key(key_hash, {"disabled": False})
    truth.dead.clear()
    assert _verdicts(running.operations.reconcile()) == []
    assert running.operations.show_rotation("web").status == "ok"
    truth.check_rest()


@pytest.mark.parametrize("disabled", [True, False])
def test_an_active_key_that_was_replaced_since_the_look_is_let_be(
    running: Installation, truth: Truth, disabled: bool
) -> None:
    """A worker activates the next version between the comparison and what it leads to."""
    key_hash = str(running.active().key_hash)
    truth.dead.add(key_hash)
    truth.excused.add(running.file("app.env"))
    running.patch_key(key_hash, {"disabled": True})
    if not disabled:
        running.operations.reconcile()
        running.patch_key(key_hash, {"disabled": False})
    running.operations.rotate("web")
    with closing(running.worker("worker-b")) as other:
        advance = other.engine.advance
        path = "openrouter GET /observability/destinations"
        running.tap.when(
            lambda p: p.name == path and p.side is Side.AFTER, lambda: advance(running.rotation_ids["web"])
        )
        with running.tap.listening():
            running.operations.reconcile()
    assert running.active().number == 2
    assert running.operations.show_rotation("web").status == "ok"
    assert ("active_key_disabled" in running.events()) is not disabled
    assert "active_key_enabled" not in running.events()
    running.run_until_rest()
    truth.excused.clear()
    truth.check_rest()


def test_what_is_bound_to_keys_is_looked_at_so_that_it_is_carried(running: Installation, truth: Truth) -> None:
    running.operations.reconcile()
    assert not running.snapshot().binds_keys
    lists = running.bind(str(running.active().key_hash))
    running.operations.reconcile()
    assert running.snapshot().binds_keys
    running.operations.rotate("web")
    running.run_until_rest()
    assert lists()["guardrail"] == {running.active().key_hash}
    truth.check_rest()


def test_every_workspace_with_a_rotation_is_compared(running: Installation, truth: Truth) -> None:
    workspace = running.account.add_workspace("shop", "shop")
    running.create("shop", files=("shop.env",), workspace_id=workspace)
    running.tick()
    name = next(k.name for k in running.account.minted if k.hash == running.active("shop").key_hash)
    running.account.mint(name, workspace_id=workspace)
    assert _verdicts(running.operations.reconcile()) == ["orphan_deleted"]
    truth.check_rest()


def test_an_unknown_connection_is_named(running: Installation) -> None:
    with pytest.raises(NotFound, match="no connection nowhere"):
        running.operations.reconcile("nowhere")


def test_one_connection_that_fails_keeps_no_other_from_being_compared_or_checked(
    running: Installation, truth: Truth
) -> None:
    other = Secret(f"emulator-{secrets.token_hex(8)}")
    running.operations.create_connection("another", other)
    running.account.revoke_management_key(other.reveal())
    before = len(running.account.calls)
    with pytest.raises(CredentialRejected):
        running.operations.reconcile()
    assert "GET /guardrails/assignments/keys" in running.asked(before)
    views = {c.name: c.health for c in running.operations.check_connections()}
    assert views == {"another": ConnectionHealth.REJECTED, CONNECTION: ConnectionHealth.VALID}


def test_a_connection_whose_row_cannot_be_used_is_told_after_the_others_are_checked(
    running: Installation, truth: Truth
) -> None:
    running.operations.create_connection("another", running.management_key)

    def fail() -> None:
        raise Unavailable("The database failed (briefly); nothing was changed.")

    running.tap.when(lambda p: p.name == "store.management_key", fail)
    before = len(running.account.calls)
    with running.tap.listening(), pytest.raises(Unavailable):
        running.operations.check_connections()
    assert running.asked(before) == ["GET /key", "GET /keys"]
