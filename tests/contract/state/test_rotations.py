"""Rotations as an operator handles them: whatever is wrong is named by its option, and changes nothing."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from config.secret import Secret
from tasks import jobs
from tasks.operations import Operations
from tasks.operations.requests import DestinationRequest, RotationUpdate, ScheduleRequest
from tasks.operations.views import EventView
from tasks.providers.openrouter.emulator import EmulatorServer
from tasks.rotation.errors import Conflict, InvalidInput, NotFound, RotatorError, Unavailable
from tasks.rotation.model import LimitReset, OnDrift, Reason, Removal, VersionState
from tasks.rotation.ports import Change
from tasks.wiring import Rotator
from tests.contract.state.scene import DAY, PAST_A_DAY, START, Clock, Rows, add_connection, at_once, order

WORKSPACE = "0b51ed45-0fd0-4c22-a1c4-0a3b8f6f3c11"


@pytest.fixture
def ready(operations: Operations, management_key: Secret) -> Operations:
    """Operations of an installation with one proven connection."""
    operations.create_connection("prod", management_key)
    return operations


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where applications read the key."""
    return tmp_path / "app.env"


@pytest.fixture
def live(ready: Operations, file: Path) -> Operations:
    """Operations of an installation whose rotation has published version 1."""
    ready.create_rotation(order(initial=True, publish=(Secret(f"dotenv:{file}"),)))
    ready.advance_here("web")
    return ready


def _states(operations: Operations) -> list[tuple[int, str]]:
    return [(v.number, str(v.state)) for v in operations.history("web").versions]


# --- creating --------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("NAME", {"name": "Not A Slug"}),
    "long name": ("NAME", {"name": "a" * 65}),
    "no key name": ("--key-name", {"key_name": None}),
    "blank key name": ("--key-name", {"key_name": "  "}),
    "long key name": ("--key-name", {"key_name": "k" * 101}),
    "unprintable key name": ("--key-name", {"key_name": "a\nb"}),
    "limit of nothing": ("--limit", {"limit_usd": 0.0}),
    "negative limit": ("--limit", {"limit_usd": -1.0}),
    "limit that is no number": ("--limit", {"limit_usd": float("nan")}),
    "endless limit": ("--limit", {"limit_usd": float("inf")}),
    "reset without limit": ("--limit-reset", {"limit_reset": "daily"}),
    "unknown reset": ("--limit-reset", {"limit_usd": 5.0, "limit_reset": "hourly"}),
    "workspace": ("--workspace-id", {"workspace_id": "default"}),
    "no schedule": ("--every", {"schedule": ScheduleRequest()}),
    "two schedules": ("--cron", {"schedule": ScheduleRequest(every="1d", cron="0 3 * * *")}),
    "interval": ("--every", {"schedule": ScheduleRequest(every="monthly")}),
    "no interval at all": ("--every", {"schedule": ScheduleRequest(every="0")}),
    "time of day": ("--at", {"schedule": ScheduleRequest(every="30d", at="25:00")}),
    "time of day of hours": (
        "--at",
        {"schedule": ScheduleRequest(every="12h", at="03:00"), "overlap": "1h", "cooling": "1h"},
    ),
    "cron": ("--cron", {"schedule": ScheduleRequest(cron="every day")}),
    "time zone": ("--timezone", {"schedule": ScheduleRequest(every="30d", timezone="Mars/Base")}),
    "window": ("--window", {"schedule": ScheduleRequest(every="30d", window="31d")}),
    "overlap": ("--overlap", {"overlap": "a day"}),
    "cooling": ("--cooling", {"cooling": "-1h"}),
    "expiry": ("--expires-after", {"expires_after": "soon"}),
    "short expiry": ("--expires-after", {"expires_after": "30s"}),
    "expiry before the next rotation": ("--expires-after", {"expires_after": "30d"}),
    "expiry within the overlap": ("--expires-after", {"expires_after": "31d"}),
    "no secret name": ("--secret-name", {"secret_name": " "}),
    "unprintable secret name": ("--secret-name", {"secret_name": "A\nB"}),
    "long secret name": ("--secret-name", {"secret_name": "A" * 201}),
    "secret name that is no variable": ("--secret-name", {"secret_name": "A=B"}),
    "secret name that begins with a digit": ("--secret-name", {"secret_name": "1A"}),
    **{
        f"secret name {name}": ("--secret-name", {"secret_name": name})
        for name in (
            *("PATH", "Path", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES"),
            *("PYTHONPATH", "PYTHONSTARTUP", "ROTATOR_MASTER_KEY"),
        )
    },
    "publish without a kind": ("--publish", {"publish": (Secret("app.env"),)}),
    "unknown kind": ("--publish", {"publish": (Secret("pigeon:coop"),)}),
    "redis without a key": ("--publish", {"publish": (Secret("redis:redis://localhost"),)}),
    "a key for a hash": ("--adopt-hash", {"adopt_hash": "sk-or-v1-canary"}),
    "no hash": ("--adopt-hash", {"adopt_hash": "../keys"}),
    "unknown hash": ("--adopt-hash", {"adopt_hash": "0" * 64}),
}


