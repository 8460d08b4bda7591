"""What a new rotation would be, told before it is stored: the same refusals, and no trace of having asked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from config.secret import Secret
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.providers.openrouter.emulator import EmulatorServer
from tasks.rotation.errors import Conflict, InvalidInput, NotFound, RotatorError
from tasks.rotation.model import ConnectionHealth
from tasks.rotation.ports import CheckResult
from tasks.wiring import Rotator
from tests.contract.state.scene import DAY, START, Rows, order


@pytest.fixture
def ready(operations: Operations, management_key: Secret) -> Operations:
    """Operations of an installation with one proven connection."""
    operations.create_connection("prod", management_key)
    return operations


def test_a_preview_tells_what_creating_makes_and_leaves_no_trace(
    ready: Operations, openrouter: EmulatorServer, rows: Rows, tmp_path: Path
) -> None:
    file = tmp_path / "app.env"
    wanted = order(initial=True, schedule=ScheduleRequest(every="30d", at="03:00"), publish=(Secret(f"dotenv:{file}"),))
    before, calls = rows.all(), len(openrouter.account.calls)
    told = ready.preview_rotation(wanted)
    assert (rows.all(), len(openrouter.account.calls), file.exists()) == (before, calls, False)

    ready.create_rotation(wanted)
    ready.advance_here("web")
    made = ready.show_rotation("web")
    assert (told.rotation, told.connection, told.parameters) == (made.name, made.connection, made.parameters)
    assert (told.schedule, told.overlap, told.cooling) == (made.schedule, made.overlap, made.cooling)
    assert (told.version, told.minted_at, told.upcoming) == (1, START, made.upcoming)
    assert told.name_at_openrouter == "web #1-<marker>"
    assert [(t.kind, t.label, t.obstacle) for t in told.destinations] == [("dotenv", f"dotenv:{file}", None)]
    assert told.obstacles == ()


def test_each_key_goes_a_while_after_the_next_is_in_service(ready: Operations) -> None:
    first, second, third = ready.preview_rotation(order(initial=True, overlap="2d", cooling="1d")).dying
    assert [d.version for d in (first, second, third)] == [1, 2, 3]
    assert (first.disabled_at, first.deleted_at) == (START + 32 * DAY, START + 33 * DAY)
    assert (third.disabled_at, third.key_hash) == (START + 92 * DAY, None)


def test_who_waits_for_the_schedule_is_told_when_the_first_key_comes(ready: Operations) -> None:
    told = ready.preview_rotation(order(initial=False, expires_after="60d"))
    assert told.minted_at == told.upcoming[0] == START + 30 * DAY
    assert told.expires_at == START + 90 * DAY


def test_runs_are_told_without_the_windows_delay(ready: Operations) -> None:
    schedule = ScheduleRequest(every="30d", window="5d")
    told = ready.preview_rotation(order(schedule=schedule))
    made = ready.create_rotation(order(schedule=schedule))
    assert timedelta(0) <= made.upcoming[0] - told.upcoming[0] < 5 * DAY
    assert "spread over 5d" in told.schedule


def test_an_adopted_key_is_the_first_to_go(ready: Operations, openrouter: EmulatorServer) -> None:
    _, key_hash = openrouter.account.mint("old")
    told = ready.preview_rotation(order(initial=True, key_name=None, adopt_hash=key_hash))
    assert (told.version, told.name_at_openrouter) == (2, "old #2-<marker>")
    assert [(d.version, d.key_hash) for d in told.dying[:2]] == [(1, key_hash), (2, None)]
    assert told.dying[0].disabled_at == START + DAY


REFUSED: dict[str, tuple[type[RotatorError], RotationRequest]] = {
    "name": (InvalidInput, order(name="No Slug")),
    "taken": (Conflict, order(name="taken")),
    "connection": (NotFound, order(connection="nowhere")),
    "schedule": (InvalidInput, order(schedule=ScheduleRequest(every="1d"))),
    "expiry": (InvalidInput, order(expires_after="2d")),
    "secret name": (InvalidInput, order(secret_name="PATH")),
    "publish": (InvalidInput, order(publish=(Secret("pigeon:coop"),))),
}


@pytest.mark.parametrize(("kind_of", "request_"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_created_cannot_be_previewed(
    kind_of: type[RotatorError], request_: RotationRequest, ready: Operations, rows: Rows
) -> None:
    ready.create_rotation(order(name="taken"))
    before = rows.all()
    refusals = []
    for ask in (ready.create_rotation, ready.preview_rotation):
        with pytest.raises(kind_of) as refused:
            ask(request_)
        refusals.append(str(refused.value))
    assert refusals[0] == refusals[1]
    assert rows.all() == before


def test_what_is_wrong_with_a_destination_is_told_beside_it(ready: Operations, tmp_path: Path) -> None:
    taken, blocked, free = (tmp_path / name for name in ("taken.env", "blocked.env", "free.env"))
    blocked.mkdir()
    ready.create_rotation(order(name="first", publish=(Secret(f"dotenv:{taken}"),)))
    publish = tuple(Secret(f"dotenv:{file}") for file in (taken, blocked, free, free))
    trials = ready.preview_rotation(order(publish=publish)).destinations
    obstacles = [t.obstacle or "" for t in trials]
    assert "The rotation first publishes to" in obstacles[0]
    assert obstacles[1]
    assert (obstacles[2], "twice" in obstacles[3]) == ("", True)


def test_a_place_of_another_variable_is_no_obstacle(ready: Operations, tmp_path: Path) -> None:
    publish = (Secret(f"dotenv:{tmp_path / 'app.env'}"),)
    ready.create_rotation(order(name="first", secret_name="FIRST_KEY", publish=publish))
    (trial,) = ready.preview_rotation(order(publish=publish)).destinations
    assert trial.obstacle is None


def test_a_refused_management_key_is_told_as_an_obstacle(ready: Operations, rotator: Rotator) -> None:
    found = CheckResult(ConnectionHealth.REJECTED, "OpenRouter refused the key.")
    rotator.store.desk.record_check(ready.show_connection("prod").id, found, actor="test")
    (obstacle,) = ready.preview_rotation(order()).obstacles
    assert "rejected" in obstacle


def test_destinations_of_a_rotation_are_tried_without_a_change(ready: Operations, rows: Rows, tmp_path: Path) -> None:
    fine, blocked = tmp_path / "fine.env", tmp_path / "blocked.env"
    ready.create_rotation(order(publish=tuple(Secret(f"dotenv:{f}") for f in (fine, blocked))))
    blocked.mkdir()
    before = rows.all()
    trials = {t.label: t.obstacle for t in ready.check_destinations("web")}
    assert trials[f"dotenv:{fine}"] is None
    assert trials[f"dotenv:{blocked}"]
    assert (rows.all(), fine.exists()) == (before, False)
