"""The search for secrets over all that a soak left: logs, database, broker, traffic, events, processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from redis import Redis

from tests.leaks.hunt import Hunt
from tests.leaks.takers import dump_postgresql, look_in_redis
from tests.soak.servers import Servers

PLACES: Final = (
    *("logs/worker-1", "logs/worker-2", "logs/worker-3", "logs/beat-1", "logs/beat-2", "logs/postgres", "logs/broker"),
    *(
        "pg_dump",
        "broker files",
        "broker: names",
        "passing/traffic",
        "passing/Celery's events",
        "passing/processes: cmdline",
    ),
    *("passing/processes: environ", "data folder", "PostgreSQL's files"),
)
"""Each must have had something to search, by the beginning of its name."""
_CHUNK_BYTES: Final = 1 << 24


def search(hunt: Hunt, servers: Servers, folder: Path, *, canaries: tuple[str, ...]) -> list[str]:
    """Search all that is there now, and what was put by while it passed. Returns every finding."""
    hunt.look_in_files("logs", folder / "logs")
    hunt.look_in_files("data folder", folder / "data")
    hunt.look("data folder", "\n".join(str(path) for path in (folder / "data").rglob("*")) or "(nothing is in it)")
    hunt.look_in_files("passing", folder / "passing")
    hunt.look("pg_dump", dump_postgresql(servers.postgres.url))
    with Redis.from_url(servers.broker.url) as client:
        look_in_redis(hunt, "broker", client)
    hunt.look_in_files("broker files", servers.broker.data)
    found, searched = _raw(servers.postgres.data, canaries)
    hunt.looked["PostgreSQL's files"] = searched
    return [*hunt.findings, *(f"PostgreSQL's files: {path}" for path in found)]


def unsearched(hunt: Hunt) -> Iterator[str]:
    """Places where there was nothing to search: a hunt there could not have found anything."""
    for place in PLACES:
        if not any(count for looked, count in hunt.looked.items() if looked.startswith(place)):
            yield place


def _raw(folder: Path, canaries: tuple[str, ...]) -> tuple[list[Path], int]:
    """Files with a canary in the open, and how many bytes were searched: they are too large for every disguise."""
    found, searched = [], 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            with path.open("rb") as file:
                before = b""
                while piece := file.read(_CHUNK_BYTES):
                    searched += len(piece)
                    text = before + piece
                    before = piece[-64:]
                    if any(canary.encode() in text for canary in canaries) and path not in found:
                        found.append(path)
        except FileNotFoundError:
            continue
    return found, searched
