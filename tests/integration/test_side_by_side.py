"""The release before and this one, as real processes on one PostgreSQL that this one has upgraded under their hands."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values

from config.master_key import generate_master_key
from tasks.providers.openrouter.emulator import Account, EmulatorServer
from tasks.rotation.errors import OperatorNeeded
from tasks.rotation.model import KeyVersion, VersionState
from tasks.store import schema
from tests.integration.deployment import Deployment
from tests.integration.processes import Process, Start, celery, wait_for
from tests.upgrade.old_release import unpack
from tests.upgrade.releases import NEWEST, revisions

ROTATIONS = ("web", "shop", "jobs")
CREATE = f"""
import os
from config.secret import Secret
from config.settings import settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.wiring import open_rotator
rotator = open_rotator(settings(), actor="test")
print(rotator.store.upgrade())
operations = Operations(rotator)
operations.create_connection("prod", Secret(os.environ["MANAGEMENT_KEY"]))
for name in {ROTATIONS}:
    place = Secret("dotenv:" + os.environ["FOLDER"] + "/" + name + ".env")
    every = ScheduleRequest(every="4s")
    operations.create_rotation(RotationRequest(
        name=name, connection="prod", schedule=every, key_name=name, overlap="1s", cooling="1s", publish=(place,)))
"""
AGAIN = """
from config.settings import settings
from tasks.wiring import open_rotator
rotator = open_rotator(settings())
print(rotator.store.upgrade(), rotator.check())
"""


@dataclass
class Old:
    """The release before: its source, and how its programs are run."""

    environment: Mapping[str, str]
    folder: Path
    start: Start

    def python(self, code: str, **given: str) -> str:
        """Run code with its modules; what it printed."""
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **self.environment, **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def celery(self, name: str, *arguments: str, ready: str) -> Process:
        """Start one of its processes."""
        process = self.start(name, celery(*arguments), self.environment)
        process.says(ready)
        return process


@pytest.fixture
def emulator(canary: str) -> Iterator[EmulatorServer]:
    """OpenRouter, as far as anyone here can tell."""
    with EmulatorServer(Account(canary=canary)) as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, postgres_url: str, broker_url: str, emulator: EmulatorServer) -> dict[str, str]:
    """The settings of both releases."""
    settings = {
        "DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": postgres_url,
        "BROKER_URL": broker_url,
        "MASTER_KEY": generate_master_key().reveal(),
        "OPENROUTER_BASE_URL": emulator.base_url,
        "TICK_S": "1",
        "LEASE_S": "15",
        "SETTLE_S": "3",
        "RETRY_BASE_S": "0.5",
        "RETRY_MAX_S": "2",
        "WORKER_CONCURRENCY": "1",
        "LOG_FORMAT": "json",
    }
    return {f"ROTATOR_{name}": value for name, value in settings.items()}


@pytest.fixture
def old(tmp_path: Path, environment: dict[str, str], start: Start) -> Old:
    """The release before, its database made and its rotations created by itself."""
    source = unpack(tmp_path / "old")
    before = Old({**environment, "PYTHONPATH": str(source)}, source, start)
    made = before.python(CREATE, MANAGEMENT_KEY=f"emulator-{secrets.token_hex(24)}", FOLDER=str(tmp_path))
    assert made in revisions()[:-1]
    return before


@pytest.mark.timeout(240)
def test_workers_of_both_releases_advance_rotations_and_restart_and_nothing_is_lost(
    old: Old, environment: dict[str, str], tmp_path: Path, start: Start, emulator: EmulatorServer
) -> None:
    old.celery("beat", "beat", ready="beat_ready")
    before = old.celery("old", "worker", "-n", "old@%h", ready="worker_ready")
    wait_for(lambda: len(emulator.account.existing()) >= len(ROTATIONS), "the release before works")
    new = Deployment(environment, tmp_path, start, emulator)  # upgrades the database
    try:
        assert new.rotator.store.schema() == NEWEST
        after = new.worker("new")
        _wait_until_each_advances(new, before, after)
        with pytest.raises(OperatorNeeded, match=_why_there_is_no_way_back()):
            new.rotator.store.downgrade()
        for process in (before, after):
            process.terminate()
            assert process.wait() == 0
        before, after = old.celery("old-again", "worker", "-n", "old@%h", ready="worker_ready"), new.worker("new-again")
        _wait_until_each_advances(new, before, after)
        assert old.python(AGAIN) == f"{NEWEST} None"
        _come_to_rest(new)
        _nothing_is_lost(new, tmp_path)
    finally:
        new.rotator.close()


def _why_there_is_no_way_back() -> str:
    """What the newest migration made would be lost; or, where nothing is, this release's workers could not go on."""
    if schema.migrations()[NEWEST].reversible:
        return f"release that needs schema {NEWEST} were at work"
    return "something would be lost"


def _wait_until_each_advances(new: Deployment, *workers: Process) -> None:
    """Until each has made a version active since now."""
    seen = max(e.id for e in new.operations.events(limit=1000))

    def each() -> bool:
        events = [e for e in new.operations.events(after=seen, limit=1000) if e.name == "version_active"]
        by = {int(e.actor.rpartition(":")[2]) for e in events if e.actor.startswith("worker:")}
        return all(by & {child.pid for child in worker.descendants()} for worker in workers)

    wait_for(each, "workers of both releases have made a version active")


def _versions(new: Deployment) -> dict[str, tuple[KeyVersion, ...]]:
    return {name: new.operations.history(name).versions for name in ROTATIONS}


def _come_to_rest(new: Deployment) -> None:
    for name in ROTATIONS:
        new.operations.pause_rotation(name)
    over = {VersionState.ACTIVE, VersionState.DELETED}
    wait_for(lambda: all(v.state in over for vs in _versions(new).values() for v in vs), "all rotations rest")


def _nothing_is_lost(new: Deployment, folder: Path) -> None:
    versions = [v for vs in _versions(new).values() for v in vs]
    active = {v.key_hash for v in versions if v.state is VersionState.ACTIVE}
    assert len(active) == len(ROTATIONS)
    account = new.emulator.account
    assert account.existing() == account.live() == active
    assert {k.hash for k in account.minted} == {v.key_hash for v in versions if v.key_hash}
    for name in ROTATIONS:
        key = dotenv_values(folder / f"{name}.env")["OPENROUTER_API_KEY"]
        answer = httpx.get(f"{new.emulator.base_url}/key", headers={"Authorization": f"Bearer {key}"}, timeout=5)
        assert answer.status_code == 200
