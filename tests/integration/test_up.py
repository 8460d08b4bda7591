"""``rotator up``: everything in one command, kept running, and gone with it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from config.secret import Secret
from config.settings import read_settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.providers.openrouter.emulator import EmulatorServer, Fault, FaultBook, FaultKind
from tasks.wiring import open_rotator
from tests.integration.deployment import free_port
from tests.integration.processes import Process, Start, alive, command_line, wait_for
from worker.app import make_app
from worker.broker import answers

UP = [str(Path(sys.executable).with_name("rotator")), "up"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a small deployment in a folder of the test's own."""
    values = {"DATA_DIR": str(tmp_path / "data"), "TICK_S": "1", "SHUTDOWN_S": "20", "WORKER_CONCURRENCY": "1"}
    return {f"ROTATOR_{name}": value for name, value in values.items()}


class Ticks:
    """Whether beat's ticks reach the database."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.settings = read_settings(environment)

    def since(self, moment_s: float) -> bool:
        """Whether there was a tick after this moment of the monotonic clock."""
        if not (self.settings.data_dir / "rotator.sqlite3").exists():
            return False
        with closing(open_rotator(self.settings)) as rotator:
            age = rotator.store.last_tick_age() if rotator.store.schema() else None
        return age is not None and age.total_seconds() < time.monotonic() - moment_s

    def wait_for_one(self) -> None:
        """Return when one comes that has not been yet."""
        moment = time.monotonic()
        wait_for(lambda: self.since(moment), "a tick reaches the database")


@pytest.fixture
def ticks(environment: dict[str, str]) -> Ticks:
    return Ticks(environment)


@pytest.fixture
def up(start: Start, environment: dict[str, str], ticks: Ticks) -> Iterator[Process]:
    """A running ``rotator up`` whose ticks arrive; nothing of it may be left after the test."""
    process = start("up", UP, environment)
    ticks.wait_for_one()
    family = [relative.pid for relative in process.descendants()]
    yield process
    if process.code is None:
        process.signal(signal.SIGTERM)
        process.wait()
    wait_for(lambda: not any(alive(pid) for pid in family), "nothing is left", timeout_s=20)


def _pid(up: Process, words: str) -> int:
    """The child of this name or with these words in its command line: not its watcher, and not a pool child."""
    family = up.descendants()
    named = [p.pid for p in family if p.name() == words]
    return named[0] if named else next(p.pid for p in family if p.ppid() == up.pid and words in command_line(p))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_time(up: Process, environment: dict[str, str], number: signal.Signals) -> None:
    family = [p.pid for p in up.descendants()]
    assert len(family) >= 5
    began = time.monotonic()
    up.signal(number)
    assert up.wait() == 0, up.text
    assert time.monotonic() - began < float(environment["ROTATOR_SHUTDOWN_S"])
    assert not any(alive(pid) for pid in family)
    assert "child_killed" not in up.text


def test_a_running_step_is_finished_before_the_end(
    start: Start, environment: dict[str, str], ticks: Ticks, tmp_path: Path
) -> None:
    with EmulatorServer(faults=FaultBook([Fault(kind=FaultKind.LATENCY, method="POST", seconds=3)])) as emulator:
        environment |= {"ROTATOR_OPENROUTER_BASE_URL": emulator.base_url}
        process = start("up", UP, environment)
        ticks.wait_for_one()
        settings = read_settings(environment)
        app = make_app(settings)
        with closing(open_rotator(settings)) as rotator:
            operations = Operations(rotator)
            operations.create_connection("prod", Secret(f"emulator-{secrets.token_hex(16)}"))
            operations.create_rotation(RotationRequest("web", "prod", ScheduleRequest("30d"), key_name="web"))
            wait_for(lambda: operations.history("web").versions[0].creating_at, "the request is on its way")
            process.signal(signal.SIGTERM)
            assert process.wait() == 0, process.text
            version = operations.history("web").versions[0]
        app.close()
    assert version.key_hash is not None
    assert version.key_hash in emulator.account.existing()


def test_killing_the_parent_leaves_no_child_behind(up: Process) -> None:
    family = [p.pid for p in up.descendants()]
    up.signal(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in family), "nothing is left", timeout_s=20)


@pytest.mark.parametrize("words", ["valkey-server", "-A worker worker", "-A worker beat"])
def test_a_child_that_is_killed_is_started_again(up: Process, ticks: Ticks, words: str) -> None:
    before = _pid(up, words)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not alive(before), "it is dead")
    up.says("child_ended")
    wait_for(lambda: up.has(words), "it is back")
    ticks.wait_for_one()


def test_a_beat_that_falls_silent_is_started_again(up: Process, ticks: Ticks) -> None:
    silent = _pid(up, "-A worker beat")
    os.kill(silent, signal.SIGSTOP)
    up.says("beat_is_silent")
    wait_for(lambda: not alive(silent), "the silent beat is gone")
    ticks.wait_for_one()


def test_a_second_copy_is_refused_and_says_who_has_the_folder(
    up: Process, start: Start, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = start("second", UP, environment)
    assert second.wait() in {1, 2}
    assert f"process {up.pid}" in second.text
    assert "Traceback" not in second.text
    assert answers(read_settings(environment))


def test_it_can_be_started_again_right_after_it_was_killed(
    up: Process, start: Start, environment: dict[str, str], ticks: Ticks
) -> None:
    up.signal(signal.SIGKILL)
    up.wait()
    again = start("again", UP, environment)
    again.says("everything_started")
    ticks.wait_for_one()
    again.signal(signal.SIGTERM)
    assert again.wait() == 0, again.text


def test_only_the_owner_reaches_the_broker_and_it_keeps_what_it_has(up: Process, ticks: Ticks) -> None:
    folder = ticks.settings.broker_socket.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any(folder.glob("appendonlydir/*"))
    listening = [c for p in up.descendants() for c in p.net_connections(kind="inet") if c.status == "LISTEN"]
    assert listening == []


def test_the_broker_is_given_no_key_of_ours(start: Start, environment: dict[str, str]) -> None:
    from config.master_key import generate_master_key

    key = generate_master_key().reveal()
    environment |= {"ROTATOR_MASTER_KEY": key}
    process = start("up", UP, environment)
    Ticks(environment).wait_for_one()
    broker = next(p for p in process.descendants() if p.name().startswith("valkey"))
    assert not any(name.startswith("ROTATOR_") for name in broker.environ())
    assert key not in process.text
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_every_line_is_labelled(up: Process) -> None:
    labels = {line.split("|", 1)[0].strip() for line in up.text.splitlines()}
    assert labels <= {"broker", "worker", "beat", "up"}
    assert {"broker", "worker", "up"} <= labels


def test_in_json_every_line_is_an_object_that_says_whose_it_is(
    start: Start, environment: dict[str, str], ticks: Ticks
) -> None:
    process = start("up", UP, environment | {"ROTATOR_LOG_FORMAT": "json"})
    ticks.wait_for_one()
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    said = [json.loads(line)["process"] for line in process.text.splitlines()]
    assert {"broker", "worker", "beat", "up"} <= set(said)


def test_flower_is_started_with_a_password_of_its_own(start: Start, environment: dict[str, str]) -> None:
    port = free_port()
    process = start("up", [*UP, "--flower"], environment | {"ROTATOR_FLOWER_PORT": str(port)})
    url = f"http://127.0.0.1:{port}/workers"

    def status(**how: tuple[str, str]) -> int:
        try:
            return httpx.get(url, timeout=5, **how).status_code  # type: ignore[arg-type]  # auth, or nothing
        except httpx.TransportError:
            return 0

    wait_for(lambda: status() == 401, "Flower asks for a password")
    path = Path(environment["ROTATOR_DATA_DIR"]) / "flower.credentials"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    user, password = path.read_text().strip().split(":")
    assert status(auth=(user, password)) == 200
    assert password not in process.text
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_web_runs_with_the_rest_is_started_again_and_ends_with_it(
    start: Start, environment: dict[str, str], number: signal.Signals
) -> None:
    port = free_port()
    process = start("up", [*UP, "--web"], environment | {"ROTATOR_WEB_PORT": str(port)})
    url = f"http://127.0.0.1:{port}"
    process.says(f"url={url}")
    process.says("rotator token create NAME --role admin")
    assert httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    web = next(p for p in process.descendants() if command_line(p).endswith("-P -m worker.web") and not p.children())
    os.kill(web.pid, signal.SIGKILL)
    process.says("child=web")
    wait_for(lambda: process.text.count("web_ready") > 1, "it is back")
    assert httpx.get(f"{url}/healthz", timeout=10).status_code == 200
    family = [relative.pid for relative in process.descendants()]
    process.signal(number)
    assert process.wait() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in family), "nothing is left", timeout_s=20)
    assert "child_killed" not in process.text


def test_a_folder_too_deep_for_a_socket_is_refused_with_a_remedy(
    start: Start, environment: dict[str, str], tmp_path: Path
) -> None:
    process = start("up", UP, environment | {"ROTATOR_DATA_DIR": str(tmp_path / ("deep" * 30))})
    assert process.wait() in {1, 2}
    assert "choose a shorter path" in process.text
    assert "Traceback" not in process.text
