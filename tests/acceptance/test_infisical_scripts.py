"""What Infisical documents, sent as it is documented, to another host and with another token: nothing but HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from dotenv import dotenv_values

from tests.acceptance.readme import blocks
from tests.web.served import Served, served

CONNECTIONS: Final = "/api/v1/app-connections/open-router"
ROTATIONS: Final = "/api/v2/secret-rotations/open-router-api-key"
PROJECT: Final = "7ffbb072-2575-495a-b5b0-127f88caef78"
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Script:
    """Somebody's script: it has a host, a token, and curl."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._token = url, token

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of the answer."""
        sent = ["--header", "Content-Type: application/json", "--data", json.dumps(body)] if body is not None else []
        done = subprocess.run(
            [
                *("curl", "--silent", "--show-error", "--request", method, "--url", f"{self.url}{path}"),
                *("--header", f"Authorization: Bearer {self._token}", "--write-out", "\n%{http_code}", *sent),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        answer, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(answer)

    def ok(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer that must be 200, as every success is there."""
        status, answer = self.call(method, path, body)
        assert status == 200, answer
        return answer


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as stage:
        yield stage


@pytest.fixture
def script(web: Served) -> Script:
    return Script(web.url, web.token("admin"))


def _connection(web: Served) -> dict[str, Any]:
    """The documented sample request."""
    return {
        "name": "my-openrouter-connection",
        "method": "api-key",
        "projectId": PROJECT,
        "credentials": {"apiKey": web.management_key.reveal()},
    }


def _rotation(connection_id: str) -> dict[str, Any]:
    """The documented sample request."""
    return {
        "name": "my-openrouter-rotation",
        "projectId": PROJECT,
        "description": "OpenRouter API key rotation",
        "connectionId": connection_id,
        "environment": "dev",
        "secretPath": "/",
        "isAutoRotationEnabled": True,
        "rotationInterval": 30,
        "rotateAtUtc": {"hours": 0, "minutes": 0},
        "parameters": {"name": "my-app-key", "limit": 100, "limitReset": "monthly", "includeByokInLimit": False},
        "secretsMapping": {"apiKey": "OPEN_ROUTER_API_KEY"},
    }


def test_the_documented_connection_gets_the_documented_answer_field_for_field(web: Served, script: Script) -> None:
    answer = script.ok("POST", CONNECTIONS, _connection(web))
    assert list(answer) == ["appConnection"]
    one = answer["appConnection"]
    documented: dict[str, Any] = {
        "name": "my-openrouter-connection",
        "projectId": PROJECT,
        "description": None,
        "version": 1,
        "isPlatformManagedCredentials": False,
        "app": "open-router",
        "method": "api-key",
        "credentials": {},
    }
    assert {field: one[field] for field in documented} == documented
    assert str(uuid.UUID(one["id"])) == one["id"]
    assert str(uuid.UUID(one["orgId"])) == one["orgId"]
    assert MOMENT.fullmatch(one["createdAt"])
    assert MOMENT.fullmatch(one["updatedAt"])
    assert re.fullmatch("[0-9a-f]{64}", one["credentialsHash"])
    assert web.canary not in json.dumps(answer)


def test_a_connection_is_listed_read_changed_and_deleted(web: Served, script: Script) -> None:
    one = script.ok("POST", CONNECTIONS, _connection(web))["appConnection"]
    assert script.ok("GET", f"{CONNECTIONS}?projectId={PROJECT}") == {"appConnections": [one]}
    assert script.ok("GET", f"{CONNECTIONS}/{one['id']}") == {"appConnection": one}
    by_name = f"{CONNECTIONS}/connection-name/my-openrouter-connection?projectId={PROJECT}"
    assert script.ok("GET", by_name) == {"appConnection": one}
    changed = script.ok("PATCH", f"{CONNECTIONS}/{one['id']}", {"name": "renamed", "description": "of team A"})
    assert (changed["appConnection"]["name"], changed["appConnection"]["description"]) == ("renamed", "of team A")
    assert script.ok("DELETE", f"{CONNECTIONS}/{one['id']}") == changed
    status, refused = script.call("GET", f"{CONNECTIONS}/{one['id']}")
    assert (status, refused["statusCode"], refused["error"]) == (404, 404, "NotFound")
    assert refused["message"] == f"Could not find App Connection with ID {one['id']}"
    assert refused["reqId"]


def test_a_rotation_is_created_rotated_and_deleted(web: Served, script: Script) -> None:
    connection_id = script.ok("POST", CONNECTIONS, _connection(web))["appConnection"]["id"]
    sent = _rotation(connection_id)
    one = script.ok("POST", ROTATIONS, sent)["secretRotation"]
    documented = {k: v for k, v in sent.items() if k not in {"environment", "secretPath"}}
    documented |= {"activeIndex": 0, "type": "open-router-api-key"}
    assert {field: one[field] for field in documented} == documented
    assert (one["environment"]["slug"], one["folder"]["path"], one["rotationStatus"]) == ("dev", "/", "success")
    path = f"{ROTATIONS}/{one['id']}"

    first = script.ok("GET", f"{path}/generated-credentials")
    assert script.ok("POST", f"{path}/rotate-secrets")["secretRotation"]["rotationStatus"] == "success"
    both = script.ok("GET", f"{path}/generated-credentials")
    in_service = both["generatedCredentials"][both["activeIndex"]]
    assert first["generatedCredentials"][0] in both["generatedCredentials"]
    assert in_service != first["generatedCredentials"][0]
    status, facts = Script(web.emulator.base_url, in_service["apiKey"]).call("GET", "/key")
    assert (status, facts["data"]["limit"], facts["data"]["limit_reset"]) == (200, 100, "monthly")

    slower = script.ok("PATCH", path, {"rotationInterval": 60, "isAutoRotationEnabled": False})["secretRotation"]
    assert (slower["rotationInterval"], slower["nextRotationAt"]) == (60, None)
    status, refused = script.call("DELETE", f"{CONNECTIONS}/{connection_id}")
    assert (status, refused["error"]) == (400, "BadRequest")
    gone = script.ok("DELETE", f"{path}?revokeGeneratedCredentials=true&deleteSecrets=true")
    assert gone["secretRotation"]["id"] == one["id"]
    assert script.call("GET", path)[0] == 404
    assert web.account.existing() == frozenset()
    script.ok("DELETE", f"{CONNECTIONS}/{connection_id}")


def test_the_commands_of_the_readme_put_a_key_where_they_say(web: Served) -> None:
    here = [b for b in blocks() if b.elsewhere == ("tests/acceptance/test_infisical_scripts.py",)]
    (web.folder / "me.header").write_text(f"Authorization: Bearer {web.token('admin')}")
    (web.folder / "management.key").write_text(f"{web.management_key.reveal()}\n")
    typed = "\n".join(b.text for b in here).replace("http://127.0.0.1:8765", web.url)
    subprocess.run(["bash", "-euc", typed], cwd=web.folder, check=True, timeout=60)
    key = dotenv_values(web.folder / "app.env")["OPEN_ROUTER_API_KEY"]
    assert Script(web.emulator.base_url, str(key)).call("GET", "/key")[0] == 200
