"""Rotations: every option reaches its field, and what is final is asked for."""

from __future__ import annotations

import json

import pytest

from config.secret import MASK, Secret
from tasks.operations.requests import UNSET, DestinationRequest, RotationRequest, RotationUpdate, ScheduleRequest
from tasks.operations.views import DestinationTrial
from tasks.rotation.errors import NotFound
from tasks.rotation.model import OnDrift, Removal
from tests.unit.cli.fake import NOW, FakeOperations, Run, delivery_view

ROTATION_KEYS = (
    "id name connection parameters schedule overlap cooling secret_name status paused removal attention remedy "
    "active_version active_hash active_since in_flight last_rotated_at next_rotation_at upcoming destinations "
    "created_at updated_at connection_id description project_id environment secret_path timing waits_until stopped "
    "active usable revision"
)


def test_create_with_the_least(run: Run, ops: FakeOperations) -> None:
    result = run("rotation", "create", "web", "--connection", "prod", "--key-name", "web", "--every", "30d")
    assert result.exit_code == 0
    request = RotationRequest(name="web", connection="prod", key_name="web", schedule=ScheduleRequest(every="30d"))
    assert ops.asked == [("create_rotation", request)]


def test_create_with_everything(run: Run, ops: FakeOperations) -> None:
    target = "redis:redis://:hunter2@cache:6379/0#openrouter"
    result = run(
        *("rotation", "create", "web", "--connection", "prod", "--key-name", "web"),
        *("--limit", "50", "--limit-reset", "monthly", "--include-byok-in-limit", "--workspace-id", "w"),
        *("--expires-after", "60d", "--every", "30d", "--at", "03:00", "--timezone", "Europe/Berlin", "--window", "2h"),
        *("--overlap", "2h", "--cooling", "0", "--secret-name", "KEY", "--publish", "dotenv:/a"),
        *("--publish-optional", target, "--on-drift", "report"),
        *("--adopt-hash", "h", "--no-initial"),
    )
    assert result.exit_code == 0
    request = RotationRequest(
        name="web",
        connection="prod",
        schedule=ScheduleRequest(every="30d", at="03:00", timezone="Europe/Berlin", window="2h"),
        key_name="web",
        limit_usd=50.0,
        limit_reset="monthly",
        include_byok_in_limit=True,
        workspace_id="w",
        expires_after="60d",
        overlap="2h",
        cooling="0",
        secret_name="KEY",
        publish=(
            DestinationRequest(Secret("dotenv:/a"), optional=False, on_drift=OnDrift.REPORT),
            DestinationRequest(Secret(target), optional=True, on_drift=OnDrift.REPORT),
        ),
        adopt_hash="h",
        initial=False,
    )
    assert ops.asked == [("create_rotation", request)]
    assert "hunter2" not in result.output
    assert MASK in repr(ops.asked)


def test_adopting_without_a_destination_asks(run: Run, ops: FakeOperations, terminal: None) -> None:
    adopt = ("rotation", "create", "web", "--connection", "prod", "--adopt-hash", "h", "--every", "30d")
    refused = run(*adopt, stdin="n\n")
    assert refused.exit_code == 1
    assert "without --publish the successor goes nowhere" in refused.stderr
    assert ops.asked == []
    assert run(*adopt, stdin="y\n").exit_code == 0
    assert run(*adopt, "--yes").exit_code == 0
    assert run(*adopt, "--publish", "dotenv:/a").exit_code == 0
    assert [name for name, *_ in ops.asked] == ["create_rotation"] * 3


def test_create_by_cron(run: Run, ops: FakeOperations) -> None:
    run("rotation", "create", "web", "--connection", "prod", "--key-name", "web", "--cron", "0 3 1 * *")
    request = ops.asked[0][1]
    assert isinstance(request, RotationRequest)
    assert request.schedule == ScheduleRequest(cron="0 3 1 * *")


def test_update_changes_only_what_is_given(run: Run, ops: FakeOperations) -> None:
    result = run("rotation", "update", "web", "--no-limit", "--unpublish", "dotenv:/old")
    assert result.exit_code == 0
    assert ops.asked == [("update_rotation", "web", RotationUpdate(limit_usd=None, remove_publish=("dotenv:/old",)))]
    assert "next version" in result.stderr


