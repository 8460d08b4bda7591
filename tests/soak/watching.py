"""What is watched while the soak runs: the broker's traffic, Celery's processes, and how much memory each takes."""

from __future__ import annotations

import hashlib
import socket
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from tests.leaks.hunt import Hunt
from tests.leaks.takers import look_at_processes
from tests.soak.unit import Unit

SAMPLED_EVERY_S: Final = 5.0
_MEGABYTE: Final = 1 << 20


class Later(Hunt):
    """A hunt that puts by what it is shown, once each, in a folder: to be searched when there is time for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("nothing is searched here")
        self._folder = folder
        self._seen: set[bytes] = set()
        self._writing = threading.Lock()

    def look(self, place: str, content: bytes | str) -> None:
        """Keep it, under the name of its place."""
        raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        with self._writing:
            digest = hashlib.sha256(place.encode() + raw).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                with (self._folder / place).open("ab") as file:
                    file.write(raw + b"\n")


class Traffic:
    """All that is sent to the broker while it is entered, in a file; it connects again whenever the broker is back."""

    def __init__(self, url: str, file: Path) -> None:
        self._url = urlsplit(url)
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="traffic", daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _listen(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(OSError), socket.create_connection((self._url.hostname or "", self._url.port or 0), 2) as s:
                s.settimeout(1)
                s.sendall(f"AUTH {self._url.password}\r\nMONITOR\r\n".encode())
                self._record(s)

    def _record(self, connected: socket.socket) -> None:
        with self._file.open("ab") as file:
            while not self._stop.is_set():
                try:
                    piece = connected.recv(1 << 16)
                except TimeoutError:
                    continue
                if not piece:
                    return
                file.write(piece)


@dataclass(frozen=True, slots=True)
class Sample:
    """The resident memory of one unit's processes together, in megabytes."""

    at_s: float
    megabytes: float
    processes: int


class Samples:
    """Looks at processes every few seconds while it is entered: their memory, command lines and environments."""

    def __init__(self, shown: Hunt, ours: Sequence[Unit], others: Sequence[Unit]) -> None:
        self.memory: dict[str, list[Sample]] = defaultdict(list)
        self._shown, self._ours, self._others = shown, ours, others
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="samples", daemon=True)

    def __enter__(self) -> Samples:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def now_s(self) -> float:
        """Seconds since the samples began."""
        return time.monotonic() - self._began_s

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLED_EVERY_S):
            for unit in (*self._ours, *self._others):
                family = unit.family()
                if family:
                    self.memory[unit.name].append(_sample_of(family, self.now_s()))
            pids = [family[0].pid for unit in self._ours if (family := unit.family())]
            look_at_processes(self._shown, "processes", pids)

    def between(self, name: str, from_s: float, to_s: float) -> float | None:
        """The median memory of a unit in a part of the run; None when it was not looked at then."""
        found = [s.megabytes for s in self.memory[name] if from_s <= s.at_s <= to_s]
        return round(statistics.median(found), 1) if found else None

    def series(self, from_s: float) -> dict[str, list[tuple[int, int, int]]]:
        """(seconds after ``from_s``, megabytes, processes) of each unit, as often as it was looked at."""
        return {
            name: [(round(s.at_s - from_s), round(s.megabytes), s.processes) for s in samples if s.at_s >= from_s]
            for name, samples in self.memory.items()
        }


def _sample_of(family: Sequence[psutil.Process], at_s: float) -> Sample:
    """Resident, and not by shares of what is shared (PSS): that rises when another worker is killed."""
    total, count = 0, 0
    for process in family:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
            count += 1
    return Sample(at_s, total / _MEGABYTE, count)
