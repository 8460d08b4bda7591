"""The lives that faults strike: what operators do, and what has to come of it whatever goes wrong on the way.

A life asks for what a person would ask for and lets beat and the workers do the rest. Where a fault leaves nothing to
ask for, the product says so to the person, and the life goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from config.secret import Secret
from tasks import jobs
from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import Conflict
from tasks.rotation.model import Removal, VersionState
from tasks.rotation.wording import EXPIRES_SOON, Level
from tests.steered.installation import SECRET_NAME, Installation
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a life is lived: an installation, and who checks it; and what has struck it."""

    installation: Installation
    truth: Truth
    struck: list[str] = field(default_factory=list)


Life = Callable[[Stage], None]


def _plain(stage: Stage) -> None:
    """From the first version's mint to its death, by way of its successor, with things bound to it."""
    stage.installation.create()
    stage.installation.run_until_rest()
    stage.installation.bind(str(stage.installation.active().key_hash))
    stage.installation.operations.rotate("web")
    stage.installation.run_until_rest()


def _with_a_lost_reply(stage: Stage) -> None:
    stage.installation.fail("lost_reply", "POST", "/keys", times=1)
    stage.installation.round()
    stage.installation.create()
    stage.installation.run_until_rest()


def _with_a_create_that_lands_too_late(stage: Stage) -> None:
    """Later than anybody looks: the hourly round finds it."""
    stage.installation.fail("late_effect", "POST", "/keys", times=1, seconds=3 * 3600)
    stage.installation.create()
    stage.installation.run_until_rest()
    stage.installation.clock.move(timedelta(hours=3))


def _in_service(stage: Stage, **order: object) -> Installation:
    installation = stage.installation
    installation.round()
    installation.create(**order)  # type: ignore[arg-type]  # fields of the order
    installation.run_until_rest()
    installation.operations.rotate("web")
    return installation


def _with_an_undo(stage: Stage) -> None:
    installation = _in_service(stage)
    installation.run_past(VersionState.DISABLED)
    with suppress(Conflict):
        installation.operations.undo("web")
    installation.run_until_rest()


def _with_an_emergency(stage: Stage) -> None:
    installation = _in_service(stage)
    installation.run_past(VersionState.RETIRING)
    installation.operations.rotate("web", emergency=True)
    installation.run_until_rest()


def _with_drift(stage: Stage) -> None:
    """Somebody else writes to one of two destinations while the old key waits for its end."""
    installation = _in_service(stage, files=("app.env", "job.env"))
    installation.run_past(VersionState.RETIRING)
    meddle(stage, "job.env")
    installation.run_until_rest()


def _removed(stage: Stage) -> None:
    installation = _in_service(stage)
    installation.run_past(VersionState.RETIRING)
    installation.operations.delete_rotation("web", Removal.REVOKE_KEYS)
    installation.run_until_rest()


def _moved_to_another_file(stage: Stage) -> None:
    installation = stage.installation
    installation.round()
    installation.create()
    installation.run_until_rest()
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(installation.destination("job.env"),)))
    installation.run_until_rest()


def _slowly(stage: Stage) -> None:
    """Each destination takes nearly as long as it may, so that the lease has to be renewed on the way."""
    installation = stage.installation
    installation.round()

    def crawl(passing: Passing) -> None:
        if passing.name == "publisher.publish" and passing.side is Side.BEFORE:
            installation.clock.move(timedelta(seconds=29.5))

    installation.tap.watchers.append(crawl)
    installation.create(files=("app.env", "job.env", "api.env"))
    installation.run_until_rest()


def _asked_for_by_a_message(stage: Stage) -> None:
    """A person calls ``rotation.rotate``; the broker gives the message to another worker when the first one dies."""
    installation = stage.installation
    installation.round()
    installation.create()
    installation.run_until_rest()
    for _ in range(2):
        if installation.perform(jobs.rotate, name="web"):
            break
    installation.run_until_rest()


def _side_by_side(stage: Stage) -> None:
    """Two rotations of one connection become due at one moment."""
    installation = stage.installation
    installation.round()
    installation.create()
    installation.create("api", files=("api.env",))
    installation.run_until_rest()


