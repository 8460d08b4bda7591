"""The served emulator: connections, control from other processes, outages, and the process itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tasks.providers.openrouter.emulator import Account, EmulatorServer, Fault, FaultKind

BEARER = {"Authorization": "Bearer emulator-server"}


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


@pytest.fixture
def client(server: EmulatorServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, headers=BEARER, timeout=5, trust_env=False) as made:
        yield made


@pytest.fixture
def steering(server: EmulatorServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.control_url, timeout=5, trust_env=False) as made:
        yield made


def test_one_connection_carries_many_calls(server: EmulatorServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(b"GET /api/v1/key HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer emulator-x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_state_tells_the_truth_without_key_text(client: httpx.Client, steering: httpx.Client) -> None:
    kept, gone = (client.post("/keys", json={"name": name}).json() for name in ("kept", "gone"))
    client.delete(f"/keys/{gone['data']['hash']}")
    answer = steering.get("/state")
    state = answer.json()
    assert state["live"] == [kept["data"]["hash"]]
    assert state["counts"] == {"minted": 2, "live": 1, "disabled": 0, "expired": 0, "deleted": 1}
    assert [(key["name"], key["state"]) for key in state["keys"]] == [("kept", "live"), ("gone", "deleted")]
    assert state["keys"][1]["deleted_at"].endswith("Z")
    assert kept["key"] not in answer.text


def test_the_call_log_is_read_from_where_one_left_off(client: httpx.Client, steering: httpx.Client) -> None:
    for _ in range(3):
        client.get("/keys", params={"offset": 0})
    calls = steering.get("/calls").json()["calls"]
    assert [(call["number"], call["path"], call["query"]) for call in calls] == [
        (number, "/keys", "offset=0") for number in (1, 2, 3)
    ]
    assert [call["number"] for call in steering.get("/calls", params={"after": 2}).json()["calls"]] == [3]


def test_the_call_log_is_read_for_one_kind_of_caller(server: EmulatorServer, steering: httpx.Client) -> None:
    for bearer in (BEARER["Authorization"], "Bearer nobody-s"):
        httpx.get(f"{server.base_url}/keys", headers={"Authorization": bearer}, trust_env=False)
    calls = steering.get("/calls", params={"caller": "management"}).json()["calls"]
    assert [(call["number"], call["caller"]) for call in calls] == [(1, "management")]


def test_faults_are_set_and_cleared_from_outside(client: httpx.Client, steering: httpx.Client) -> None:
    assert steering.post("/faults", json={"kind": "status", "status": 503}).json() == {"done": True}
    assert client.get("/keys").status_code == 503
    assert steering.delete("/faults").status_code == 200
    assert client.get("/keys").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/faults", {"kind": "explode"}, 400),
        ("POST", "/revoke", {}, 400),
        ("POST", "/refuse", {"seconds": "soon"}, 400),
        ("GET", "/calls?after=x", None, 400),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_a_senseless_control_call_says_so(
    steering: httpx.Client, method: str, path: str, body: object, status: int
) -> None:
    answer = steering.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_management_key_is_revoked_from_outside(client: httpx.Client, steering: httpx.Client) -> None:
    steering.post("/revoke", json={"management_key": "emulator-server"})
    assert client.get("/keys").status_code == 401


def test_a_held_reply_is_seen_and_released_from_outside(client: httpx.Client, steering: httpx.Client) -> None:
    steering.post("/faults", json={"kind": "hold", "method": "POST", "path": "/keys"})
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(client.post("/keys", json={"name": "a"}).status_code))
    waiting.start()
    while (state := steering.get("/state").json())["held"] == 0:
        time.sleep(0.001)
    assert state["counts"]["live"] == 1
    assert answers == []
    assert steering.post("/release").json() == {"released": 1}
    waiting.join(5)
    assert answers == [201]


def test_an_outage_refuses_connections_for_real_and_ends(server: EmulatorServer, client: httpx.Client) -> None:
    assert client.get("/key").status_code == 200
    server.refuse(60)
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            client.get("/key")
    server.recover()
    assert client.get("/key").status_code == 200


def test_an_outage_cuts_a_waiting_call(server: EmulatorServer, client: httpx.Client) -> None:
    server.faults.add(Fault(kind=FaultKind.HOLD, times=1))
    errors: list[Exception] = []

    def wait() -> None:
        try:
            client.get("/key")
        except httpx.TransportError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not server.faults.held:
        time.sleep(0.001)
    server.refuse(60)
    waiting.join(5)
    assert len(errors) == 1


def test_stopping_wakes_whatever_waits(server: EmulatorServer, client: httpx.Client) -> None:
    server.faults.add(Fault(kind=FaultKind.LATENCY, seconds=60))
    errors: list[Exception] = []

    def wait() -> None:
        try:
            client.get("/key")
        except httpx.TransportError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    server.stop()
    waiting.join(5)
    assert len(errors) == 1
    server.stop()


@pytest.mark.parametrize("head", [b"Content-Length: 9999999", b"Content-Length: x", b"Transfer-Encoding: chunked"])
def test_a_body_it_will_not_read_is_refused(server: EmulatorServer, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_two_servers_may_share_an_account() -> None:
    account = Account()
    with EmulatorServer(account) as one, EmulatorServer(account) as other:
        assert one.port != other.port
        answer = httpx.post(f"{one.base_url}/keys", json={"name": "a"}, headers=BEARER, trust_env=False)
        listed = httpx.get(f"{other.base_url}/keys", headers=BEARER, trust_env=False)
    assert [key["hash"] for key in listed.json()["data"]] == [answer.json()["data"]["hash"]]


def run_emulator(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.providers.openrouter.emulator", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_warns_says_where_it_listens_and_ends_cleanly(number: signal.Signals) -> None:
    rule = json.dumps({"kind": "status", "status": 503, "path": "/credits"})
    with run_emulator("--fault", rule, "--canary", "tell-tale", "--clock-skew", "86400") as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            base_url = said.removeprefix("listening on ")
            answer = httpx.post(f"{base_url}/keys", json={"name": "a"}, headers=BEARER, trust_env=False)
            credit = httpx.get(f"{base_url}/credits", headers=BEARER, trust_env=False)
        finally:
            process.send_signal(number)
            rest, warning = process.communicate(timeout=10)
    assert said.startswith("listening on http://127.0.0.1:")
    assert "tell-tale" in answer.json()["key"]
    assert credit.status_code == 503
    assert (process.returncode, rest) == (0, "")
    assert "WARNING" in warning
    assert "not OpenRouter" in warning
    assert "emulator-" in warning


def test_as_a_process_it_fails_as_much_as_it_was_told_and_spares_the_users_of_keys() -> None:
    with run_emulator("--chaos", "1", "--seed", "5") as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().strip().removeprefix("listening on ")
            with httpx.Client(base_url=base_url, timeout=5, trust_env=False) as client:
                wrong = [_goes_well(client, "Bearer emulator-x") for _ in range(20)]
                ordinary = {"Authorization": "Bearer no-such-key"}
                spared = {client.get("/key", headers=ordinary).json()["error"]["code"] for _ in range(20)}
        finally:
            process.terminate()
            process.communicate(timeout=10)
    assert not any(wrong)
    assert spared == {401}


def _goes_well(client: httpx.Client, authorization: str) -> bool:
    try:
        answer = client.get("/key", headers={"Authorization": authorization})
        return answer.is_success and isinstance(answer.json()["data"], dict)
    except (httpx.TransportError, ValueError, TypeError):
        return False


@pytest.mark.parametrize("rate", ["1.5", "much"])
def test_a_rate_of_chaos_that_is_no_share_is_misuse(rate: str) -> None:
    with run_emulator("--chaos", rate) as process:
        _, said = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "--chaos" in said


def test_a_taken_port_is_one_clear_line(server: EmulatorServer) -> None:
    with run_emulator("--port", str(server.port)) as process:
        _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in said
    assert "Traceback" not in said


def test_a_faulty_rule_on_the_command_line_is_misuse() -> None:
    with run_emulator("--fault", "{}") as process:
        _, said = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "not a fault rule: kind" in said
