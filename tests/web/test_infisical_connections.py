"""App connections, asked for as scripts of Infisical's ask for them."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

import httpx

from tasks.providers.openrouter.emulator import Fault, FaultKind
from tests.web.served import Served

BASE = "/api/v1/app-connections"
APP = f"{BASE}/open-router"
PROJECT = "7ffbb072-2575-495a-b5b0-127f88caef78"


def wanted(web: Served, name: str = "my-openrouter-connection", **more: Any) -> dict[str, Any]:
    key = web.management_key.reveal()
    return {"name": name, "method": "api-key", "projectId": PROJECT, "credentials": {"apiKey": key}, **more}


def made(admin: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = admin.post(APP, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["appConnection"]
    return found


def refused(answer: httpx.Response, status: int, error: str) -> Any:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.json()["statusCode"] == status
    return answer.json()["message"]


def test_the_whole_life_of_a_connection(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web, description="  of the team "))
    assert one["credentials"] == {}
    assert (one["description"], one["project"]["id"], len(one["credentialsHash"])) == ("of the team", PROJECT, 64)
    for path in (BASE, f"{BASE}/", APP, f"{APP}/", f"{APP}?projectId={PROJECT}"):
        assert [c["id"] for c in admin.get(path).json()["appConnections"]] == [one["id"]], path
    assert admin.get(f"{APP}?projectId=other").json() == {"appConnections": []}
    assert admin.get(f"{APP}/{one['id']}").json() == {"appConnection": one}
    (available,) = admin.get(f"{APP}/available?projectId={PROJECT}").json()["appConnections"]
    assert available == {k: one[k] for k in ("app", "name", "id", "projectId", "orgId")}
    changed = admin.patch(f"{APP}/{one['id']}", json={"name": "renamed", "description": None}).json()["appConnection"]
    assert (changed["id"], changed["name"], changed["description"]) == (one["id"], "renamed", None)
    gone = admin.delete(f"{APP}/{one['id']}")
    assert (gone.status_code, gone.json()["appConnection"]["name"]) == (200, "renamed")
    assert refused(admin.get(f"{APP}/{one['id']}"), 404, "NotFound") == (
        f"Could not find App Connection with ID {one['id']}"
    )


def test_a_name_is_looked_up_in_its_project_or_in_none(web: Served) -> None:
    admin = web.client("admin")
    inside, outside = made(admin, wanted(web, "inside")), made(admin, wanted(web, "outside", projectId=None))
    path = f"{APP}/connection-name"
    assert admin.get(f"{path}/inside?projectId={PROJECT}").json()["appConnection"] == inside
    assert admin.get(f"{path}/outside").json()["appConnection"] == outside
    message = "Could not find App Connection with name inside in organization scope."
    assert refused(admin.get(f"{path}/inside"), 404, "NotFound") == message
    message = "Could not find App Connection with name outside in project scope."
    assert refused(admin.get(f"{path}/outside?projectId={PROJECT}"), 404, "NotFound") == message
    assert web.canary not in admin.get(f"{path}/{web.management_key.reveal()}").text


def test_a_name_that_is_taken_is_refused_before_openrouter_is_asked(web: Served) -> None:
    admin = web.client("admin")
    made(admin, wanted(web))
    web.emulator.stop()
    message = refused(admin.post(APP, json=wanted(web)), 400, "BadRequest")
    assert message == 'An App Connection with the name "my-openrouter-connection" already exists'


WRONG: Final[list[tuple[dict[str, Any], list[str] | None, str]]] = [
    ({"name": "Upper"}, ["name"], "name field can only contain lowercase letters, numbers, and hyphens"),
    ({"name": "a--b"}, ["name"], "name field can only contain lowercase letters, numbers, and hyphens"),
    ({"name": "a" * 65}, ["name"], "String must contain at most 64 character(s)"),
    ({"credentials": {"apiKey": "  "}}, ["credentials", "apiKey"], "API Key required"),
    ({"credentials": {"apiKey": 5}}, ["credentials", "apiKey"], "API Key required"),
    ({"isAutoRotationEnabled": True}, ["isAutoRotationEnabled"], "Not supported for OpenRouter Connections"),
    ({"isPlatformManagedCredentials": True}, None, "Not supported for OpenRouter Connections"),
    ({"gatewayId": str(uuid.uuid4())}, ["gatewayId"], "Not supported for OpenRouter Connections"),
    ({"rotation": {}}, ["rotation"], "Not supported for OpenRouter Connections"),
    ({"description": "x" * 257}, ["description"], "256"),
    ({"description": "a\x07b"}, ["description"], "printed"),
    ({"description": "a\x00b"}, ["body"], "NUL"),
    ({"method": "oauth"}, ["method"], "api-key"),
    ({"projectId": "\ud800"}, ["body"], "surrogate"),
]


def test_what_is_wrong_is_told_by_field(web: Served) -> None:
    admin, kind = web.client("admin"), {"Content-Type": "application/json"}
    for change, path, message in WRONG:
        answer = admin.post(APP, content=json.dumps(wanted(web, **change)), headers=kind)
        (issue,) = refused(answer, 422, "ValidationFailure")
        assert message in issue["message"], (change, issue)
        assert path is None or issue["path"] == path, (change, issue)
        assert web.canary not in answer.text
    assert admin.get(APP).json() == {"appConnections": []}


def test_what_an_openrouter_connection_cannot_have_may_be_said_to_be_absent(web: Served) -> None:
    absent: dict[str, Any] = {
        "isAutoRotationEnabled": False,
        "isPlatformManagedCredentials": False,
        "gatewayId": None,
        "rotation": None,
    }
    made(web.client("admin"), wanted(web, **absent, somethingNew=5))


def test_a_wrong_key_is_401_and_an_ordinary_one_is_named(web: Served) -> None:
    admin = web.client("admin")
    body = wanted(web) | {"credentials": {"apiKey": f"emulator-unknown-{web.canary}"}}
    wrong = admin.post(APP, json=body)
    assert refused(wrong, 401, "UnauthorizedError").startswith("Unable to validate connection: ")
    ordinary, _ = web.account.mint("by hand")
    told = admin.post(APP, json=wanted(web) | {"credentials": {"apiKey": ordinary}})
    assert "ordinary" in refused(told, 401, "UnauthorizedError")
    for odd in ("ключ", "a\nb", "x" * 8000):
        assert admin.post(APP, json=wanted(web) | {"credentials": {"apiKey": odd}}).status_code == 401
    assert admin.get(APP).json() == {"appConnections": []}
    assert web.canary not in wrong.text + told.text


def test_an_openrouter_that_cannot_answer_is_no_fault_of_the_key(web: Served) -> None:
    for status in (429, 500):
        web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=status))
        answer = web.client("admin").post(APP, json=wanted(web))
        refused(answer, 503, "ServiceUnavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        web.emulator.faults.clear()


def test_a_connection_in_use_stays_and_names_who_uses_it(web: Served) -> None:
    id_ = web.connect()
    web.rotation("shop")
    message = refused(web.client("admin").delete(f"{APP}/{id_}"), 400, "BadRequest")
    assert message.startswith("Cannot delete App Connection with existing connections.")
    assert "shop" in message


def test_the_hash_tells_when_the_key_was_replaced(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web))
    again = admin.patch(f"{APP}/{one['id']}", json={"credentials": {"apiKey": web.management_key.reveal()}})
    assert again.json()["appConnection"]["credentialsHash"] == one["credentialsHash"]
    other = f"emulator-other-{web.canary}"
    web.account.register_management_key(other)
    changed = admin.patch(f"{APP}/{one['id']}", json={"credentials": {"apiKey": other}})
    assert changed.json()["appConnection"]["credentialsHash"] != one["credentialsHash"]
    assert admin.patch(f"{APP}/{one['id']}", json={}).json() == changed.json()


def test_who_insists_on_what_they_saw_changes_nothing_else(web: Served) -> None:
    admin = web.client("admin")
    one = made(admin, wanted(web))
    path = f"{APP}/{one['id']}"
    seen = admin.get(path).headers["ETag"]
    assert admin.patch(path, json={"description": "first"}, headers={"If-Match": seen}).status_code == 200
    for late in (
        admin.patch(path, json={"description": "second"}, headers={"If-Match": seen}),
        admin.patch(path, json={}, headers={"If-Match": seen}),
        admin.delete(path, headers={"If-Match": seen}),
    ):
        refused(late, 412, "PreconditionFailed")
    refused(admin.delete(path, headers={"If-Match": "no tag"}), 422, "ValidationFailure")
    assert admin.get(path).json()["appConnection"]["description"] == "first"
    assert admin.delete(path, headers={"If-Match": admin.get(path).headers["ETag"]}).status_code == 200


def test_an_id_that_is_none_is_refused(web: Served) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = web.client("admin").request(method, f"{APP}/not-an-id", json={} if method == "PATCH" else None)
        (issue,) = refused(answer, 422, "ValidationFailure")
        assert issue["path"] == ["connectionId"]


def test_the_options_name_openrouter(web: Served) -> None:
    options = web.client("viewer").get(f"{BASE}/options").json()
    assert options == {"appConnectionOptions": [{"name": "OpenRouter", "app": "open-router", "methods": ["api-key"]}]}
