"""The plant that is soaked: workers and beats in the production pool, and the rotations they work for."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from config.master_key import generate_master_key
from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tests.soak.servers import Servers
from tests.soak.unit import Recipe, Supervisor, Unit

WORKERS: Final = 3
BEATS: Final = 2
CONNECTIONS: Final = 4
"""So that a 429, which pauses a whole connection, does not stop all rotations at once."""
OVERLAP_S: Final = 6
COOLING_S: Final = 4
STRANGERS: Final = ("stranger", "app-000", "app-000 #1-0123456789ab")
"""Names of keys that are not ours, also such as look like ours."""
SHORTENED: Final[Mapping[str, str]] = {
    # What a soak of minutes cannot wait for; every other setting is the production default.
    "TICK_S": "1",
    "LEASE_S": "15",
    "SETTLE_S": "30",  # with a lease of 52 s, longer than a worker is frozen: then no create can land after it
    "RETRY_BASE_S": "0.5",
    "RETRY_MAX_S": "5",
    "ATTENTION_RETRY_S": "30",
}
JSON_LOGS: Final = frozenset({"worker-1", "beat-1"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where applications read the key of one rotation. ``at`` is a file, or the name of a key in the shop."""

    rotation: str
    kind: str
    at: str


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is to do: so many rotations, each due every ``every_s`` seconds."""

    rotations: int
    every_s: int


@dataclass(frozen=True, slots=True)
class Plant:
    """Its processes get settings and nothing else."""

    settings: Settings
    workers: tuple[Unit, ...]
    beats: tuple[Unit, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every process of the product."""
        return self.workers + self.beats


def settings_of(servers: Servers, folder: Path) -> dict[str, str]:
    """The environment of the product's processes; secrets are in files, as in docker-compose.yml."""
    private = folder / "secrets"
    private.mkdir(mode=0o700)
    texts = {
        "DATABASE_URL": servers.postgres.url,
        "BROKER_URL": servers.broker.url,
        "MASTER_KEY": generate_master_key().reveal(),
    }
    for name, text in texts.items():
        (private / name.lower()).write_text(text)
    (folder / "data").mkdir(mode=0o700)
    values = {
        **{f"{name}_FILE": str(private / name.lower()) for name in texts},
        **SHORTENED,
        "DATA_DIR": str(folder / "data"),
        "OPENROUTER_BASE_URL": servers.emulator_url,
        "LOG_LEVEL": "debug",
    }
    return {f"ROTATOR_{name}": value for name, value in values.items()}


def start_plant(supervisor: Supervisor, environment: Mapping[str, str], folder: Path) -> Plant:
    """Start workers and beats as the README does, side by side on one machine, kept by a supervisor."""

    def keep(name: str, *command: str) -> Unit:
        form = "json" if name in JSON_LOGS else "console"
        whole = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", **environment}
        celery = (str(Path(sys.executable).with_name("celery")), "--quiet", "-A", "worker", *command)
        logs = folder / "logs" / f"{name}.log"
        return supervisor.keep(Recipe(name, celery, whole | {"ROTATOR_LOG_FORMAT": form}, logs, folder / "data"))

    workers = tuple(keep(f"worker-{n}", "worker", "-n", f"worker-{n}@%h") for n in range(1, WORKERS + 1))
    beats = tuple(keep(f"beat-{n}", "beat") for n in range(1, BEATS + 1))
    return Plant(read_settings(environment), workers, beats)


# --- the load --------------------------------------------------------------------------------------------------


def places_of(load: Load, folder: Path) -> tuple[Place, ...]:
    """Where every rotation publishes: most to a file, some to the shop, some to both."""
    published = folder / "published"
    places: list[Place] = []
    for number in range(load.rotations):
        name, turn = f"app-{number:03}", number % 10
        if turn < 8:
            places.append(Place(name, "dotenv", str(published / f"{name}.env")))
        if turn >= 6:
            places.append(Place(name, "redis", f"{name}:openrouter"))
    return tuple(places)


def target_of(place: Place, shop_url: str) -> Secret:
    """What an operator would give ``--publish``."""
    return Secret(f"dotenv:{place.at}" if place.kind == "dotenv" else f"redis:{shop_url}#{place.at}")


def create_load(
    operations: Operations, load: Load, places: tuple[Place, ...], shop_url: str, *, password_canary: str
) -> tuple[str, ...]:
    """Make the connections and rotations by the operator's door; the management keys, for whoever mints strangers."""
    keys = tuple(f"emulator-{password_canary}{secrets.token_hex(16)}" for _ in range(CONNECTIONS))
    for number, key in enumerate(keys):
        operations.create_connection(f"prod-{number}", Secret(key))
    for number in range(load.rotations):
        name = f"app-{number:03}"
        operations.create_rotation(
            RotationRequest(
                name=name,
                connection=f"prod-{number % CONNECTIONS}",
                key_name=name,
                schedule=ScheduleRequest(every=f"{load.every_s}s"),
                overlap=f"{OVERLAP_S}s",
                cooling=f"{COOLING_S}s",
                publish=tuple(target_of(place, shop_url) for place in places if place.rotation == name),
            )
        )
    return keys


def mint_strangers(emulator_url: str, management_key: str) -> frozenset[str]:
    """Keys of the same account that nobody handed over; their hashes."""
    headers = {"Authorization": f"Bearer {management_key}"}
    with httpx.Client(base_url=emulator_url, headers=headers, timeout=10, trust_env=False) as client:
        return frozenset(client.post("/keys", json={"name": n}).json()["data"]["hash"] for n in STRANGERS)
