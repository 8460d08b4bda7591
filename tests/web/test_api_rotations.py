"""Our own API: everything that the command line can do, with the same answers as its ``--json``."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tasks.providers.openrouter.emulator import Fault, FaultKind
from tests.web.declared import checked
from tests.web.served import PATIENCE_S, Served
from worker.plain import as_json

V1 = "/api/rotator/v1"
ORDER: dict[str, Any] = {"name": "web", "connection": "prod", "every": "30d", "key_name": "web"}


@pytest.fixture
def admin(web: Served) -> httpx.Client:
    """A client that may do everything, and one connection."""
    web.connect()
    return checked(web, web.client("admin"))


def _same(answer: httpx.Response, view: object) -> None:
    assert answer.json() == json.loads(as_json(view))


def _refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    assert told["statusCode"] == status
    return told


def test_a_rotation_is_made_shown_and_listed_as_the_command_line_shows_it(
    web: Served, admin: httpx.Client, tmp_path: Path
) -> None:
    order = ORDER | {"publish": [f"dotenv:{tmp_path / 'web.env'}"], "limit_usd": 50, "limit_reset": "monthly"}
    made = admin.post(f"{V1}/rotations", json=order)
    assert made.status_code == 201
    assert made.json()["parameters"]["limit_usd"] == 50.0
    web.until_version("web", 1)
    web.work.rest()
    _same(admin.get(f"{V1}/rotations/web"), web.operations.show_rotation("web"))
    assert admin.get(f"{V1}/rotations").json() == {"rotations": [admin.get(f"{V1}/rotations/web").json()], "broken": []}
    told = admin.get(f"{V1}/status").json()
    assert (told["rotations"][0]["active_version"], told["connections"][0]["name"]) == (1, "prod")
    (created,) = (e for e in web.operations.events(rotation="web") if e.name == "rotation_created")
    assert created.actor.startswith("token:admin-")


def test_a_preview_tells_without_storing(web: Served, admin: httpx.Client, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked.env"
    blocked.mkdir()
    told = admin.post(f"{V1}/rotations/preview", json=ORDER | {"publish": [f"dotenv:{blocked}"]}).json()
    assert (told["name_at_openrouter"], len(told["upcoming"])) == ("web #1-<marker>", 3)
    (trial,) = told["destinations"]
    assert trial["label"] == f"dotenv:{blocked}"
    assert "--" not in trial["obstacle"]
    assert web.operations.list_rotations() == ()


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("name", {"name": "No Slug"}),
    "connection": ("connection", {"connection": 5}),
    "no schedule": ("every", {"every": None}),
    "interval": ("every", {"every": "monthly"}),
    "both": ("cron", {"cron": "0 3 1 * *"}),
    "limit": ("limit_usd", {"limit_usd": -1}),
    "endless limit": ("limit_usd", {"limit_usd": 1e300 * 1e300}),
    "reset": ("limit_reset", {"limit_reset": "hourly"}),
    "reset of nothing": ("limit_reset", {"limit_reset": "daily"}),
    "overlap": ("overlap", {"overlap": "?"}),
    "expiry": ("expires_after", {"expires_after": "2d"}),
    "secret name": ("secret_name", {"secret_name": "LD_PRELOAD"}),
    "hash": ("adopt_hash", {"adopt_hash": "sk-or-v1-canary"}),
    "key name": ("key_name", {"key_name": None}),
    "kind": ("publish", {"publish": ["pigeon:coop-canary"]}),
    "no text": ("publish.0", {"publish": [{"canary": 1}]}),
    "unknown field": ("colour", {"colour": "canary"}),
    "no text to be converted": ("initial", {"initial": "yes"}),
}


@pytest.mark.parametrize("wanted", ["rotations", "rotations/preview"])
def test_what_is_wrong_is_named_by_the_field_of_the_request(web: Served, admin: httpx.Client, wanted: str) -> None:
    before = web.operations.events(limit=1000)
    for field, changes in WRONG.values():
        body = json.dumps(ORDER | changes)
        told = _refused(admin.post(f"{V1}/{wanted}", content=body, headers={"Content-Type": "application/json"}), 422)
        (issue,) = told["message"]
        assert ".".join(issue["path"]) == field, told
        assert "canary" not in json.dumps(told)
        assert "--" not in json.dumps(told)
    assert web.operations.events(limit=1000) == before


def test_what_clashes_is_a_conflict_and_what_is_not_there_is_not_found(admin: httpx.Client) -> None:
    assert admin.post(f"{V1}/rotations", json=ORDER).status_code == 201
    assert "already" in _refused(admin.post(f"{V1}/rotations", json=ORDER), 409)["message"]
    _refused(admin.post(f"{V1}/rotations", json=ORDER | {"name": "other", "connection": "nowhere"}), 404)
    for path in ("", "/versions", "/deliveries", "/destinations", "/events", "/dry-run", "/secret"):
        _refused(admin.get(f"{V1}/rotations/none{path}"), 404)
    _refused(admin.get(f"{V1}/rotations/No Slug"), 422)
    _refused(admin.delete(f"{V1}/connections/prod"), 409)


def test_a_change_keeps_what_it_does_not_name(web: Served, admin: httpx.Client) -> None:
    admin.post(f"{V1}/rotations", json=ORDER | {"limit_usd": 5, "limit_reset": "daily", "timezone": "Europe/Berlin"})
    changed = admin.patch(f"{V1}/rotations/web", json={"overlap": "2h"}).json()
    assert (changed["overlap"], changed["parameters"]["limit_usd"], changed["schedule"]) == ("2h", 5.0, "every 30d")
    changed = admin.patch(f"{V1}/rotations/web", json={"limit_usd": None, "every": "7d", "at": "03:00"}).json()
    assert (changed["parameters"]["limit_usd"], changed["schedule"]) == (None, "every 7d at 03:00 UTC")
    assert _refused(admin.patch(f"{V1}/rotations/web", json={}), 422)["message"][0]["path"] == ["body"]
    for body in ({"key_name": None}, {"overlap": None}, {"timezone": None}):
        _refused(admin.patch(f"{V1}/rotations/web", json=body), 422)


def test_keys_come_and_go_by_the_api_alone(web: Served, admin: httpx.Client) -> None:
    web.rotation()
    told = admin.get(f"{V1}/rotations/web/dry-run").json()
    assert (told["version"], told["obstacles"]) == (2, [])
    asked = admin.post(f"{V1}/rotations/web/rotate")
    assert (asked.status_code, asked.json()["version"]) == (202, 2)
    assert "--local" not in asked.text
    web.until_version("web", 2)
    assert admin.post(f"{V1}/rotations/web/undo").json()["version"] == 1
    web.until_version("web", 1)
    for confirm in ("", "wrong"):
        _refused(admin.post(f"{V1}/rotations/web/emergency", json={"confirm": confirm}), 422)
    assert admin.post(f"{V1}/rotations/web/emergency", json={"confirm": "web"}).json()["version"] == 3
    web.until_version("web", 3)

    page = admin.get(f"{V1}/rotations/web/versions", params={"limit": 2}).json()
    assert ([v["number"] for v in page["versions"]], page["more"]) == ([3, 2], True)
    page = admin.get(f"{V1}/rotations/web/versions", params={"before": page["cursor"]}).json()
    assert ([v["number"] for v in page["versions"]], page["more"]) == ([1], False)


def test_a_change_of_what_somebody_else_changed_meanwhile_is_refused(admin: httpx.Client, tmp_path: Path) -> None:
    for path, change in ((f"{V1}/rotations/web", {"overlap": "1h"}), (f"{V1}/connections/prod", {"description": "x"})):
        admin.post(f"{V1}/rotations", json=ORDER | {"initial": False})
        seen = admin.get(path).headers["ETag"]
        assert admin.patch(path, json=change, headers={"If-Match": seen}).headers["ETag"] != seen
        _refused(admin.patch(path, json=change | {"description": "y"}, headers={"If-Match": seen}), 412)
        _refused(admin.patch(path, json=change, headers={"If-Match": "no tag"}), 422)
    stale, path = {"If-Match": '"stale"'}, f"{V1}/rotations/web"
    _refused(admin.post(f"{path}/destinations", json={"publish": f"dotenv:{tmp_path / 'x.env'}"}, headers=stale), 412)
    _refused(admin.delete(path, params={"keys": "keep"}, headers=stale), 412)
    assert admin.get(path).json()["status"] == "ok"


def test_names_and_labels_change_and_the_rest_stays(web: Served, admin: httpx.Client) -> None:
    labels = {"project_id": "p-1", "environment": "prod", "secret_path": "/a", "description": "The shop."}
    admin.post(f"{V1}/rotations", json=ORDER | labels | {"initial": False, "paused": True})
    told = admin.patch(f"{V1}/rotations/web", json={"name": "shop", "environment": None}).json()
    assert [told[k] for k in ("name", "project_id", "environment", "description")] == ["shop", "p-1", None, "The shop."]
    assert (told["status"], admin.get(f"{V1}/rotations/web").status_code) == ("paused", 404)
    assert admin.patch(f"{V1}/connections/prod", json={"name": "live"}).json()["rotations"] == ["shop"]
    for body, field in (({"name": "No Slug"}, "name"), ({"project_id": "a\nb"}, "project_id")):
        assert _refused(admin.patch(f"{V1}/rotations/shop", json=body), 422)["message"][0]["path"] == [field]
    assert _refused(admin.patch(f"{V1}/rotations/shop", json={"name": None}), 422)


def test_pausing_and_resuming_answer_the_rotation(web: Served, admin: httpx.Client) -> None:
    web.rotation()
    assert admin.post(f"{V1}/rotations/web/pause").json()["status"] == "paused"
    assert admin.post(f"{V1}/rotations/web/resume").json()["status"] == "ok"


def test_a_rotation_ends_only_when_it_is_said_what_becomes_of_its_keys(web: Served, admin: httpx.Client) -> None:
    web.rotation()
    for params in ({}, {"keys": "both"}):
        _refused(admin.delete(f"{V1}/rotations/web", params=params), 422)
    ended = admin.delete(f"{V1}/rotations/web", params={"keys": "keep"})
    assert (ended.status_code, ended.json()["keys"]) == (202, "keep-keys")
    while admin.get(f"{V1}/rotations/web").status_code != 404:
        pass
    assert len(web.account.live()) == 1


def test_destinations_come_are_tried_and_go(web: Served, admin: httpx.Client, tmp_path: Path) -> None:
    web.rotation()
    web.work.rest()
    more = tmp_path / "more.env"
    path = f"{V1}/rotations/web/destinations"
    added = admin.post(path, json={"publish": f"dotenv:{more}"})
    assert (added.status_code, len(added.json()["destinations"])) == (201, 2)
    due = {
        d["label"]: (d["version"], d["due"]) for d in admin.get(f"{V1}/rotations/web/deliveries").json()["deliveries"]
    }
    assert due == {f"dotenv:{tmp_path / 'web.env'}": (1, None), f"dotenv:{more}": (None, 1)}
    web.work.go_on()
    while admin.get(f"{V1}/rotations/web/deliveries").json()["deliveries"][1]["version"] != 1:
        pass
    more.unlink()
    more.mkdir()
    told = admin.post(f"{path}/check").json()["destinations"]
    assert [d["obstacle"] is None for d in told] == [True, False]
    again = {"publish": f"dotenv:{tmp_path / 'web.env'}"}
    assert len(admin.post(path, json=again).json()["destinations"]) == 2, "one that is there is changed"
    _refused(admin.delete(path, params={"label": "dotenv:/nowhere"}), 404)
    _refused(admin.delete(path, params={"label": "a\x00b"}), 422)
    left = admin.delete(path, params={"label": f"dotenv:{more}"}).json()["destinations"]
    assert [d["label"] for d in left] == [f"dotenv:{tmp_path / 'web.env'}"]


def test_connections_are_proven_changed_and_deleted(web: Served) -> None:
    admin, path = checked(web, web.client("admin")), f"{V1}/connections"
    key = web.management_key.reveal()
    made = admin.post(path, json={"name": "prod", "api_key": key, "description": "team A"})
    assert made.status_code == 201
    _same(made, web.operations.show_connection("prod"))
    assert key not in made.text
    assert admin.get(path).json() == {"connections": [admin.get(f"{path}/prod").json()]}
    assert admin.post(f"{path}/prod/check").json()["health"] == "valid"
    assert admin.patch(f"{path}/prod", json={"description": None}).json()["description"] is None
    _refused(admin.patch(f"{path}/prod", json={"api_key": f"emulator-{web.canary}-wrong"}), 401)
    for body in ({}, {"api_key": None}, {"api_key": " "}):
        assert web.canary not in json.dumps(_refused(admin.patch(f"{path}/prod", json=body), 422))
    assert admin.post(f"{V1}/reconcile", json={"connection": "prod"}).json() == {"findings": []}
    assert admin.post(f"{V1}/reconcile", json={}).json() == {"findings": []}
    assert admin.delete(f"{path}/prod").json() == {"connection": "prod"}
    _refused(admin.get(f"{path}/prod"), 404)


def test_a_wrong_management_key_is_refused_and_not_repeated(web: Served) -> None:
    wrong = f"sk-or-v1-{web.canary}"
    answer = web.client("admin").post(f"{V1}/connections", json={"name": "prod", "api_key": wrong})
    _refused(answer, 401)
    assert web.canary not in answer.text


def test_one_row_that_cannot_be_hides_no_other(web: Served, admin: httpx.Client) -> None:
    for name in ("well", "ill"):
        admin.post(f"{V1}/rotations", json=ORDER | {"name": name, "initial": False})
    web.work.rest()
    engine = sa.create_engine(web.settings.database().reveal())
    with engine.begin() as database:
        database.execute(sa.text("UPDATE rotations SET cron = 'never', every = NULL WHERE name = 'ill'"))
    engine.dispose()
    told = admin.get(f"{V1}/rotations").json()
    assert [r["name"] for r in told["rotations"]] == ["well"]
    assert "ill" in told["broken"][0]
    assert _refused(admin.get(f"{V1}/rotations/ill"), 500)["family"] == "broken"


def test_an_openrouter_that_hangs_leaves_the_others_to_who_only_reads(web: Served, admin: httpx.Client) -> None:
    web.emulator.faults.add(Fault(kind=FaultKind.HOLD))
    with ThreadPoolExecutor(40) as pool:
        hanging = [pool.submit(admin.post, f"{V1}/connections/prod/check") for _ in range(40)]
        time.sleep(0.5)
        began_s = time.monotonic()
        assert admin.get(f"{V1}/status").status_code == 200
        took_s = time.monotonic() - began_s
        web.emulator.faults.clear()
        assert {answer.result(PATIENCE_S).status_code for answer in hanging} == {200}
    assert took_s < 2


def test_an_order_that_comes_twice_makes_one_rotation(web: Served, admin: httpx.Client) -> None:
    web.rotation()
    web.work.rest()
    for _ in range(2):
        asked = admin.post(f"{V1}/rotations/web/rotate", headers={"Idempotency-Key": "order-1"})
        assert (asked.status_code, asked.json()["version"]) == (202, 2)
    assert len([e for e in web.operations.events(rotation="web") if e.name == "version_planned"]) == 2


def test_a_password_of_a_destination_is_in_no_answer(web: Served, admin: httpx.Client) -> None:
    publish = [f"redis://:{web.canary}@127.0.0.1:1/0#key", f"redis:redis://:{web.canary}@127.0.0.1:1/0#key"]
    web.rotation()
    for target in publish:
        for path, body in (
            ("rotations/preview", ORDER | {"name": "other", "publish": [target]}),
            ("rotations", ORDER | {"name": "other", "publish": [target]}),
            ("rotations/web/destinations", {"publish": target}),
        ):
            answer = admin.post(f"{V1}/{path}", json=body)
            assert answer.status_code in {200, 422, 503}, answer.text
