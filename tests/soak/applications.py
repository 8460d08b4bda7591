"""The applications: they read every destination anew without pause, and use the key at once.

A process of its own, ``python -m tests.soak.applications PLAN``, so that nothing here waits for the soak's other work.
A key that was just read and is refused is a failure, unless the application held it for longer than the overlap before
it used it (a machine under load may stop it for so long): that is counted apart. So is a shop that cannot be asked,
where an application can read nothing. A place that once held a key and holds none is a failure.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dotenv import dotenv_values
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

THREADS: Final = 2
_NICENESS: Final = 5
"""Without a pause they would take a whole core from the workers."""
_TIMEOUT_S: Final = 20.0
_TOLD_EVERY_S: Final = 1.0
_REFUSED: Final = frozenset({401, 403})

Read = Callable[[], str | None]


@dataclass
class Tally:
    """What the applications met. ``failures`` tells each one, with hashes for keys."""

    calls: int = 0
    refused: int = 0
    emptied: int = 0
    """Looks at a place that once held a key and holds none."""
    unreadable: int = 0
    """Looks at a server that could not be asked."""
    unanswered: int = 0
    """Calls that OpenRouter did not answer: nothing in a soak may cause one."""
    too_slow: int = 0
    """Refusals of keys that were held for longer than the overlap before they were used."""
    rounds: int = 0
    """How often every place was looked at."""
    failures: list[str] = field(default_factory=list)


def read_file(path: str, name: str) -> Read:
    """An application that reads its dotenv file."""
    return lambda: dotenv_values(path).get(name) if Path(path).exists() else None


def read_shop(client: Redis, key: str) -> Read:
    """An application that asks the shop."""

    def read() -> str | None:
        value = client.get(key)
        return value.decode() if isinstance(value, bytes) else None

    return read


class Application:
    """One thread: round and round over its places."""

    def __init__(self, base_url: str, readers: Sequence[tuple[str, Read]], overlap_s: float) -> None:
        self.tally = Tally()
        self._url = urlsplit(base_url)
        self._readers = readers
        self._overlap_s = overlap_s
        self._holds: set[str] = set()
        self._connection: http.client.HTTPConnection | None = None

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.is_set():
            for label, read in self._readers:
                self._use(label, read)
            self.tally.rounds += 1

    def _use(self, label: str, read: Read) -> None:
        began_s = time.monotonic()
        try:
            key = read()
        except RedisError:
            self.tally.unreadable += 1
            return
        if key:
            self._holds.add(label)
            self._judge(label, key, self._status(key), time.monotonic() - began_s)
        elif label in self._holds:
            self.tally.emptied += 1
            self._tell(f"{label} holds no key any more")

    def _judge(self, label: str, key: str, status: int | None, took_s: float) -> None:
        if status == http.client.OK:
            self.tally.calls += 1
        elif status not in _REFUSED:
            self.tally.unanswered += 1
            self._tell(f"{label}: the call was answered with {status}")
        elif took_s > self._overlap_s:
            self.tally.too_slow += 1
        else:
            self.tally.refused += 1
            self._tell(f"{label}: {hashlib.sha256(key.encode()).hexdigest()} was refused after {took_s:.3f} s")

    def _status(self, key: str) -> int | None:
        """What OpenRouter says to the key; None when it says nothing."""
        try:
            if self._connection is None:
                assert self._url.hostname is not None
                self._connection = http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=_TIMEOUT_S)
            self._connection.request("GET", f"{self._url.path}/key", headers={"Authorization": f"Bearer {key}"})
            answer = self._connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            self._connection = None
            return None
        return answer.status

    def _tell(self, failure: str) -> None:
        self.tally.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {failure}")


def total(tallies: Sequence[Tally]) -> Tally:
    """All of them together."""
    counts = {name: sum(getattr(t, name) for t in tallies) for name in asdict(Tally()) if name != "failures"}
    counts["rounds"] = min((t.rounds for t in tallies), default=0)
    return Tally(**counts, failures=sorted(failure for t in tallies for failure in t.failures))


def tally_in(path: Path) -> Tally:
    """The tally that the process wrote last; an empty one before its first."""
    return Tally(**json.loads(path.read_text())) if path.exists() else Tally()


def _write(applications: Sequence[Application], path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(total([a.tally for a in applications]))))
    fresh.replace(path)


def _readers(plan: dict[str, Any], thread: int) -> list[tuple[str, Read]]:
    """The places of one thread, each with a way to read it."""
    client = Redis.from_url(plan["shop_url"], socket_timeout=5, retry=Retry(NoBackoff(), 0))
    readers: list[tuple[str, Read]] = []
    for place in plan["places"][thread::THREADS]:
        label = f"{place['kind']} of {place['rotation']}"
        by = read_file(place["at"], plan["variable"]) if place["kind"] == "dotenv" else read_shop(client, place["at"])
        readers.append((label, by))
    return readers


def main(plan_file: str) -> int:
    """Read and use keys until SIGTERM; the tally is written every second, and at the end."""
    plan: dict[str, Any] = json.loads(Path(plan_file).read_text())
    os.nice(_NICENESS)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    applications = [Application(plan["base_url"], _readers(plan, n), plan["overlap_s"]) for n in range(THREADS)]
    threads = [threading.Thread(target=a.run, args=(stop,), daemon=True) for a in applications]
    for thread in threads:
        thread.start()
    while not stop.wait(_TOLD_EVERY_S):
        _write(applications, Path(plan["tally"]))
    for thread in threads:
        thread.join(_TIMEOUT_S)
    _write(applications, Path(plan["tally"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