@pytest.mark.parametrize(("field", "changes"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_by_its_option_and_nothing_is_stored(
    field: str, changes: dict[str, Any], ready: Operations, rows: Rows, openrouter: EmulatorServer
) -> None:
    before = rows.all()
    with pytest.raises(InvalidInput) as refused:
        ready.create_rotation(order(**changes))
    with pytest.raises(InvalidInput) as foreseen:
        ready.preview_rotation(order(**changes))
    assert refused.value.field == foreseen.value.field == field
    assert refused.value.remedy or field == "--window"
    assert rows.all() == before
    assert not [call for call in openrouter.account.calls if call.method != "GET"]
    assert not [call for call in openrouter.account.calls if "****" in call.path]  # where a key stood in a URL


def test_a_schedule_too_short_is_refused_with_the_arithmetic(ready: Operations, rows: Rows) -> None:
    with pytest.raises(InvalidInput) as refused:
        ready.create_rotation(order(schedule=ScheduleRequest(every="36h")))
    for figure in ("1d12h", "1d"):
        assert figure in str(refused.value)
    assert rows.one("SELECT count(*) FROM rotations") == 0
    made = ready.create_rotation(order(schedule=ScheduleRequest(every="90s"), overlap="0", cooling="0"))
    assert (made.overlap, made.cooling) == (timedelta(0), timedelta(0))


def test_an_expiry_must_outlast_interval_and_overlap(ready: Operations) -> None:
    made = ready.create_rotation(order(expires_after="32d"))
    assert made.parameters.expires_after == 32 * DAY


def test_a_destination_is_tried_before_it_is_stored(ready: Operations, rows: Rows, tmp_path: Path, file: Path) -> None:
    (tmp_path / "plain").touch()
    before = rows.all()
    good, bad = Secret(f"dotenv:{file}"), Secret(f"dotenv:{tmp_path}/plain/app.env")
    with pytest.raises(RotatorError):
        ready.create_rotation(order(publish=(good, bad)))
    assert rows.all() == before
    assert not file.exists()


def test_one_destination_twice_is_refused_whole(ready: Operations, rows: Rows, file: Path) -> None:
    """In one request; in a later one it changes the destination that is there."""
    before = rows.all()
    with pytest.raises(Conflict, match="named twice"):
        ready.create_rotation(order(initial=True, publish=(Secret(f"dotenv:{file}"),) * 2))
    assert rows.all() == before


def test_two_rotations_do_not_share_a_variable_of_a_file(live: Operations, rows: Rows, file: Path) -> None:
    target = (Secret(f"dotenv:{file}"),)
    live.create_rotation(order("third"))
    before = rows.all()
    with pytest.raises(Conflict, match=f"The rotation web publishes to OPENROUTER_API_KEY of dotenv:{file} already"):
        live.create_rotation(order("other", publish=target))
    with pytest.raises(Conflict, match="The rotation web publishes"):
        live.update_rotation("third", RotationUpdate(add_publish=target))
    assert rows.all() == before
    live.create_rotation(order("other", publish=target, secret_name="OTHER_KEY"))


def test_two_rotations_do_not_share_a_key_of_redis_whatever_their_variables(
    ready: Operations, redis_url: str, canary: str
) -> None:
    target = (Secret(f"redis:{redis_url}#rotator-test-{canary}"),)
    ready.create_rotation(order(publish=target))
    with pytest.raises(Conflict, match="The rotation web publishes to redis:"):
        ready.create_rotation(order("other", publish=target, secret_name="OTHER_KEY"))


def test_of_two_rotations_that_take_one_place_at_once_one_gets_it(ready: Operations, file: Path) -> None:
    def create(n: int) -> bool:
        try:
            ready.create_rotation(order(f"r{n}", publish=(Secret(f"dotenv:{file}"),)))
        except Conflict:
            return False
        return True

    assert sorted(at_once(4, create)) == [False, False, False, True]


def test_a_removed_rotation_leaves_its_place_to_another(live: Operations, file: Path) -> None:
    live.delete_rotation("web", Removal.KEEP_KEYS)
    live.advance_here("web")
    live.create_rotation(order("other", publish=(Secret(f"dotenv:{file}"),)))


def test_a_name_is_taken_once(ready: Operations, rows: Rows) -> None:
    def create(_: int) -> bool:
        try:
            ready.create_rotation(order(initial=True))
        except Conflict:
            return False
        return True

    assert sorted(at_once(4, create)) == [False, False, False, True]
    assert rows.one("SELECT count(*) FROM key_versions") == 1
    with pytest.raises(Conflict, match="There is a rotation web already"):
        ready.create_rotation(order())


def test_a_rotation_is_stored_as_it_was_asked_for(ready: Operations, clock: Clock) -> None:
    made = ready.create_rotation(
        order(
            limit_usd=12.5,
            limit_reset="weekly",
            include_byok_in_limit=True,
            workspace_id=WORKSPACE.upper(),
            secret_name="LLM_KEY",
            overlap="2h",
            cooling="3h",
            schedule=ScheduleRequest(every="7d", at="03:30", timezone="Europe/Berlin", window="1h"),
        )
    )
    assert made == ready.show_rotation("web")
    assert made.parameters.limit_reset is LimitReset.WEEKLY
    assert made.parameters.workspace_id == WORKSPACE
    assert made.schedule == "every 7d at 03:30 Europe/Berlin, spread over 1h"
    assert (made.overlap, made.cooling, made.secret_name) == (timedelta(hours=2), timedelta(hours=3), "LLM_KEY")
    assert (made.status, made.active_version, made.in_flight) == ("ok", None, None)
    assert len(made.upcoming) == 3
    assert list(made.upcoming) == sorted(made.upcoming)


def test_the_first_version_is_minted_at_once_unless_it_shall_wait(
    ready: Operations, openrouter: EmulatorServer
) -> None:
    ready.create_rotation(order("later"))
    ready.advance_here("later")
    assert not openrouter.account.minted
    made = ready.create_rotation(order("now", initial=True))
    assert made.status == "rotating"
    ready.advance_here("now")
    assert ready.show_rotation("now").active_version == 1
    assert [v.reason for v in ready.history("now").versions] == [Reason.INITIAL]


# --- adopting --------------------------------------------------------------------------------------------------


def test_an_adopted_key_hands_down_what_is_not_given(ready: Operations, openrouter: EmulatorServer) -> None:
    workspace = openrouter.account.add_workspace("Team", "team")
    _, key_hash = openrouter.account.mint("by hand", workspace_id=workspace, limit=7.0)
    made = ready.create_rotation(order(adopt_hash=key_hash, key_name=None))
    assert made.parameters.key_name == "by hand"
    assert made.parameters.limit_usd == 7.0
    assert made.parameters.workspace_id == workspace
    assert (made.active_version, made.active_hash) == (1, key_hash)
    given = ready.create_rotation(order("other", adopt_hash=openrouter.account.mint("x", limit=7.0)[1], limit_usd=9.0))
    assert (given.parameters.key_name, given.parameters.limit_usd) == ("other", 9.0)


def test_an_adopted_key_hands_down_its_reset_beside_another_limit(
    ready: Operations, openrouter: EmulatorServer, management_key: Secret
) -> None:
    _, key_hash = openrouter.account.mint("by hand", limit=7.0)
    asking = {"Authorization": f"Bearer {management_key.reveal()}"}
    url = f"{openrouter.base_url}/keys/{key_hash}"
    httpx.patch(url, json={"limit_reset": "daily"}, headers=asking).raise_for_status()
    made = ready.create_rotation(order(adopt_hash=key_hash, limit_usd=9.0))
    assert (made.parameters.limit_usd, made.parameters.limit_reset) == (9.0, LimitReset.DAILY)


def test_a_key_is_adopted_once(ready: Operations, openrouter: EmulatorServer, rows: Rows) -> None:
    _, key_hash = openrouter.account.mint("by hand")
    ready.create_rotation(order(adopt_hash=key_hash))
    before = rows.all()
    with pytest.raises(Conflict, match="belongs to the rotation web already"):
        ready.create_rotation(order("again", adopt_hash=key_hash))
    assert rows.all() == before


def test_a_key_that_we_minted_is_adopted_again_under_its_plain_name(
    live: Operations, openrouter: EmulatorServer
) -> None:
    key_hash = live.show_rotation("web").active_hash
    live.delete_rotation("web", Removal.KEEP_KEYS)
    live.advance_here("web")
    again = live.create_rotation(order("again", adopt_hash=key_hash, key_name=None))
    assert again.parameters.key_name == "web"


def test_an_adopted_key_is_retired_like_one_of_ours(
    ready: Operations, openrouter: EmulatorServer, clock: Clock, file: Path
) -> None:
    _, key_hash = openrouter.account.mint("by hand")
    ready.create_rotation(order(adopt_hash=key_hash, initial=True, publish=(Secret(f"dotenv:{file}"),)))
    ready.advance_here("web")
    assert _states(ready) == [(1, "retiring"), (2, "active")]
    for _ in range(2):
        clock.advance(PAST_A_DAY)
        ready.advance_here("web")
    assert _states(ready) == [(1, "deleted"), (2, "active")]
    assert key_hash not in openrouter.account.existing()


def test_the_text_of_an_adopted_key_is_not_ours_to_show(
    ready: Operations, openrouter: EmulatorServer, rows: Rows
) -> None:
    ready.create_rotation(order(adopt_hash=openrouter.account.mint("by hand")[1]))
    before = rows.all()
    with pytest.raises(NotFound, match="adopted") as refused:
        ready.reveal_key("web")
    assert "rotator rotate" in refused.value.remedy
    assert rows.all() == before


# --- reading keys ----------------------------------------------------------------------------------------------


def test_a_key_that_is_read_leaves_an_event(live: Operations, file: Path) -> None:
    key = live.reveal_key("web")
    assert key.reveal() in file.read_text()
    event = live.events()[-1]
    assert (event.name, event.rotation, event.version, event.actor) == ("key_read", "web", 1, "test")
    current = live.current_key("web")
    assert (current.rotation, current.version, current.secret_name) == ("web", 1, "OPENROUTER_API_KEY")


def test_a_rotation_without_a_key_says_why_there_is_none(ready: Operations) -> None:
    ready.create_rotation(order())
    for attempt in (ready.reveal_key, ready.current_key):
        with pytest.raises(NotFound, match="no active key yet") as refused:
            attempt("web")
        assert "rotator rotation show web" in refused.value.remedy


# --- rotating --------------------------------------------------------------------------------------------------


def test_people_who_rotate_at_once_get_one_rotation_and_one_answer(live: Operations, rows: Rows) -> None:
    answers = at_once(6, lambda _: live.rotate("web"))
    assert {answer.version for answer in answers} == {2}
    assert sorted(answer.joined for answer in answers) == [False] + [True] * 5
    assert rows.one("SELECT count(*) FROM key_versions WHERE number = 2") == 1
    live.advance_here("web")
    assert _states(live) == [(1, "retiring"), (2, "active")]
    assert live.follow("web", 2).reason is Reason.MANUAL


def test_an_emergency_deletes_every_older_key_at_once(live: Operations, openrouter: EmulatorServer, file: Path) -> None:
    live.rotate("web")
    live.advance_here("web")
    live.rotate("web", emergency=True)
    live.advance_here("web")
    assert _states(live) == [(1, "deleted"), (2, "deleted"), (3, "active")]
    assert openrouter.account.existing() == {live.show_rotation("web").active_hash}
    assert live.reveal_key("web").reveal() in file.read_text()


def test_undo_brings_the_previous_key_back(live: Operations, openrouter: EmulatorServer, file: Path) -> None:
    first = live.reveal_key("web")
    live.rotate("web")
    live.advance_here("web")
    answer = live.undo("web")
    live.advance_here("web")
    assert (answer.version, live.current_key("web").version) == (1, 1)
    assert first.reveal() in file.read_text()
    assert _states(live) == [(1, "active"), (2, "retiring")]


def test_undo_with_nothing_to_bring_back_says_so(live: Operations, rows: Rows) -> None:
    before = rows.all()
    with pytest.raises(Conflict, match="no previous key to bring back"):
        live.undo("web")
    assert rows.all() == before


def test_a_dry_run_tells_what_would_happen_and_changes_nothing(
    live: Operations, openrouter: EmulatorServer, rows: Rows, file: Path
) -> None:
    before, calls, held = rows.all(), len(openrouter.account.calls), file.read_text()
    told = live.dry_run("web")
    assert (rows.all(), len(openrouter.account.calls), file.read_text()) == (before, calls, held)
    assert (told.version, told.name_at_openrouter) == (2, "web #2-<marker>")
    assert told.publishes_to == (f"dotenv:{file}",)
    (dying,) = told.dying
    assert (dying.version, dying.key_hash) == (1, live.show_rotation("web").active_hash)
    assert (dying.disabled_at, dying.deleted_at) == (START + DAY, START + 2 * DAY)
    assert told.obstacles == ()


def test_a_dry_run_names_what_stands_in_the_way(live: Operations, file: Path) -> None:
    file.unlink()
    file.mkdir()
    live.rotate("web")
    (joined, destination) = live.dry_run("web").obstacles
    assert "a request would join it" in joined
    assert destination.startswith(f"dotenv:{file}")


# --- changing --------------------------------------------------------------------------------------------------

WRONG_UPDATES: dict[str, tuple[str, RotationUpdate]] = {
    "nothing": ("rotation update", RotationUpdate()),
    "key name": ("--key-name", RotationUpdate(key_name="")),
    "limit": ("--limit", RotationUpdate(limit_usd=-3.0)),
    "reset without limit": ("--limit-reset", RotationUpdate(limit_reset="daily")),
    "schedule": ("--cron", RotationUpdate(schedule=ScheduleRequest(cron="x"))),
    "overlap": ("--overlap", RotationUpdate(overlap="?")),
    "expiry": ("--expires-after", RotationUpdate(expires_after="2d")),
    "publish": ("--publish", RotationUpdate(add_publish=(Secret("pigeon:coop"),))),
}


@pytest.mark.parametrize(("field", "update"), WRONG_UPDATES.values(), ids=WRONG_UPDATES)
def test_a_wrong_update_is_named_by_its_option_and_changes_nothing(
    field: str, update: RotationUpdate, live: Operations, rows: Rows
) -> None:
    before = rows.all()
    with pytest.raises(InvalidInput) as refused:
        live.update_rotation("web", update)
    assert refused.value.field == field
    assert rows.all() == before


def test_an_update_may_not_make_the_schedule_too_short(live: Operations, rows: Rows) -> None:
    before = rows.all()
    for update in (RotationUpdate(schedule=ScheduleRequest(every="1d")), RotationUpdate(overlap="29d", cooling="2d")):
        with pytest.raises(InvalidInput):
            live.update_rotation("web", update)
    assert rows.all() == before


def test_an_update_takes_effect_and_is_told_without_its_values(live: Operations, tmp_path: Path, file: Path) -> None:
    other = tmp_path / "canary-path.env"
    view = live.update_rotation(
        "web", RotationUpdate(limit_usd=3.0, limit_reset="daily", add_publish=(Secret(f"dotenv:{other}"),))
    )
    assert (view.parameters.limit_usd, view.parameters.limit_reset) == (3.0, LimitReset.DAILY)
    changed, added = live.events()[-2:]
    assert (changed.name, changed.why) == ("rotation_updated", "changed limit usd, limit reset")
    assert (added.name, added.detail["destination"]) == ("destination_added", f"dotenv:{other}")
    live.advance_here("web")
    assert live.reveal_key("web").reveal() in other.read_text()
    assert [d.version for d in live.show_rotation("web").destinations] == [1, 1]
    view = live.update_rotation("web", RotationUpdate(limit_usd=None, remove_publish=(f"dotenv:{other}",)))
    assert (view.parameters.limit_usd, view.parameters.limit_reset) == (None, None)
    assert [d.label for d in view.destinations] == [f"dotenv:{file}"]
    assert [e.name for e in live.events()][-2:] == ["rotation_updated", "destination_removed"]


@pytest.mark.parametrize(
    "update",
    [
        RotationUpdate(key_name="new", remove_publish=("dotenv:/nowhere",)),
        RotationUpdate(key_name="new", remove_publish=("dotenv:/nowhere",), withdraw=True),
        RotationUpdate(key_name="new", add_publish=(Secret("dotenv:NEW"), Secret("dotenv:NEW"))),
    ],
    ids=["a destination that is not there", "one to withdraw from that is not there", "a destination twice"],
)
def test_an_update_is_all_or_nothing(update: RotationUpdate, live: Operations, rows: Rows, file: Path) -> None:
    added = tuple(Secret(f"dotenv:{file}.new") for _ in update.add_publish)
    before = rows.all()
    with pytest.raises((NotFound, Conflict)):
        live.update_rotation("web", replace(update, add_publish=added))
    assert rows.all() == before


def test_a_destination_that_is_there_is_changed_and_gets_the_current_key_anew(
    live: Operations, rotator: Rotator, file: Path
) -> None:
    held, before = file.read_text(), rotator.store.rotations.get("web")
    file.write_text("")
    wanted = DestinationRequest(Secret(f"dotenv:{file}"), optional=True, on_drift=OnDrift.REPORT)
    live.update_rotation("web", RotationUpdate(add_publish=(wanted,)))
    (destination,) = rotator.store.rotations.get("web").destinations
    assert destination == replace(before.destinations[0], optional=True, on_drift=OnDrift.REPORT)
    live.advance_here("web")
    assert file.read_text().splitlines()[-1] == held.splitlines()[-1]
    told = [e for e in live.events(rotation="web") if e.name.startswith("destination_")]
    assert [(e.name, dict(e.detail)["on_drift"]) for e in told] == [("destination_changed", "report")]


def test_two_updates_at_once_do_not_undo_each_other(live: Operations, rotator: Rotator) -> None:
    """The slower one was decided from what the faster one changed: it is told so, and may look again."""
    seen = rotator.store.rotations.get("web")
    live.update_rotation("web", RotationUpdate(limit_usd=3.0))
    slower = replace(seen.rotation, overlap=timedelta(hours=1))
    event = replace(rotator.store.events.latest(seen.rotation.id, limit=1)[0].event, name="late")
    with pytest.raises(Conflict, match="changed by someone else"):
        rotator.store.rotations.update(seen, slower, add=(), decide=lambda _: Change(events=(event,)))
    assert live.show_rotation("web").parameters.limit_usd == 3.0


def test_a_paused_rotation_rests_until_it_is_resumed(
    live: Operations, clock: Clock, openrouter: EmulatorServer
) -> None:
    live.rotate("web")
    live.advance_here("web")
    paused = live.pause_rotation("web")
    assert (paused.status, paused.next_rotation_at, paused.upcoming) == ("paused", None, ())
    for _ in range(3):
        clock.advance(20 * DAY)
        live.advance_here("web")
    assert _states(live) == [(1, "deleted"), (2, "active")]
    assert live.resume_rotation("web").status == "ok"
    live.advance_here("web")
    assert live.current_key("web").version == 3
    assert {"rotation_paused", "rotation_resumed"} <= {e.name for e in live.events(limit=500)}


@pytest.mark.parametrize(("removal", "left"), [(Removal.KEEP_KEYS, 1), (Removal.REVOKE_KEYS, 0)])
def test_deleting_keeps_or_revokes_the_keys_and_shreds_their_text(
    removal: Removal, left: int, live: Operations, openrouter: EmulatorServer, rows: Rows
) -> None:
    live.delete_rotation("web", removal)
    assert live.show_rotation("web").status == "removing"
    for attempt in (
        lambda: live.rotate("web"),
        lambda: live.undo("web"),
        lambda: live.pause_rotation("web"),
        lambda: live.update_rotation("web", RotationUpdate(key_name="new")),
    ):
        with pytest.raises(Conflict, match="being deleted"):
            attempt()
    live.advance_here("web")
    assert len(openrouter.account.existing()) == left
    assert live.list_rotations() == ()
    assert rows.one("SELECT count(*) FROM key_versions WHERE key_sealed IS NOT NULL") == 0
    assert live.create_rotation(order()).active_version is None


def test_what_is_not_there_is_told_with_a_remedy(ready: Operations) -> None:
    for attempt in (
        lambda: ready.show_rotation("none"),
        lambda: ready.update_rotation("none", RotationUpdate(key_name="x")),
        lambda: ready.pause_rotation("none"),
        lambda: ready.resume_rotation("none"),
        lambda: ready.history("none"),
        lambda: ready.delete_rotation("none", Removal.KEEP_KEYS),
        lambda: ready.rotate("none"),
        lambda: ready.undo("none"),
        lambda: ready.dry_run("none"),
        lambda: ready.follow("none", 1),
        lambda: ready.advance_here("none"),
        lambda: ready.reveal_key("none"),
        lambda: ready.events(rotation="none"),
    ):
        with pytest.raises(NotFound, match="no rotation none") as refused:
            attempt()
        assert "rotator rotation list" in refused.value.remedy


# --- seeing ----------------------------------------------------------------------------------------------------


def test_events_are_paged_in_order(live: Operations) -> None:
    every = live.events(limit=1000)
    paged: list[EventView] = []
    while page := live.events(after=paged[-1].id if paged else 0, limit=3):
        assert len(page) <= 3
        paged += page
    assert tuple(paged) == every
    assert [e.id for e in every] == sorted(e.id for e in every)
    assert {e.rotation for e in live.events(rotation="web", limit=1000)} == {"web"}


def test_history_tells_the_whole_life(live: Operations) -> None:
    told = live.history("web")
    (version,) = told.versions
    assert (version.number, version.state, version.actor) == (1, VersionState.ACTIVE, "test")
    moments = (version.planned_at, version.creating_at, version.created_at, version.proven_at, version.active_at)
    assert all(moments)
    names = [event.name for event in told.events]
    assert names[:2] == ["rotation_created", "version_planned"]
    assert names[-1] == "version_active"


def test_every_view_becomes_json(live: Operations) -> None:
    live.rotate("web")
    views: tuple[Any, ...] = (
        live.status(),
        live.history("web"),
        live.dry_run("web"),
        live.rotate("web"),
        live.current_key("web"),
        live.show_connection("prod"),
        *live.events(),
    )
    for view in views:
        assert json.dumps(asdict(view), default=_plain)


def _plain(value: object) -> str:
    assert isinstance(value, datetime | timedelta)
    return str(value)


def test_a_redis_password_is_nowhere_but_in_the_ciphertext(
    ready: Operations, rotator: Rotator, rows: Rows, redis_url: str, canary: str
) -> None:
    """A password that the server refuses, so that the failure, too, is looked at."""
    target = f"redis:redis://someone:{canary}@{urlsplit(redis_url).netloc}/0#rotator-test-{canary[:8]}"
    before = rows.all()
    with pytest.raises(RotatorError) as refused:
        ready.create_rotation(order(publish=(Secret(target),)))
    assert canary not in "".join(traceback.format_exception(refused.value))
    assert rows.all() == before


def test_without_a_broker_a_request_is_stored_and_the_answer_says_so(
    live: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_: object) -> None:
        raise Unavailable("no broker")

    monkeypatch.setattr(jobs, "enqueue_advance", unreachable)
    answer = live.rotate("web")
    assert not answer.enqueued
    assert "stored" in answer.notice
    assert live.show_rotation("web").in_flight is not None


def test_status_counts_what_there_is(live: Operations, rotator: Rotator, clock: Clock) -> None:
    add_connection(rotator, "spare")
    rotator.store.record_tick()
    told = live.status()
    assert [c.name for c in told.connections] == ["prod", "spare"]
    assert [(r.name, r.status) for r in told.rotations] == [("web", "ok")]
    assert (told.now, told.last_tick_at) == (clock.now, clock.now)
    assert told.connections[0].rotations == ("web",)


def test_a_destination_that_fails_needs_attention_and_keeps_the_old_key_in_service(
    live: Operations, openrouter: EmulatorServer, file: Path
) -> None:
    first = live.show_rotation("web").active_hash
    file.unlink()
    file.mkdir()
    live.rotate("web")
    live.advance_here("web")
    view = live.show_rotation("web")
    assert view.active_hash == first
    assert first in openrouter.account.live()
    assert view.destinations[0].error
    assert view.status in {"rotating", "needs_attention"}
