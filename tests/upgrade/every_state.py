"""An installation that has lived: every state that a row can be in is there at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.operations.requests import DestinationRequest, RotationRequest, RotationUpdate, ScheduleRequest
from tasks.rotation.model import Attempt, OnDrift, Removal
from tasks.rotation.wording import Level
from tests.steered.installation import CONNECTION, LONG, Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth

HOUR: Final = timedelta(hours=1)
DEAD: Final = "repaired"
"""The rotation whose active key a person deleted at OpenRouter."""
BLOCKED: Final = "blocked.env"
"""A destination at which nothing can be written until ``let_go``."""
DEPARTING: Final = "departing.env"
"""One that was removed, and from which the key cannot be taken away until then."""


def live_every_way(installation: Installation) -> None:
    """Let rotations come to every state that there is, and stay there."""
    _leave_behind(installation)
    _rotate(installation)
    _undo_and_condemn(installation)
    _interrupt(installation)
    _ask(installation)
    _look_after(installation)
    _fail(installation)
    _ask_over_http(installation)
    _tell(installation)
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
    for blocked in (BLOCKED, DEPARTING):
        installation.file(blocked).rmdir()


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


def _look_after(installation: Installation) -> None:
    """A destination that versions may do without and that is only told of, and one that is being withdrawn from."""
    _served(installation, "moving", files=("moving.env", DEPARTING))
    spare = DestinationRequest(installation.destination("spare.env"), optional=True, on_drift=OnDrift.REPORT)
    leaving = RotationUpdate(
        add_publish=(spare,), remove_publish=(f"dotenv:{installation.file(DEPARTING)}",), withdraw=True
    )
    installation.operations.update_rotation("moving", leaving)
    installation.file(DEPARTING).unlink()
    installation.file(DEPARTING).mkdir()
    installation.advance("moving")
    with installation.database.write() as connection:
        for statement in _LOOKED_AFTER:
            connection.execute(sa.text(statement))


_LOOKED_AFTER: Final = (
    "UPDATE destinations SET check_at = 1 WHERE label LIKE '%moving.env'",
    "UPDATE deliveries SET receipt = 'accepted' WHERE delivered_at IS NOT NULL",
    "UPDATE deliveries SET drifted_at = 1 WHERE destination_id IN"
    " (SELECT id FROM destinations WHERE label LIKE '%spare.env')",
)
"""What hourly looks, and destinations that show no values, leave."""


def _ask_over_http(installation: Installation) -> None:
    """Labels; tokens that were used, that end, and one that was revoked; a session, an answer, a count."""
    operations = installation.operations
    _, text = operations.create_token("shop", "consumer", rotations=("web",), expires="90d")
    installation.rotator.store.tokens.holder(text.reveal())
    operations.create_token("former", "admin")
    operations.revoke_token("former")
    with installation.database.write() as connection:
        for statement in _OVER_HTTP:
            connection.execute(sa.text(statement))


_OVER_HTTP: Final = (
    "UPDATE connections SET project_id = 'p1' WHERE name = 'main'",
    "UPDATE rotations SET description = 'ours', project_id = 'p1', environment = 'prod', secret_path = '/',"
    " updated_at = 1 WHERE name = 'web'",
    "INSERT INTO sessions (id_hash, token_id, started_at, seen_at)"
    " SELECT 'a', id, 1, 2 FROM api_tokens WHERE name = 'shop'",
    "INSERT INTO answers (token_id, key_hash, request_hash, status, body, at)"
    " SELECT id, 'a', 'b', 200, '{}', 1 FROM api_tokens WHERE name = 'shop'",
    "INSERT INTO tallies (name, labels, amount) VALUES ('calls', '{}', 1.5)",
)
"""What the web's own parts write, as they leave it."""


def _tell(installation: Installation) -> None:
    """Somebody who was told and then could not be, while a worker tries."""
    rotator = installation.rotator
    rotator.store.notice_targets.insert(
        "ops",
        "json",
        Secret("json://127.0.0.1:1"),
        level=Level.WARNING,
        rotation_ids=(installation.rotation_ids["web"],),
        actor="test",
    )
    rotator.store.desk.append(rotator.store.outbox.page(0, limit=1)[0].event)
    claimed = rotator.store.outbox.claim(but=())
    assert claimed is not None
    further = rotator.store.outbox.advance(claimed, claimed.told_through + 1)
    assert further is not None
    later = installation.clock.now() + HOUR
    attempt = Attempt(3, later, "try-again", "It is away.", "Wait.")
    rotator.store.outbox.put_off(further, attempt, through=further.told_through)
    with installation.database.write() as connection:
        connection.execute(sa.text("UPDATE notice_targets SET claimed_until = 1"))
        connection.execute(sa.text("UPDATE key_versions SET warn_at = 1, warned_at = 1 WHERE state = 'deleted'"))