def test_update_of_the_schedule_says_nothing_of_the_next_version(run: Run, ops: FakeOperations) -> None:
    result = run("rotation", "update", "web", "--every", "14d", "--overlap", "2h")
    change = RotationUpdate(schedule=ScheduleRequest(every="14d"), overlap="2h")
    assert ops.asked == [("update_rotation", "web", change)]
    assert change.limit_usd is UNSET
    assert result.stderr == ""


@pytest.mark.parametrize("given", [[], ["--limit", "5", "--no-limit"]])
def test_update_that_makes_no_sense(run: Run, ops: FakeOperations, given: list[str]) -> None:
    assert run("rotation", "update", "web", *given).exit_code == 2
    assert ops.asked == []


def test_show_tells_the_next_three_times(run: Run) -> None:
    out = run("rotation", "show", "web").stdout
    assert [line.split()[0] for line in out.splitlines() if "03:00:00Z (in" in line] == ["next", "then", "then"]
    assert "dotenv:/srv/web/.env  holds v2" in out


def test_show_as_json(run: Run) -> None:
    view = json.loads(run("rotation", "show", "web", "--json").stdout)
    assert view["overlap"] == "1d"
    assert view["upcoming"][0] == "2026-12-21T03:00:00Z"
    assert view["parameters"]["limit_usd"] == 50.0
    assert " ".join(view) == ROTATION_KEYS


def test_list(run: Run) -> None:
    assert "web" in run("rotation", "list").stdout
    assert [view["name"] for view in json.loads(run("rotation", "list", "--json").stdout)] == ["web"]


def test_pause_and_resume(run: Run, ops: FakeOperations) -> None:
    assert "paused" in run("rotation", "pause", "web").stdout
    assert run("rotation", "resume", "web").exit_code == 0
    assert ops.asked == [("pause_rotation", "web"), ("resume_rotation", "web")]


def test_history(run: Run) -> None:
    lines = run("rotation", "history", "web").stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["v1", "deleted", "scheduled", "schedule"],
        ["v2", "active", "scheduled", "schedule"],
    ]
    view = json.loads(run("rotation", "history", "web", "--json").stdout)
    assert view["versions"][1]["state"] == "active"
    assert view["events"][0]["detail"] == {"took": "1s"}


@pytest.mark.parametrize("given", [[], ["--keep-keys", "--revoke-keys"]])
def test_delete_must_say_what_becomes_of_the_keys(run: Run, ops: FakeOperations, given: list[str]) -> None:
    result = run("rotation", "delete", "web", *given, "--yes")
    assert result.exit_code == 2
    assert "--keep-keys or --revoke-keys" in result.stderr
    assert ops.asked == []


def test_delete_asks_for_the_name(run: Run, ops: FakeOperations, terminal: None) -> None:
    assert run("rotation", "delete", "web", "--revoke-keys", stdin="no\n").exit_code == 1
    assert ops.asked == [("show_rotation", "web")]
    assert run("rotation", "delete", "web", "--revoke-keys", stdin="web\n").exit_code == 0
    assert ops.asked[-1] == ("delete_rotation", "web", Removal.REVOKE_KEYS, False)


def test_delete_with_yes_asks_nothing(run: Run, ops: FakeOperations) -> None:
    result = run("rotation", "delete", "web", "--keep-keys", "--yes")
    assert result.exit_code == 0
    assert ops.asked[-1] == ("delete_rotation", "web", Removal.KEEP_KEYS, False)
    assert "No worker was told." in result.stderr


