"""Every command of the README is run: typed into a terminal, in order, against the emulator."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import redis
from dotenv import dotenv_values

from config.settings import read_settings
from tasks.operations import Operations
from tasks.operations.views import RotationView
from tasks.providers.openrouter.emulator import Account, EmulatorServer
from tasks.wiring import open_rotator
from tests.acceptance.readme import TOP, Block, blocks
from tests.acceptance.terminal import PATIENCE_S, Terminal
from tests.integration.deployment import free_port
from tests.unit.told_here import Receiver, http_receiver

BIN = Path(sys.executable).parent
ENDED_BY_CTRL_C = {0, 1, 130}
"""Celery's worker then ends with 1, however well it ended."""
FIRST_ROTATION = [b for b in blocks() if b.section == "First rotation"]
STANDARD = [b for b in blocks() if b.subsection in {"Standard Celery processes", "Flower", "API and console"}]


class Reader:
    """Somebody who follows the README in a home of their own. What a block exports, the next one has."""

    def __init__(self, home: Path, settings: dict[str, str], words: dict[str, str]) -> None:
        self._home = home
        self.clone = home / "openrouter-rotator"
        self.clone.mkdir()
        (self.clone / ".venv").symlink_to(BIN.parent)
        self.management_key = f"emulator-{secrets.token_hex(20)}"
        self.told_at = "json://127.0.0.1:1"
        self._exports = home / "exports"
        self._exports.write_text("")
        self._environment = {
            "HOME": str(home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "TERM": "xterm",
            "COLUMNS": "160",
            **{f"ROTATOR_{name}": value for name, value in settings.items()},
        }
        self._words = words
        self._staying: list[Terminal] = []
        self._answers = (
            (re.compile(r"Management key \(hidden\): $"), lambda _: self.management_key),
            (re.compile(r"Address, an Apprise URL \(hidden\): $"), lambda _: self.told_at),
            (re.compile(r"Go on\? \[y/N\]: $"), lambda _: "y"),
            (re.compile(r'To delete the \w+ "([^"]+)", type its name: $'), lambda asked: asked[1]),
        )

    def follow(self, chosen: Iterable[Block]) -> None:
        """Run the blocks in order; each must end well, or stay."""
        for block in chosen:
            if block.ready is None:
                self._run(block)
            else:
                self._leave_running(block, block.ready)
            if " rotation " in block.text:
                self._look_until_settled()

    def run(self, commands: str) -> str:
        """What these commands show. They must end well."""
        terminal = self._terminal(commands)
        code = terminal.wait()
        terminal.close()
        assert code == 0, f"exit code {code} of\n{commands}\n{terminal.screen}"
        assert "Traceback" not in terminal.screen
        return terminal.screen

    def leave(self) -> None:
        """Press Ctrl-C in every terminal; nothing complains."""
        while self._staying:
            terminal = self._staying.pop()
            code = terminal.press_ctrl_c()
            terminal.close()
            assert code in ENDED_BY_CTRL_C, terminal.screen[-3000:]

    def close(self) -> None:
        """End what still runs after a failure."""
        for terminal in self._staying:
            terminal.close()

    def _run(self, block: Block) -> None:
        self.run(f"set +u; . {self._exports}; set -u\n{block.text}\nexport -p > {self._exports}")

    def _leave_running(self, block: Block, ready: str) -> None:
        terminal = self._terminal(f"set +u; . {self._exports}; set -u\n{block.text}")
        self._staying.append(terminal)
        terminal.says(ready)

    def _terminal(self, script: str) -> Terminal:
        for word, here in self._words.items():
            script = script.replace(word, here)
        return Terminal(script, self._environment, self.clone, self._answers)

    def _look_until_settled(self) -> None:
        """A person takes a moment between two commands; a worker needs it for the new key."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not all(_settled(rotation) for rotation in self.rotations()):
            assert time.monotonic() < give_up_at, f"still not settled: {self.rotations()}"
            time.sleep(0.1)

    def rotations(self) -> tuple[RotationView, ...]:
        """How the rotations stand, in the database that the README's commands use."""
        exported = subprocess.run(
            ["bash", "-c", f". {self._exports}; env -0"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        variables = dict(line.split("=", 1) for line in exported.stdout.split("\0") if line)
        settings = read_settings({"ROTATOR_DATA_DIR": f"{self._home}/.local/share/rotator", **variables})
        with closing(open_rotator(settings)) as rotator:
            return Operations(rotator).list_rotations()


def _settled(rotation: RotationView) -> bool:
    delivered = all(p.version == rotation.active_version and not p.leaving for p in rotation.destinations)
    return rotation.in_flight is None and rotation.removal is None and delivered


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(Account()) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who is told."""
    with http_receiver() as made:
        yield made


@pytest.fixture
def settings(emulator: EmulatorServer, request: pytest.FixtureRequest) -> dict[str, str]:
    """What a reader would have otherwise: OpenRouter; and a tick that makes nobody wait."""
    ports = {name: str(free_port()) for name in ("FLOWER_PORT", "WEB_PORT")}
    return {"OPENROUTER_BASE_URL": emulator.base_url, "TICK_S": "1", **ports}


@pytest.mark.timeout(300)
def test_first_rotation(
    tmp_path: Path, settings: dict[str, str], emulator: EmulatorServer, broker_url: str, receiver: Receiver
) -> None:
    _, adopted = emulator.account.mint("legacy")
    words = {"rediss://cache.internal:6380/0": broker_url, "HASH": adopted, "8400": str(free_port())}
    reader = Reader(tmp_path, settings, words)
    reader.told_at = f"json://user:{secrets.token_hex(8)}@127.0.0.1:{receiver.port}"
    try:
        reader.follow(FIRST_ROTATION)
        (web,) = reader.rotations()
        reader.leave()
    finally:
        reader.close()

    assert receiver.titles.count("rotator can tell you here") == 2
    key = dotenv_values(reader.clone / "app.env")["OPENROUTER_API_KEY"]
    assert emulator.account.existing() == {web.active_hash}
    assert httpx.get(f"{emulator.base_url}/key", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with redis.Redis.from_url(broker_url, decode_responses=True) as cache:
        assert cache.get("openrouter-key") is None, "it was withdrawn"


@pytest.mark.timeout(300)
def test_standard_processes_flower_and_the_api(
    tmp_path: Path, settings: dict[str, str], emulator: EmulatorServer, postgres_url: str, broker_url: str
) -> None:
    words = {
        "redis://broker.internal:6379/0": broker_url,
        "postgresql://rotator@db.internal/rotator": postgres_url,
        "127.0.0.1:5555": f"127.0.0.1:{settings['FLOWER_PORT']}",
        "127.0.0.1:8765": f"127.0.0.1:{settings['WEB_PORT']}",
    }
    reader = Reader(tmp_path, settings, words)
    try:
        reader.follow(STANDARD)
        give_up_at = time.monotonic() + PATIENCE_S
        while len(emulator.account.minted) < 2:
            assert time.monotonic() < give_up_at, "neither Flower's request nor Celery's made a version"
            time.sleep(0.1)
        reader.leave()
    finally:
        reader.close()


def test_every_block_is_run_here_or_by_a_test_that_exists() -> None:
    for block in blocks():
        run_here = block in FIRST_ROTATION or block in STANDARD
        assert run_here != bool(block.elsewhere), f"run once, and here or elsewhere:\n{block.text}"
        assert [name for name in block.elsewhere if not (TOP / name).is_file()] == []


def test_the_first_screen_has_the_two_commands() -> None:
    first, second, *_ = blocks()
    assert (first.text, second.text) == ("make demo\n", "make test\n")
