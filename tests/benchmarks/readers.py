"""``python -m tests.benchmarks.readers URL TOKEN_FILE RATE SECONDS``: ask so often for so long, whatever answers take.

A process of its own, so that its work is not the measured one's; it prints what came as JSON. Requests set off by the
clock and not by the last answer: a server that falls behind is not asked less often.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles
from typing import Final
from urllib.parse import urlsplit

_CONNECTIONS: Final = 32
_PATIENCE_S: Final = 10.0


class Reader:
    """Connections that are kept, and what came over them."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        lines = (f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {token}", "", "")
        self._request = "\r\n".join(lines).encode()
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.took_s: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def ask(self) -> None:
        """Once. What goes wrong is counted by its kind."""
        began_s = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE_S), self._slots:
                status = await self._answered()
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            status = type(error).__name__
        self.statuses[status] += 1
        self.took_s.append(time.perf_counter() - began_s)

    async def _answered(self) -> str:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:"))
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return head.split(" ", 2)[1]


async def read(url: str, token: str, rate: float, seconds: float) -> dict[str, object]:
    """Ask ``rate`` times a second for ``seconds``; what came."""
    reader = Reader(url, token)
    began_s, count = time.perf_counter(), round(rate * seconds)
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
            tasks.create_task(reader.ask())
    cuts = quantiles(reader.took_s, n=100)
    return {
        "asked": count,
        "seconds": time.perf_counter() - began_s,
        "statuses": dict(reader.statuses),
        "median_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
    }


if __name__ == "__main__":
    _, url_, token_file, rate_, seconds_ = sys.argv
    print(json.dumps(asyncio.run(read(url_, Path(token_file).read_text().strip(), float(rate_), float(seconds_)))))
