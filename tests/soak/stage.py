"""Everything that a soak needs, running: servers, workers, beats, and whoever watches them."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from config.settings import read_settings
from tasks.providers.openrouter.emulator import chaos
from tasks.wiring import Rotator, open_rotator
from tests.leaks.takers import Events
from tests.soak.facts import SECRET_NAME
from tests.soak.ledger import Ledger
from tests.soak.plant import OVERLAP_S, Place, Plant, settings_of, start_plant
from tests.soak.servers import Servers, start_servers
from tests.soak.unit import Recipe, Supervisor, Unit
from tests.soak.watching import Later, Samples, Traffic
from worker.app import make_app

_TOP: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Canaries:
    """``key`` is in every key that is minted; ``password`` in every password and management key."""

    key: str
    password: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.key, self.password))


@dataclass(frozen=True, slots=True)
class Stage:
    """All of it. ``rotator`` is the operator's door; Celery's current application sends to the broker."""

    folder: Path
    canaries: Canaries
    supervisor: Supervisor
    servers: Servers
    plant: Plant
    rotator: Rotator
    ledger: Ledger
    events: Events
    samples: Samples


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Start all; end all, whatever happens, the workers before their servers."""
    canaries = Canaries(f"CANARY{secrets.token_hex(8)}", f"PASSPHRASE{secrets.token_hex(8)}")
    passing = Later(_made(folder / "passing"))
    with ExitStack() as stack:
        enter = stack.enter_context
        supervisor = enter(Supervisor())
        servers = start_servers(supervisor, folder, canary=canaries.key, password_canary=canaries.password)
        environment = settings_of(servers, folder)
        settings = read_settings(environment)
        enter(closing(make_app(settings)))
        rotator = enter(closing(open_rotator(settings, actor="operator")))
        rotator.store.upgrade()
        plant = start_plant(supervisor, environment, folder)
        enter(Traffic(servers.broker.url, folder / "passing" / "traffic"))
        yield Stage(
            folder=folder,
            canaries=canaries,
            supervisor=supervisor,
            servers=servers,
            plant=plant,
            rotator=rotator,
            ledger=enter(closing(Ledger(servers.postgres.url))),
            events=enter(Events(passing, servers.broker.url)),
            samples=enter(Samples(passing, plant.units, _units_of(servers))),
        )


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def _units_of(servers: Servers) -> list[Unit]:
    return [servers.postgres.unit, servers.broker.unit, servers.shop.unit, servers.emulator]


def start_applications(stage: Stage, places: Sequence[Place]) -> tuple[Unit, Path]:
    """Let applications read every place from now on; their process, and the file of their tally."""
    tally = stage.folder / "tally.json"
    plan = {
        "base_url": stage.servers.emulator_url,
        "shop_url": stage.servers.shop.url,
        "variable": SECRET_NAME,
        "overlap_s": OVERLAP_S,
        "tally": str(tally),
        "places": [asdict(place) for place in places],
    }
    file = stage.folder / "applications.json"
    file.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.soak.applications", str(file)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(stage.folder)}
    recipe = Recipe("applications", command, environment, stage.folder / "applications.log", _TOP)
    return stage.supervisor.keep(recipe), tally


class Weather:
    """The emulator's faults, from outside: put in force, taken out, counted."""

    def __init__(self, control_url: str) -> None:
        self._control_url = control_url
        self._before = 0

    def worsen(self, rate: float, seed: int) -> None:
        """From now on this share of the management calls fails."""
        self._before = max((int(call["number"]) for call in self._calls()), default=0)
        for fault in chaos(rate, seed=seed):
            self._ask("POST", "faults", content=fault.model_dump_json())

    def clear(self) -> tuple[int, int]:
        """From now on none fails. (calls, failures) since it got worse."""
        self._ask("DELETE", "faults")
        calls = self._calls()
        return len(calls), sum(call["fault"] is not None for call in calls)

    def _calls(self) -> list[Mapping[str, Any]]:
        calls: list[Mapping[str, Any]] = self._ask("GET", f"calls?after={self._before}&caller=management")["calls"]
        return calls

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        answer = httpx.request(method, f"{self._control_url}/{path}", timeout=60, trust_env=False, **body)
        return answer.raise_for_status().json()
