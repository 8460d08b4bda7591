"""Each fault, as an httpx client meets it: the same over a socket and in process, with the effect it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tasks.providers.openrouter.emulator import (
    Account,
    EmulatorServer,
    EmulatorTransport,
    Ending,
    Fault,
    FaultBook,
    FaultKind,
)

BEARER = {"Authorization": "Bearer emulator-faults"}
ORDER = {"name": "app"}
READ_TIMEOUT_S = 0.3


@dataclass
class Rig:
    """An account behind one kind of wire."""

    account: Account
    faults: FaultBook
    client: httpx.Client
    pass_time: Callable[[float], None]

    def create(self) -> httpx.Response:
        return self.client.post("/keys", json=ORDER)


@pytest.fixture
def in_process() -> Iterator[Rig]:
    now = [datetime(2026, 11, 18, tzinfo=UTC)]

    def sleep(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    account, faults = Account(clock=lambda: now[0]), FaultBook()
    transport = EmulatorTransport(account, faults, sleep=sleep)
    base_url = "https://emulated.example/api/v1"
    with httpx.Client(transport=transport, base_url=base_url, headers=BEARER, timeout=READ_TIMEOUT_S) as client:
        yield Rig(account, faults, client, sleep)


@pytest.fixture
def on_socket() -> Iterator[Rig]:
    with (
        EmulatorServer() as server,
        httpx.Client(base_url=server.base_url, headers=BEARER, timeout=READ_TIMEOUT_S, trust_env=False) as client,
    ):
        yield Rig(server.account, server.faults, client, time.sleep)


@pytest.fixture(params=["in_process", "on_socket"])
def rig(request: pytest.FixtureRequest) -> Rig:
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Rig)
    return chosen


def test_a_call_without_faults_is_answered_in_full(rig: Rig) -> None:
    response = rig.create()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == "emulator-req-1"
    assert response.headers["date"].endswith("GMT")
    assert rig.account.live() == {response.json()["data"]["hash"]}


def test_a_path_outside_the_api_is_not_found(rig: Rig) -> None:
    response = rig.client.get(str(rig.client.base_url).replace("/api/v1", "/api/v2") + "key")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (Ending.CLOSE, httpx.RemoteProtocolError),
        (Ending.RESET, httpx.ReadError),
        (Ending.SILENCE, httpx.ReadTimeout),
    ],
)
@pytest.mark.parametrize(("kind", "minted"), [(FaultKind.LOST_REPLY, 1), (FaultKind.NEVER_ARRIVES, 0)])
def test_a_reply_is_lost_with_or_without_the_effect(
    rig: Rig, kind: FaultKind, minted: int, ending: Ending, error: type[httpx.TransportError]
) -> None:
    rig.faults.add(Fault(kind=kind, ending=ending, times=1))
    with pytest.raises(error):
        rig.create()
    assert len(rig.account.minted) == minted
    assert rig.account.calls[0].fault == kind.value
    assert rig.account.calls[0].status == (201 if minted else None)
    assert rig.create().status_code == 201


def test_a_late_effect_lands_after_its_span(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.LATE_EFFECT, seconds=0.2, times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        rig.create()
    assert (rig.account.minted, rig.account.pending_effects) == ((), 1)
    rig.pass_time(0.25)
    assert len(rig.account.minted) == 1


def test_a_caller_that_gives_up_during_latency_leaves_an_effect_behind(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.LATENCY, seconds=READ_TIMEOUT_S + 0.2, times=1))
    with pytest.raises(httpx.ReadTimeout):
        rig.create()
    assert rig.account.minted == ()
    rig.pass_time(0.5)
    assert len(rig.account.minted) == 1


def test_latency_and_another_fault_work_together(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.LATENCY, seconds=READ_TIMEOUT_S + 0.1, times=1))
    rig.faults.add(Fault(kind=FaultKind.NEVER_ARRIVES, times=1))
    with pytest.raises(httpx.ReadTimeout):
        rig.create()
    rig.pass_time(0.3)
    assert rig.account.minted == ()
    assert [line.fault for line in rig.account.calls] == ["never_arrives"]


def test_a_short_latency_only_delays(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.LATENCY, seconds=0.05))
    before = rig.account.now()
    assert rig.create().status_code == 201
    assert rig.account.now() - before >= timedelta(seconds=0.05)


def test_a_held_reply_comes_after_the_effect(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.HOLD, times=1))
    with pytest.raises(httpx.ReadTimeout):
        rig.create()
    assert len(rig.account.minted) == 1
    rig.faults.add(Fault(kind=FaultKind.HOLD, seconds=0.05, times=1))
    assert rig.create().status_code == 201


def test_a_refused_connection_has_no_effect_and_heals(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.REFUSED, seconds=0.2, times=1))
    with pytest.raises((httpx.ConnectError, httpx.ReadError)):
        rig.create()
    assert rig.account.minted == ()
    rig.pass_time(0.4)
    assert rig.create().status_code == 201


@pytest.mark.parametrize("effect", [False, True])
def test_a_told_status_comes_with_or_without_the_effect(rig: Rig, effect: bool) -> None:
    rig.faults.add(Fault(kind=FaultKind.STATUS, status=504, effect=effect))
    response = rig.create()
    assert response.status_code == response.json()["error"]["code"] == 504
    assert len(rig.account.minted) == effect


def test_a_told_429_carries_what_the_platform_sends(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.STATUS, status=429, retry_after=3))
    response = rig.create()
    assert response.headers["retry-after"] == "3"
    assert response.headers["x-ratelimit-remaining"] == "0"


def test_a_told_body_is_sent_as_it_is(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.STATUS, status=502, body="<html>Bad Gateway</html>"))
    assert rig.create().text == "<html>Bad Gateway</html>"


def test_a_truncated_body_ends_too_early(rig: Rig) -> None:
    rig.faults.add(Fault(kind=FaultKind.TRUNCATED))
    with pytest.raises(httpx.RemoteProtocolError):
        rig.create()
    assert len(rig.account.minted) == 1


def no_json(response: httpx.Response) -> bool:
    with pytest.raises(json.JSONDecodeError):
        response.json()
    return True


@pytest.mark.parametrize(
    ("kind", "bent"),
    [
        (FaultKind.MALFORMED, no_json),
        (FaultKind.EMPTY, lambda response: response.content == b""),
        (FaultKind.WRONG_TYPE, lambda response: response.json()[0]["data"]["name"] == "app"),
        (FaultKind.HUGE, lambda response: len(response.content) > 1_000_000 and response.json()["data"]),
    ],
)
def test_a_bent_body_comes_after_the_effect(rig: Rig, kind: FaultKind, bent: Callable[[httpx.Response], bool]) -> None:
    rig.faults.add(Fault(kind=kind, size_bytes=1_000_000))
    response = rig.create()
    assert response.status_code == 201
    assert bent(response)
    assert len(rig.account.minted) == 1


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.LATENCY])
def test_every_kind_of_fault_keeps_the_plain_answer_from_the_caller(in_process: Rig, kind: FaultKind) -> None:
    in_process.faults.add(Fault(kind=kind, times=1, size_bytes=10))
    try:
        plain = in_process.create().json().keys() == {"data", "key"}
    except (httpx.TransportError, json.JSONDecodeError, AttributeError):
        plain = False
    assert not plain
    assert in_process.account.calls[:1] == () or in_process.account.calls[0].fault == kind.value
