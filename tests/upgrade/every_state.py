"""An installation that has lived: every state that a row can be in is there at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tasks.operations.requests import RotationRequest, RotationUpdate, ScheduleRequest
from tasks.rotation.model import Removal
from tests.steered.installation import CONNECTION, LONG, Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth

HOUR: Final = timedelta(hours=1)
DEAD: Final = "repaired"
"""The rotation whose active key a person deleted at OpenRouter."""
BLOCKED: Final = "blocked.env"
"""A destination at which nothing can be written until ``let_go``."""


def live_every_way(installation: Installation) -> None:
    """Let rotations come to every state that there is, and stay there."""
    _leave_behind(installation)
    _rotate(installation)
    _undo_and_condemn(installation)
    _interrupt(installation)
    _ask(installation)
    _fail(installation)
    installation.rotator.store.record_tick()


def watch(installation: Installation) -> Truth:
    """From now on check every promise after each advance. To do so after each call takes a minute here."""
    truth = Truth(installation)
    installation.tap.watchers.clear()

    def check(passing: Passing) -> None:
        if passing.side is Side.AFTER and passing.name == "store.release_lease":
            truth.check_instant()

    installation.tap.watchers.append(check)
    truth.dead |= {v.key_hash for v in installation.versions(DEAD) if v.key_hash}
    truth.excused.add(installation.file(f"{DEAD}.env"))
    return truth


def let_go(installation: Installation) -> None:
    """Take away what keeps the rotations from going on."""
    installation.faults.clear()
    installation.file(BLOCKED).rmdir()


def _create(installation: Installation, name: str, **order: object) -> None:
    installation.create(name, **{"files": (f"{name}.env",), **order})  # type: ignore[arg-type]  # fields of the order


def _served(installation: Installation, name: str, versions: int = 1, **order: object) -> None:
    _create(installation, name, **order)
    installation.advance(name)
    for _ in range(1, versions):
        installation.operations.rotate(name)
        installation.advance(name)


def _leave_behind(installation: Installation) -> None:
    """Deleted rotations, one on a connection that is deleted too, and a key that found a new rotation."""
    operations = installation.operations
    operations.create_connection("former", installation.management_key, description="of the old team")
    place = (installation.destination("gone.env"),)
    gone = RotationRequest("gone", "former", ScheduleRequest(every=LONG), key_name="gone", publish=place)
    installation.rotation_ids["gone"] = operations.create_rotation(gone).id
    installation.advance("gone")
    _served(installation, "left", versions=2)
    for name, removal in (("gone", Removal.REVOKE_KEYS), ("left", Removal.KEEP_KEYS)):
        operations.delete_rotation(name, removal)
        installation.advance(name)
    operations.delete_connection("former")
    kept = [v.key_hash for v in installation.versions("left")]
    _create(installation, "heir", adopt_hash=kept[-1], initial=False)


def _rotate(installation: Installation) -> None:
    """A rotation with every option and every age of key: active, retiring, disabled and deleted."""
    workspace = installation.account.add_workspace("Team", "team")
    installation.create(
        "web",
        workspace_id=workspace,
        limit_usd=5.0,
        limit_reset="daily",
        include_byok_in_limit=True,
        expires_after="3500d",
    )
    _served(installation, "nightly", every="4h")
    installation.clock.move(4 * HOUR)
    installation.advance("nightly")
    nightly = ScheduleRequest(cron="0 3 1 * *", timezone="Europe/Berlin")
    installation.operations.update_rotation("nightly", RotationUpdate(schedule=nightly))
    weekly = ScheduleRequest(every="3000d", at="03:00", window="1h")
    installation.advance("web")
    installation.operations.update_rotation("web", RotationUpdate(schedule=weekly))
    for _ in range(3):
        installation.rotator.requests.rotate("web", actor="celery", request_id=f"message-{installation.clock.now()}")
        installation.advance("web")
        installation.clock.move(HOUR)
        installation.advance("web")
    installation.operations.rotate("web")
    installation.advance("web")


def _undo_and_condemn(installation: Installation) -> None:
    for name in ("undone", "leaked", "hurried"):
        _served(installation, name, versions=2)
    installation.operations.undo("undone")
    installation.fail("status", "DELETE", "/keys/*", status=500)
    installation.operations.rotate("leaked", emergency=True)
    installation.advance("leaked")
    installation.faults.clear()
    installation.operations.rotate("hurried", emergency=True)


def _interrupt(installation: Installation) -> None:
    """A create whose answer was lost, and one whose worker died; a new key that is not proven, one not delivered."""
    installation.fail("lost_reply", "POST", "/keys", times=1)
    _served(installation, "lost")
    installation.tap.kill_at("openrouter POST /keys", Side.AFTER)
    _served(installation, "killed")
    installation.fail("status", "GET", "/key", status=500)
    _served(installation, "unproven")
    installation.faults.clear()
    _create(installation, "undelivered", files=("undelivered.env", BLOCKED))
    installation.file(BLOCKED).mkdir()
    installation.advance("undelivered")


def _ask(installation: Installation) -> None:
    """What operators asked for, and no worker has seen yet; a key that died behind our back."""
    for name in ("idle", "leaving", "revoked", DEAD):
        _served(installation, name)
    installation.operations.pause_rotation("idle")
    installation.operations.delete_rotation("leaving", Removal.KEEP_KEYS)
    installation.operations.delete_rotation("revoked", Removal.REVOKE_KEYS)
    dead = installation.active(DEAD).key_hash
    installation.remove_key(str(dead))
    installation.operations.reconcile(CONNECTION)


def _fail(installation: Installation) -> None:
    """Refused for a reason that needs a person; and a connection that was asked to wait."""
    installation.fail("status", "POST", "/keys", status=403, times=1)
    _served(installation, "refused")
    installation.fail("status", "POST", "/keys", status=429, retry_after=600, times=1)
    _served(installation, "limited")
    installation.rotator.store.claim_due(2)