def test_delete_here_does_the_workers_part(run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = ("rotation", "delete", "web", "--keep-keys", "--yes", "--local")
    unfinished = run(*delete)
    assert unfinished.exit_code == 1
    assert "is not gone yet" in unfinished.stderr
    assert ("advance_here", "web") in ops.asked
    looks = iter([None, NotFound("It is gone.")])

    def show(_name: str) -> None:
        if (gone := next(looks)) is not None:
            raise gone

    monkeypatch.setattr(ops, "show_rotation", show)
    result = run(*delete)
    assert result.exit_code == 0
    assert 'Rotation "web" is gone' in result.stderr
    assert "No worker was told." not in result.stderr


@pytest.mark.parametrize("arguments", ["rotation show \udcff", "rotation create web --key-name \udce4", "\udcff"])
def test_what_is_no_utf8_is_one_line(run: Run, ops: FakeOperations, arguments: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stderr == "error: an argument is not UTF-8 text\n"
    assert ops.asked == []


# --- destinations -----------------------------------------------------------------------------------------------


def test_publish_adds_or_changes_one_destination(run: Run, ops: FakeOperations) -> None:
    target = "redis:redis://:hunter2@cache:6379/0#openrouter"
    assert run("rotation", "publish", "web", target, "--optional", "--on-drift", "report").exit_code == 0
    shown = run("rotation", "publish", "web", "--destination-stdin", stdin=f"{target}\n")
    assert shown.exit_code == 0
    wanted = (DestinationRequest(Secret(target), True, OnDrift.REPORT), DestinationRequest(Secret(target)))
    assert [request for _, _, request in ops.asked] == [RotationUpdate(add_publish=(one,)) for one in wanted]
    assert "hunter2" not in shown.output


def test_publish_takes_a_destination_from_one_place(run: Run, ops: FakeOperations) -> None:
    refused = run("rotation", "publish", "web", "dotenv:/a", "--destination-stdin", stdin="dotenv:/b")
    assert refused.exit_code == 2
    assert "exclude each other" in refused.stderr
    assert run("rotation", "publish", "web", stdin="").exit_code == 2
    assert run("rotation", "publish", "web", "dotenv:/a", "--on-drift", "shout").exit_code == 2
    assert ops.asked == []


def test_unpublish_leaves_the_key_there_unless_told_otherwise(run: Run, ops: FakeOperations) -> None:
    for extra, withdraw in (((), False), (("--withdraw",), True)):
        assert run("rotation", "unpublish", "web", "dotenv:/a", *extra).exit_code == 0
        assert ops.asked[-1][2] == RotationUpdate(remove_publish=("dotenv:/a",), withdraw=withdraw)
    assert run("rotation", "update", "web", "--withdraw").exit_code == 2


def test_check_destination_says_of_each_whether_it_would_do(run: Run, ops: FakeOperations) -> None:
    well = run("rotation", "check-destination", "web")
    assert (well.exit_code, "may be read and written" in well.stdout) == (0, True)
    ops.trials = (*ops.trials, DestinationTrial("redis", "redis:cache", "redis:cache: it is away."))
    ill = run("rotation", "check-destination", "web")
    assert (ill.exit_code, "it is away." in ill.stdout) == (1, True)
    assert json.loads(run("rotation", "check-destination", "web", "--json").stdout)[1]["obstacle"]
    ops.trials = ()
    assert "publishes nowhere" in run("rotation", "check-destination", "web").stdout


def test_show_tells_what_each_destination_waits_for(run: Run, ops: FakeOperations) -> None:
    ops.places = (
        delivery_view(label="dotenv:/b", optional=True, version=None),
        delivery_view(label="dotenv:/c", leaving=True, error="it is away.", remedy="Mend it.", attempts=3),
        delivery_view(label="dotenv:/d", on_drift=OnDrift.REPORT, attempts=2, next_attempt_at=NOW),
    )
    shown = run("rotation", "show", "web").stdout
    for said in (
        "dotenv:/b (optional)  nothing delivered yet",
        "the key is being withdrawn",
        "it is away. Mend it.",
        "3 attempts in vain",
        "(drift only reported)",
        "2 attempts in vain; the next is at",
    ):
        assert said in shown


def test_delete_withdraws_on_request(run: Run, ops: FakeOperations) -> None:
    assert run("rotation", "delete", "web", "--keep-keys", "--withdraw", "--yes").exit_code == 0
    assert ops.asked[-1] == ("delete_rotation", "web", Removal.KEEP_KEYS, True)
