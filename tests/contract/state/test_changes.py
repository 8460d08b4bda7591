"""Changing what is stored: by name or by id, only as seen, and never half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.secret import Secret
from tasks.operations import Operations
from tasks.operations.requests import RotationUpdate, ScheduleRequest
from tasks.rotation.errors import Conflict, InUse, InvalidInput, NameTaken, NotAsSeen, NotFound
from tasks.rotation.model import ById, Removal
from tasks.wiring import Rotator
from tests.contract.state.scene import Rows, add_connection, at_once, order


@pytest.fixture
def live(rotator: Rotator, operations: Operations, management_key: Secret, tmp_path: Path) -> Operations:
    """An operator of a rotation ``web`` that is paused, with labels, and writes to a file."""
    operations.create_connection("prod", management_key, project_id="p1")
    target = Secret(f"dotenv:{tmp_path / 'web.env'}")
    wanted = order(
        initial=True, paused=True, publish=(target,), description="The shop", project_id="p1", environment="dev"
    )
    operations.create_rotation(wanted)
    operations.advance_here("web")
    return operations


def test_labels_and_a_description_are_kept_and_shown(live: Operations) -> None:
    shown = live.show_rotation("web")
    assert (shown.description, shown.project_id, shown.environment, shown.secret_path) == (
        "The shop",
        "p1",
        "dev",
        None,
    )
    assert live.show_connection("prod").project_id == "p1"
    changed = live.update_rotation("web", RotationUpdate(description=None, secret_path="/api"))
    assert (changed.description, changed.environment, changed.secret_path) == (None, "dev", "/api")


def test_a_rotation_that_begins_paused_has_its_first_key_all_the_same(live: Operations) -> None:
    shown = live.show_rotation("web")
    assert (shown.status, shown.active_version, shown.next_rotation_at) == ("paused", 1, None)


def test_an_update_can_pause_and_resume(live: Operations) -> None:
    assert live.update_rotation("web", RotationUpdate(paused=False)).next_rotation_at is not None
    assert live.update_rotation("web", RotationUpdate(paused=True, description="later")).status == "paused"
    names = [e.name for e in live.events(limit=500)]
    assert names.count("rotation_resumed") == names.count("rotation_paused") == 1


def test_who_renames_changes_nothing_but_the_name(live: Operations) -> None:
    before = live.show_rotation("web")
    renamed = live.update_rotation("web", RotationUpdate(name="shop"))
    assert (renamed.id, renamed.name, renamed.active_version) == (before.id, "shop", 1)
    with pytest.raises(NotFound):
        live.show_rotation("web")
    (event,) = (e for e in live.history("shop").events if e.detail.get("after") == "shop")
    assert (event.rotation, event.detail["before"], event.actor) == ("shop", "web", "test")
    live.rotate("shop")
    live.advance_here("shop")
    assert live.current_key("shop").version == 2
    assert live.update_connection("prod", rename="main").name == "main"
    assert live.show_rotation("shop").connection == "main"


def test_no_name_is_taken_from_another(live: Operations, rotator: Rotator, rows: Rows) -> None:
    live.create_rotation(order("other"))
    add_connection(rotator, "second")
    before = rows.all()
    with pytest.raises(NameTaken):
        live.update_rotation("web", RotationUpdate(name="other"))
    with pytest.raises(NameTaken):
        live.update_connection("prod", rename="second")
    for bad in ("", "Upper", "a" * 65):
        with pytest.raises(InvalidInput):
            live.update_rotation("web", RotationUpdate(name=bad))
        with pytest.raises(InvalidInput):
            live.update_connection("prod", rename=bad)
    assert rows.all() == before


def test_an_id_means_the_same_after_a_rename(live: Operations) -> None:
    rotation, connection = live.show_rotation("web"), live.show_connection("prod")
    live.update_rotation("web", RotationUpdate(name="shop"))
    live.update_connection("prod", rename="main")
    live.create_rotation(order("web", connection="main"))
    assert live.rotation_name(rotation.id) == "shop"
    assert live.connection_name(connection.id) == "main"
    live.rotate(ById(rotation.id))
    assert live.show_rotation("shop").in_flight is not None
    assert live.show_rotation("web").in_flight is None
    live.delete_rotation(ById(rotation.id), Removal.KEEP_KEYS)
    assert live.show_rotation("shop").status == "removing"
    for unknown in (live.rotation_name, live.connection_name):
        with pytest.raises(NotFound):
            unknown("nobody")


def test_the_secret_name_stays_while_a_place_holds_the_key_under_it(live: Operations, tmp_path: Path) -> None:
    (place,) = live.show_rotation("web").destinations
    with pytest.raises(Conflict, match="holds the key as OPENROUTER_API_KEY"):
        live.update_rotation("web", RotationUpdate(secret_name="NEW_NAME"))
    again = Secret(f"dotenv:{tmp_path / 'web.env'}")
    moved = RotationUpdate(secret_name="NEW_NAME", remove_publish=(place.label,), add_publish=(again,))
    assert live.update_rotation("web", moved).secret_name == "NEW_NAME"
    live.advance_here("web")
    assert "NEW_NAME=" in (tmp_path / "web.env").read_text()


Change = Callable[[Operations, str | None], object]
CHANGES: dict[str, Change] = {
    "update a rotation": lambda o, r: o.update_rotation("web", RotationUpdate(limit_usd=3.0), if_revision=r),
    "delete a rotation": lambda o, r: o.delete_rotation("web", Removal.KEEP_KEYS, if_revision=r),
    "update a connection": lambda o, r: o.update_connection("spare", description="x", if_revision=r),
    "delete a connection": lambda o, r: o.delete_connection("spare", if_revision=r),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_that_insists_on_what_it_saw_comes_too_late_after_another(
    what: str, live: Operations, rotator: Rotator, rows: Rows
) -> None:
    add_connection(rotator, "spare")
    seen = live.show_rotation("web") if "rotation" in what else live.show_connection("spare")
    live.update_rotation("web", RotationUpdate(description="someone else's"))
    live.update_connection("spare", description="someone else's")
    before = rows.all()
    with pytest.raises(NotAsSeen, match="changed by someone else"):
        CHANGES[what](live, seen.revision)
    assert rows.all() == before
    fresh = live.show_rotation("web") if "rotation" in what else live.show_connection("spare")
    CHANGES[what](live, fresh.revision)


def test_what_the_engine_does_leaves_the_revision(live: Operations) -> None:
    before = live.show_rotation("web").revision
    live.rotate("web")
    live.advance_here("web")
    assert live.current_key("web").version == 2
    assert live.show_rotation("web").revision == before
    live.update_rotation("web", RotationUpdate(limit_usd=4.0), if_revision=before)
    assert live.show_rotation("web").revision != before


def test_of_many_changes_at_once_none_is_lost_and_of_those_that_insist_one_wins(live: Operations) -> None:
    fields = [
        RotationUpdate(limit_usd=9.0),
        RotationUpdate(schedule=ScheduleRequest(every="20d")),
        RotationUpdate(description="one"),
        RotationUpdate(environment="prod"),
    ]
    at_once(len(fields), lambda number: live.update_rotation("web", fields[number]))
    shown = live.show_rotation("web")
    assert (shown.parameters.limit_usd, shown.description, shown.environment) == (9.0, "one", "prod")
    assert shown.schedule == "every 20d"

    def insist(_: int) -> bool:
        try:
            live.update_rotation("web", RotationUpdate(limit_usd=7.0), if_revision=shown.revision)
        except NotAsSeen:
            return False
        return True

    assert sorted(at_once(4, insist)) == [False, False, False, True]


def test_a_connection_in_use_names_who_uses_it(live: Operations) -> None:
    with pytest.raises(InUse) as refused:
        live.delete_connection("prod")
    assert refused.value.rotations == ("web",)


def test_every_key_that_works_can_be_read_and_each_reading_is_told(live: Operations) -> None:
    live.rotate("web")
    live.advance_here("web")
    first, second = live.reveal_keys("web")
    assert (first.version, first.active, second.version, second.active) == (1, False, 2, True)
    assert live.show_rotation("web").usable == (1, 2)
    assert second.key == live.reveal_key("web") != first.key
    assert [e.version for e in live.events(limit=500) if e.name == "key_read"] == [1, 2, 2]