def _by_schedule(stage: Stage) -> None:
    installation = stage.installation
    installation.round()
    installation.create(every="30d")
    installation.run_until_rest()
    installation.run_for(timedelta(days=30))
    installation.run_until_rest()


def _interrupted(stage: Stage) -> None:
    """The first worker dies between the create and the commit of what it brought."""
    installation = stage.installation
    installation.round()
    installation.create()
    installation.tap.kill_at("openrouter POST /keys", Side.AFTER)
    installation.run_until_rest()


def _with_an_active_key_that_dies(stage: Stage) -> None:
    """A person deletes the key in service at OpenRouter; the hourly round sees to another."""
    installation = stage.installation
    installation.create()
    installation.run_until_rest()
    dead = str(installation.active().key_hash)
    stage.truth.dead.add(dead)
    stage.truth.excused.add(installation.file("app.env"))
    installation.remove_key(dead)
    installation.round()
    installation.run_until_rest()


def _looked_after(stage: Stage) -> None:
    """Somebody looks hourly: a destination drifts, is put right, and later removed together with its key."""
    installation, job = stage.installation, stage.installation.file("job.env")
    installation.look_after_every(timedelta(hours=1))
    installation.round()
    installation.create(files=("job.env",))
    installation.run_until_rest()
    meddle(stage, "job.env")
    installation.run_for(timedelta(minutes=70))
    stage.truth.withdrawn.add(job)
    change = RotationUpdate(
        add_publish=(installation.destination("app.env"),), remove_publish=(f"dotenv:{job}",), withdraw=True
    )
    installation.operations.update_rotation("web", change)
    installation.run_until_rest()
    installation.run_for(timedelta(minutes=70))


def _with_an_heir(stage: Stage) -> None:
    """A rotation is deleted and leaves its key where it is; another one takes that place over."""
    installation = stage.installation
    installation.round()
    installation.create()
    installation.run_until_rest()
    stage.truth.strangers.add(str(installation.active().key_hash))
    installation.operations.delete_rotation("web", Removal.KEEP_KEYS)
    installation.run_until_rest()
    installation.create("heir")
    installation.run_until_rest()


def _told(stage: Stage) -> None:
    """Somebody is told of a key that comes into service, and of one that ends soon while its rotation is paused."""
    installation = stage.installation
    installation.round()
    address = Secret("json://127.0.0.1:1")
    installation.rotator.store.notice_targets.insert(
        "ops", "json", address, level=Level.INFO, rotation_ids=None, actor="test"
    )
    installation.create(every="20d", expires_after="30d")
    installation.run_until_rest()
    installation.tell()
    installation.operations.pause_rotation("web")
    installation.clock.move(timedelta(days=29))
    while not installation.perform(jobs.watch_expiries):
        pass
    installation.tell()
    assert [notice.kind for notice in installation.told].count(EXPIRES_SOON) >= 1
    assert [event.name for event in installation.audit()].count(EXPIRES_SOON) == 1
    installation.operations.resume_rotation("web")
    installation.run_until_rest()


def meddle(stage: Stage, file: str) -> None:
    """Somebody else writes a value of their own where a key is published; until it is mended, that is excused."""
    path = stage.installation.file(file)
    stage.truth.excused.add(path)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{SECRET_NAME}=somebody-else\n", encoding="utf-8")


LIVES: Final[Mapping[str, Life]] = {
    "plain": _plain,
    "lost reply": _with_a_lost_reply,
    "late create": _with_a_create_that_lands_too_late,
    "undo": _with_an_undo,
    "emergency": _with_an_emergency,
    "drift": _with_drift,
    "looked after": _looked_after,
    "removal": _removed,
    "heir": _with_an_heir,
    "told": _told,
    "new destination": _moved_to_another_file,
    "slow": _slowly,
    "by message": _asked_for_by_a_message,
    "side by side": _side_by_side,
    "dead key": _with_an_active_key_that_dies,
    "by schedule": _by_schedule,
    "interrupted": _interrupted,
}
