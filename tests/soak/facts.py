"""Everything that is known when a soak has come to rest, as plain data: from OpenRouter, destinations and database.

Read past the product's own code, so that what it believes of itself does not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import psycopg
from psycopg.rows import dict_row
from redis import Redis

from tests.soak.applications import read_file, read_shop
from tests.soak.plant import Place

SECRET_NAME: Final = "OPENROUTER_API_KEY"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that OpenRouter ever minted. ``history`` is what was done to it, with times."""

    hash: str
    name: str
    state: str
    history: tuple[tuple[datetime, str], ...]

    @property
    def ended_at(self) -> datetime | None:
        """When it was first taken out of service."""
        return next((at for at, what in self.history if what in {"disabled", "deleted"}), None)


@dataclass(frozen=True, slots=True)
class Version:
    """A row of ``key_versions``."""

    rotation: str
    number: int
    state: str
    marker: str | None
    key_hash: str | None
    has_key: bool
    active_at: datetime | None
    retire_at: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """A row of ``events`` about a version."""

    rotation: str
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole truth. ``counters`` is each rotation's last version; ``held`` the hash at each place, or None."""

    keys: tuple[Key, ...]
    strangers: frozenset[str]
    counters: Mapping[str, int]
    versions: tuple[Version, ...]
    events: tuple[Told, ...]
    held: Mapping[Place, str | None]


def gather(
    *, control_url: str, database_url: str, shop_url: str, places: Sequence[Place], strangers: frozenset[str]
) -> Facts:
    """Ask all who know."""
    with psycopg.connect(database_url, row_factory=dict_row) as database:
        return Facts(
            keys=_keys(control_url),
            strangers=strangers,
            counters={row["name"]: row["last_version"] for row in database.execute(_COUNTERS)},
            versions=tuple(_version(row) for row in database.execute(_VERSIONS)),
            events=tuple(Told(r["rotation"], r["version"], r["name"]) for r in database.execute(_EVENTS)),
            held=_held(shop_url, places),
        )


_COUNTERS: Final = "SELECT name, last_version FROM rotations"
_VERSIONS: Final = """
SELECT r.name AS rotation, v.number, v.state, v.marker, v.key_hash, v.key_sealed IS NOT NULL AS has_key, v.active_at,
       v.retire_at
FROM key_versions v JOIN rotations r ON r.id = v.rotation_id ORDER BY r.name, v.number
"""
_EVENTS: Final = """
SELECT r.name AS rotation, e.version, e.name FROM events e JOIN rotations r ON r.id = e.rotation_id
WHERE e.version IS NOT NULL AND (e.name LIKE 'version\\_%' OR e.name = 'mint_failed') ORDER BY e.id
"""


def _version(row: Mapping[str, Any]) -> Version:
    plain = ("rotation", "number", "state", "marker", "key_hash", "has_key")
    moments = (_moment(row[name]) for name in ("active_at", "retire_at"))
    return Version(*(row[name] for name in plain), *moments)


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)


def _keys(control_url: str) -> tuple[Key, ...]:
    state = httpx.get(f"{control_url}/state", timeout=60, trust_env=False).json()
    return tuple(
        Key(k["hash"], k["name"], k["state"], tuple((datetime.fromisoformat(at), what) for at, what in k["history"]))
        for k in state["keys"]
    )


def _held(shop_url: str, places: Sequence[Place]) -> dict[Place, str | None]:
    found: dict[Place, str | None] = {}
    with Redis.from_url(shop_url) as client:
        for place in places:
            read = read_file(place.at, SECRET_NAME) if place.kind == "dotenv" else read_shop(client, place.at)
            text = read()
            found[place] = None if not text else hashlib.sha256(text.encode()).hexdigest()
    return found
