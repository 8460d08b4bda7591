"""OpenRouter API key rotations, asked for as scripts of Infisical's ask for them."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest
from dotenv import dotenv_values

from tasks.providers.openrouter.emulator import Fault, FaultKind
from tests.web.served import Served

BASE = "/api/v2/secret-rotations"
TYPE = f"{BASE}/open-router-api-key"


def wanted(connection_id: str, name: str = "my-openrouter-rotation", **more: Any) -> dict[str, Any]:
    usual = {
        "name": name,
        "projectId": "p1",
        "connectionId": connection_id,
        "environment": "dev",
        "secretPath": "/api/",
        "rotationInterval": 30,
        "parameters": {"name": "my-app-key", "limit": 100, "limitReset": "monthly", "includeByokInLimit": False},
        "secretsMapping": {"apiKey": "OPEN_ROUTER_API_KEY"},
    }
    return usual | more


def made(admin: httpx.Client, body: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = admin.post(TYPE, json=body, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["secretRotation"]
    return found


def rotated(caller: httpx.Client, id_: str, **query: Any) -> httpx.Response:
    return caller.post(f"{TYPE}/{id_}/rotate-secrets", params=query)


def refused(answer: httpx.Response, status: int, error: str) -> Any:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    return answer.json()["message"]


def test_the_first_key_is_there_when_creation_is_answered(web: Served) -> None:
    admin, connection = web.client("admin"), web.connect()
    target = web.folder / "app.env"
    one = made(admin, wanted(connection, description="mine", destinations=[f"dotenv:{target}"]))
    assert {
        "type": "open-router-api-key",
        "description": "mine",
        "isAutoRotationEnabled": True,
        "activeIndex": 0,
        "rotationInterval": 30,
        "rotateAtUtc": {"hours": 0, "minutes": 0},
        "rotationStatus": "success",
        "lastRotationMessage": None,
        "isLastRotationManual": True,
        "projectId": "p1",
        "connection": {"app": "open-router", "name": "prod", "id": connection},
        "status": "ok",
        "activeVersion": 1,
        "overlap": "1d",
        "cooling": "1d",
        "parameters": {"name": "my-app-key", "limit": 100.0, "limitReset": "monthly", "includeByokInLimit": False},
        "secretsMapping": {"apiKey": "OPEN_ROUTER_API_KEY"},
    }.items() <= one.items()
    assert (one["environment"]["slug"], one["folder"]["path"], one["folder"]["id"]) == ("dev", "/api", one["folderId"])
    assert one["nextRotationAt"].endswith("T00:00:00.000Z")
    assert one["lastRotationAttemptedAt"] <= one["lastRotatedAt"]
    (found,) = admin.get(f"{TYPE}/{one['id']}/generated-credentials").json()["generatedCredentials"]
    assert dotenv_values(target)["OPEN_ROUTER_API_KEY"] == found["apiKey"]
    assert found["keyHash"] == web.operations.show_rotation(one["name"]).active_hash


def test_it_is_found_by_id_by_name_and_in_lists(web: Served) -> None:
    admin, connection = web.client("admin"), web.connect()
    one = made(admin, wanted(connection))
    other = made(admin, wanted(connection, "other", projectId="p2", secretPath="/"))
    assert other["folder"] == {"id": other["folderId"], "path": "/"}
    assert other["environment"]["id"] != one["environment"]["id"]
    for path in (BASE, f"{BASE}/", TYPE, f"{TYPE}/"):
        answer = admin.get(path, params={"projectId": "p1"}).json()
        assert [r["name"] for r in answer["secretRotations"]] == [one["name"]]
        assert len(admin.get(path).json()["secretRotations"]) == 2
    assert admin.get(f"{TYPE}/{one['id']}").json()["secretRotation"] == one
    by_name, labels = f"{TYPE}/rotation-name/{one['name']}", {"projectId": "p1", "environment": "dev"}
    assert admin.get(by_name, params={**labels, "secretPath": "/api/"}).json()["secretRotation"] == one
    for wrong in ({"projectId": "p2"}, {"environment": "prod"}, {"secretPath": "/"}):
        refused(admin.get(by_name, params={**labels, **wrong}), 404, "NotFound")
    missing = str(uuid.uuid4())
    assert refused(admin.get(f"{TYPE}/{missing}"), 404, "NotFound") == (
        f'Could not find OpenRouter API Key Rotation with ID "{missing}"'
    )


def test_rotating_ends_with_the_new_key_in_service_and_the_old_one_still_working(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect()))
    answer = rotated(web.client("operator"), one["id"])
    again = answer.json()["secretRotation"]
    assert (answer.status_code, again["activeVersion"], again["activeIndex"]) == (200, 2, 1)
    assert again["lastRotationJobId"] != one["lastRotationJobId"]
    told = admin.get(f"{TYPE}/{one['id']}/generated-credentials")
    assert told.headers["Cache-Control"] == "no-store"
    body = told.json()
    assert (body["activeIndex"], body["rotationId"], body["type"]) == (1, one["id"], "open-router-api-key")
    keys = [c["apiKey"] for c in body["generatedCredentials"]]
    assert len(set(keys)) == 2
    events = [e for e in web.operations.events(limit=500) if e.name == "key_read"]
    assert [e.version for e in events] == [1, 2]
    assert all(e.actor.startswith("token:admin-") for e in events)


def test_two_who_rotate_at_once_get_one_rotation(web: Served) -> None:
    one = made(web.client("admin"), wanted(web.connect()))
    web.work.rest()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(rotated, web.client("operator"), one["id"]) for _ in range(2)]
        while web.operations.show_rotation(one["name"]).in_flight is None:
            pass
        web.work.go_on()
        versions = [a.result().json()["secretRotation"]["activeVersion"] for a in asked]
    assert versions == [2, 2]


def test_who_does_not_wait_is_told_how_it_stands(web: Served) -> None:
    web.work.rest()
    one = made(web.client("admin"), wanted(web.connect()), wait=0)
    assert (one["status"], one["rotationStatus"], one["activeVersion"]) == ("rotating", None, None)
    assert one["lastRotatedAt"] is None
    refused(web.client("admin").post(TYPE, json={}, params={"wait": 61}), 422, "ValidationFailure")


def test_a_first_key_that_cannot_be_minted_leaves_the_rotation_and_says_so(web: Served) -> None:
    connection = web.connect()
    web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=403, method="POST", path="/keys"))
    one = made(web.client("admin"), wanted(connection))
    assert (one["rotationStatus"], one["activeVersion"], one["status"]) == ("failed", None, "needs_attention")
    assert one["lastRotationMessage"]
    web.emulator.faults.clear()
    web.operations.resume_rotation(one["name"])
    web.until_version(one["name"], 1)


@pytest.mark.parametrize(
    ("status", "answered", "error"), [(401, 401, "UnauthorizedError"), (429, 503, "ServiceUnavailable")]
)
def test_a_rotation_that_openrouter_stops_says_whose_fault_it_is(
    web: Served, status: int, answered: int, error: str
) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect()))
    web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=status, method="POST", path="/keys"))
    answer = rotated(admin, one["id"])
    assert "tried again by itself" in refused(answer, answered, error)
    assert ("Retry-After" in answer.headers) is (answered == 503)
    shown = admin.get(f"{TYPE}/{one['id']}").json()["secretRotation"]
    assert (shown["rotationStatus"], shown["activeVersion"]) == ("failed", 1)
    web.emulator.faults.clear()
    again = rotated(admin, one["id"])
    if status == 401:
        assert again.json()["secretRotation"]["activeVersion"] == 2
    else:
        assert "asked this connection to wait" in refused(again, 503, "ServiceUnavailable")
        assert int(again.headers["Retry-After"]) > 10


@pytest.mark.parametrize("revoked", [False, True])
def test_deleting_keeps_the_keys_or_revokes_them(web: Served, revoked: bool) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect()))
    rotated(admin, one["id"])
    answer = admin.delete(
        f"{TYPE}/{one['id']}", params={"revokeGeneratedCredentials": str(revoked).lower(), "deleteSecrets": "true"}
    )
    assert (answer.status_code, answer.json()["secretRotation"]["id"]) == (200, one["id"])
    refused(admin.get(f"{TYPE}/{one['id']}"), 404, "NotFound")
    assert len(web.account.existing()) == (0 if revoked else 2)


def test_an_end_that_openrouter_delays_is_told_and_goes_on(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect()))
    web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=500, method="DELETE", path="/keys/*"))
    answer = admin.delete(f"{TYPE}/{one['id']}", params={"revokeGeneratedCredentials": "true"})
    assert "tried again by itself" in refused(answer, 503, "ServiceUnavailable")
    assert admin.get(f"{TYPE}/{one['id']}").json()["secretRotation"]["status"] == "removing"
    web.emulator.faults.clear()
    again = admin.delete(f"{TYPE}/{one['id']}", params={"revokeGeneratedCredentials": "true"})
    assert again.status_code == 200
    refused(admin.get(f"{TYPE}/{one['id']}"), 404, "NotFound")


@pytest.mark.parametrize("deleted", [False, True])
def test_what_was_published_stays_or_is_withdrawn(web: Served, deleted: bool) -> None:
    admin, file = web.client("admin"), web.folder / "app.env"
    one = made(admin, wanted(web.connect(), destinations=[f"dotenv:{file}"]))
    path = f"{TYPE}/{one['id']}"
    refused(admin.delete(path, params={"deleteSecrets": "yes"}), 422, "ValidationFailure")
    assert admin.get(path).json()["secretRotation"]["status"] == "ok"
    assert admin.delete(path, params={"deleteSecrets": str(deleted).lower()}).status_code == 200
    assert ("OPEN_ROUTER_API_KEY" in file.read_text()) != deleted


def test_what_cannot_be_withdrawn_now_is_tried_until_it_can(web: Served) -> None:
    admin, file = web.client("admin"), web.folder / "app.env"
    one = made(admin, wanted(web.connect(), destinations=[f"dotenv:{file}"]))
    path, text = f"{TYPE}/{one['id']}", file.read_text()
    file.unlink()
    file.mkdir()
    answer = admin.delete(path, params={"deleteSecrets": "true", "wait": "0"})
    assert (answer.status_code, answer.json()["secretRotation"]["status"]) == (200, "removing")
    file.rmdir()
    file.write_text(text)
    assert admin.delete(path, params={"deleteSecrets": "true"}).status_code == 200
    assert "OPEN_ROUTER_API_KEY" not in file.read_text()


def test_what_is_left_out_of_a_change_stays(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect(), description="mine"))
    path = f"{TYPE}/{one['id']}"

    def changed(**body: Any) -> dict[str, Any]:
        answer = admin.patch(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["secretRotation"]
        return found

    assert changed() == one
    assert changed(name="shop", description=None)["description"] is None
    off = changed(isAutoRotationEnabled=False)
    assert (off["name"], off["isAutoRotationEnabled"], off["nextRotationAt"], off["status"]) == (
        "shop",
        False,
        None,
        "paused",
    )
    daily = changed(isAutoRotationEnabled=True, rotationInterval=1)
    assert (daily["rotationInterval"], daily["overlap"], daily["cooling"]) == (1, "12h", "12h")
    at = changed(rotateAtUtc={"hours": 2, "minutes": 30})
    assert (at["rotationInterval"], at["rotateAtUtc"]) == (1, {"hours": 2, "minutes": 30})
    assert at["nextRotationAt"].endswith("T02:30:00.000Z")
    bare = changed(parameters={"name": "other"})["parameters"]
    assert bare == {"name": "other", "limit": None, "limitReset": None, "includeByokInLimit": False}
    assert changed(secretsMapping={"apiKey": "OTHER_NAME"})["secretsMapping"] == {"apiKey": "OTHER_NAME"}
    assert changed(overlap="6h", cooling="1h")["overlap"] == "6h"


def test_who_insists_on_what_they_saw_changes_nothing_else(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web.connect()))
    path = f"{TYPE}/{one['id']}"
    seen = admin.get(path).headers["ETag"]
    assert rotated(admin, one["id"]).headers["ETag"] == seen
    assert admin.patch(path, json={"rotationInterval": 20}, headers={"If-Match": seen}).status_code == 200
    for late in (
        admin.patch(path, json={"rotationInterval": 10}, headers={"If-Match": seen}),
        admin.patch(path, json={}, headers={"If-Match": seen}),
        admin.delete(path, headers={"If-Match": seen}),
    ):
        refused(late, 412, "PreconditionFailed")
    shown = admin.get(path).json()["secretRotation"]
    assert (shown["rotationInterval"], shown["status"]) == (20, "ok")


WRONG: Final[list[tuple[dict[str, Any], list[str] | None, str]]] = [
    ({"rotationInterval": 1.5}, ["rotationInterval"], "whole days"),
    ({"rotationInterval": 0}, ["rotationInterval"], "greater than or equal to 1"),
    ({"rotationInterval": "often"}, ["rotationInterval"], "Expected number"),
    ({"rotateAtUtc": {"hours": 24, "minutes": 0}}, ["rotateAtUtc", "hours"], "23"),
    ({"connectionId": "prod"}, ["connectionId"], "UUID"),
    ({"environment": "Dev"}, ["environment"], "environment field can only contain lowercase"),
    ({"projectId": ""}, ["projectId"], "at least 1"),
    ({"secretPath": ""}, ["secretPath"], "at least 1"),
    ({"parameters": {"name": ""}}, ["parameters", "name"], "at least 1"),
    ({"parameters": {"name": "x", "limit": 0}}, ["parameters", "limit"], "greater than 0"),
    ({"parameters": {"name": "x", "limit": 1, "limitReset": "hourly"}}, ["parameters", "limitReset"], "daily"),
    ({"parameters": {"name": "a\x07b"}}, ["parameters", "name"], "printable"),
    ({"secretsMapping": {"apiKey": "a/b"}}, ["secretsMapping", "apiKey"], "slashes"),
    ({"secretsMapping": {"apiKey": "LD_PRELOAD"}}, ["secretsMapping", "apiKey"], "meaning of its own"),
    ({"overlap": "soon"}, ["overlap"], "span of time"),
    ({"overlap": "29d", "cooling": "2d"}, ["rotationInterval"], "two rotations"),
    ({"destinations": ["nowhere:x"]}, ["destinations"], "nowhere"),
    ({"destinations": "dotenv:x"}, ["destinations"], "list"),
]


def test_what_is_wrong_is_told_by_field_and_nothing_is_made(web: Served) -> None:
    admin, connection = web.client("admin"), web.connect()
    for change, path, message in WRONG:
        (issue,) = refused(admin.post(TYPE, json=wanted(connection, **change)), 422, "ValidationFailure")
        assert issue["path"] == path, (change, issue)
        assert message in issue["message"], (change, issue)
    assert admin.get(TYPE).json() == {"secretRotations": [], "broken": []}


def test_what_is_taken_or_unknown_is_told_in_their_words(web: Served) -> None:
    admin, connection, missing = web.client("admin"), web.connect(), str(uuid.uuid4())
    one = made(admin, wanted(connection, rotationInterval="30"))
    message = 'A Secret Rotation with the name "my-openrouter-rotation" already exists at the secret path "/api"'
    assert refused(admin.post(TYPE, json=wanted(connection)), 400, "BadRequest") == message
    message = f"Could not find App Connection with ID {missing}"
    assert refused(admin.post(TYPE, json=wanted(missing, "other")), 404, "NotFound") == message
    made(admin, wanted(connection, "other"))
    refused(admin.patch(f"{TYPE}/{one['id']}", json={"name": "other"}), 400, "BadRequest")
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secrets")):
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        refused(admin.request(method, f"{TYPE}/{missing}{path}", json=body), 404, "NotFound")
        refused(admin.request(method, f"{TYPE}/not-an-id{path}", json=body), 422, "ValidationFailure")


def test_a_destinations_credential_is_not_openrouters(web: Served) -> None:
    admin, connection = web.client("admin"), web.connect()
    place = f"redis:redis://nobody:{web.canary}@127.0.0.1:1/0#key"
    answer = admin.post(TYPE, json=wanted(connection, destinations=[place]))
    assert answer.status_code in {400, 422, 503}
    assert web.canary not in answer.text


def test_a_rotation_of_the_command_line_is_shown_as_far_as_it_can_be(web: Served) -> None:
    from tasks.operations.requests import ScheduleRequest

    web.connect()
    view = web.rotation("cron", schedule=ScheduleRequest(cron="0 3 1 * *", timezone="Europe/Berlin"))
    admin = web.client("admin")
    shown = admin.get(f"{TYPE}/{view.id}").json()["secretRotation"]
    for field in ("rotationInterval", "rotateAtUtc", "projectId", "folderId", "environment", "folder"):
        assert shown[field] is None, field
    assert shown["schedule"] == 'cron "0 3 1 * *" Europe/Berlin'
    (issue,) = refused(
        admin.patch(f"{TYPE}/{view.id}", json={"rotateAtUtc": {"hours": 1, "minutes": 0}}), 422, "ValidationFailure"
    )
    assert issue["path"] == ["rotationInterval"]
    moved = admin.patch(f"{TYPE}/{view.id}", json={"rotationInterval": 7}).json()["secretRotation"]
    assert (moved["rotationInterval"], moved["rotateAtUtc"]) == (7, {"hours": 0, "minutes": 0})


def test_the_options_have_a_template(web: Served) -> None:
    (option,) = web.client("viewer").get(f"{BASE}/options").json()["secretRotationOptions"]
    assert option == {
        "name": "OpenRouter API Key",
        "connection": "open-router",
        "type": "open-router-api-key",
        "template": {"secretsMapping": {"apiKey": "OPEN_ROUTER_API_KEY"}},
    }
