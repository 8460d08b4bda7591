"""Rotations a second, alone and while 200 requests a second read the status: real PostgreSQL, broker, worker, server.

There is always more due than can be done, so that what is measured is what can be. A rotation counts when its version
became active; its predecessor is disabled and deleted meanwhile, as always.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import httpx

from config.secret import Secret
from config.settings import read_settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.wiring import Rotator, open_rotator
from tests.benchmarks.figure import QUICK, Figure, Turn
from tests.soak.plant import settings_of
from tests.soak.servers import free_port, start_servers
from tests.soak.unit import Recipe, Supervisor, wait_until
from worker.app import make_app

_TOP: Final = Path(__file__).resolve().parents[2]
_ROTATIONS: Final = 120
_EVERY_S: Final = 2
"""Wanted: 60 rotations a second, more than this machine can do."""
_RATE: Final = 200
_SETTLES_S: Final = 3.0
_LASTS_S: Final = 8.0 if QUICK else 30.0
_START_S: Final = 60.0


class StatusReads:
    """A plant at work, and readers who come and go."""

    def __init__(self, rotator: Rotator, url: str, token_file: Path) -> None:
        self._rotator = rotator
        self._url = url
        self._token_file = token_file

    def floor(self) -> Turn:
        """Nobody reads."""
        time.sleep(_SETTLES_S)
        return Turn(self._rotations_per_s(_LASTS_S))

    def product(self) -> Turn:
        """Somebody reads the status 200 times a second."""
        command = [sys.executable, "-m", "tests.benchmarks.readers", self._url, str(self._token_file), str(_RATE)]
        lasts_s = _SETTLES_S + _LASTS_S + 1
        with subprocess.Popen([*command, str(lasts_s)], cwd=_TOP, stdout=subprocess.PIPE, text=True) as readers:
            time.sleep(_SETTLES_S)
            rate = self._rotations_per_s(_LASTS_S)
            told, _ = readers.communicate()
        came = json.loads(told)
        if set(came["statuses"]) != {"200"}:
            print(f"reads ended as {came['statuses']}", file=sys.stderr)
        answered = came["statuses"].get("200", 0)
        beside = {
            "reads a second": came["asked"] / came["seconds"],
            "read, median (ms)": came["median_ms"],
            "read, 99 % (ms)": came["p99_ms"],
        }
        return Turn(rate, beside, errors=came["asked"] - answered)

    def _rotations_per_s(self, lasts_s: float) -> float:
        before, began_s = self._done(), time.perf_counter()
        time.sleep(lasts_s)
        return (self._done() - before) / (time.perf_counter() - began_s)

    def _done(self) -> int:
        counts = self._rotator.store.readings.events() or {}
        return sum(count for what, count in counts.items() if what.name == "version_active")


@contextmanager
def staged() -> Iterator[StatusReads]:
    """Everything started, every rotation in service once."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-bench-")))
        folder.chmod(0o755)  # PostgreSQL runs as another user
        supervisor = stack.enter_context(Supervisor())
        servers = start_servers(supervisor, folder, canary="bench", password_canary="bench")
        url = f"http://127.0.0.1:{(port := free_port())}"
        web = {"ROTATOR_WEB_PORT": str(port), "ROTATOR_WEB_REQUESTS_PER_MINUTE": "1000000"}
        environment = settings_of(servers, folder) | web | {"ROTATOR_LOG_LEVEL": "warning"}
        settings = read_settings(environment)
        stack.enter_context(closing(make_app(settings)))
        rotator = stack.enter_context(closing(open_rotator(settings, actor="bench")))
        rotator.store.upgrade()
        whole = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(_TOP), **environment}
        for name, arguments in (
            ("worker", ("celery", "--quiet", "-A", "worker", "worker")),
            ("beat", ("celery", "--quiet", "-A", "worker", "beat")),
            ("web", ("worker.web",)),
        ):
            command = (sys.executable, "-m", *arguments)
            supervisor.keep(Recipe(name, command, whole, folder / "logs" / f"{name}.log", folder / "data"))
        operations = Operations(rotator)
        _load(operations, folder)
        _, token = operations.create_token("bench", "viewer")
        token_file = folder / "token"
        token_file.write_text(token.reveal())
        wait_until("the server serves", lambda: _serves(url), timeout_s=_START_S)
        wait_until("every rotation is in service", lambda: _in_service(operations), timeout_s=2 * _START_S)
        yield StatusReads(rotator, f"{url}/api/rotator/v1/status", token_file)


def _load(operations: Operations, folder: Path) -> None:
    operations.create_connection("prod", Secret(f"emulator-{secrets.token_hex(16)}"))
    (folder / "published").mkdir()
    for number in range(_ROTATIONS):
        name = f"app-{number:03}"
        operations.create_rotation(
            RotationRequest(
                name=name,
                connection="prod",
                key_name=name,
                schedule=ScheduleRequest(every=f"{_EVERY_S}s"),
                overlap="1s",
                cooling="1s",
                publish=(Secret(f"dotenv:{folder / 'published' / f'{name}.env'}"),),
            )
        )


def _serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _in_service(operations: Operations) -> bool:
    return all(rotation.active_version is not None for rotation in operations.list_rotations())


FIGURE: Final = Figure(
    name="rotations beside status reads",
    unit="rotations/s",
    floor="nobody reads",
    product=f"{_RATE} status reads/s beside",
    staged=staged,
)
