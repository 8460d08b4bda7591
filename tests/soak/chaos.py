"""Chaos, by seed: what ends, freezes, empties and restarts the parts of a deployment, one disturbance after another.

A disturbance has *ended* when what it struck runs again (the supervisor has started it, the signal to go on was sent);
from then on the product has to recover. It *has recovered* when a rotation that was begun after that end is complete:
minted, proven, in every destination and read back. Between two disturbances there is a rest, so that this can be seen.

``worker-1`` and ``beat-1`` are frozen and lose their servers like all others, and ``worker-1`` loses pool children; but
once the blackout is over neither is killed, so that ten minutes of their memory can be compared.
"""

from __future__ import annotations

import math
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import psutil
from redis import Redis
from redis.exceptions import RedisError

from tests.soak.plant import Plant
from tests.soak.servers import Server, Servers
from tests.soak.unit import Unit, wait_until

FREEZE_S: Final = (55.0, 70.0)
"""Longer than any lease while a call to OpenRouter is on its way: it is renewed to 52 s then (15 s otherwise)."""
GRACE_S: Final = 75.0
"""How long a process may take to end when asked to, as in docker-compose.yml; then it is killed."""
RECOVERY_TIMEOUT_S: Final = 120.0
_REST_S: Final = (2.0, 6.0)
_BACK_TIMEOUT_S: Final = 90.0
_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Struck:
    """One disturbance: what it was, and when it ended (``time.time()``)."""

    what: str
    ended_at: float


@dataclass(slots=True)
class Chaos:
    """Disturbs until it is told to stop. ``recovered(since)`` tells whether a rotation begun since then is complete;
    ``reconcile`` sends what beat sends hourly."""

    plant: Plant
    servers: Servers
    seed: int
    recovered: Callable[[float], bool]
    reconcile: Callable[[], None]
    struck: list[Struck] = field(default_factory=list)
    _thaws: list[tuple[float, Unit]] = field(default_factory=list)

    def run(self, seconds: float, progress: Callable[[], None]) -> None:
        """One disturbance after another for so long; ``progress`` is called between them."""
        dice = random.Random(self.seed)
        until = time.monotonic() + seconds
        for act in self._deck(dice):
            self._thaw()
            self._note(act, dice)
            self._rest(until, dice.uniform(*_REST_S), progress)
            if time.monotonic() >= until:
                return

    def _note(self, act: Act, dice: random.Random) -> None:
        what = act(dice)
        if what is not None:
            self.struck.append(Struck(what, time.time()))

    def _rest(self, until: float, rest_s: float, progress: Callable[[], None]) -> None:
        """Until what was last disturbed has recovered, and a little longer."""
        since = self.struck[-1].ended_at if self.struck else time.time()
        give_up = time.monotonic() + RECOVERY_TIMEOUT_S
        while time.monotonic() < min(until, give_up) and not self.recovered(since):
            progress()
            self._thaw()
            time.sleep(_POLL_S)
        time.sleep(min(rest_s, max(0.0, until - time.monotonic())))
        progress()

    def calm(self) -> None:
        """No more: what is frozen is let go when its time has come; returns when everything runs and has recovered."""
        while self._thaws:
            self._thaw()
            time.sleep(_POLL_S)
        everything = (*self.plant.units, *(s.unit for s in self._servers))
        wait_until("everything runs again", lambda: all(u.running for u in everything), timeout_s=_BACK_TIMEOUT_S)
        self._rest(math.inf, 0.0, lambda: None)

    def kinds(self) -> Counter[str]:
        """How often each kind of disturbance struck."""
        return Counter(struck.what for struck in self.struck)

    @property
    def _servers(self) -> tuple[Server, ...]:
        return self.servers.postgres, self.servers.broker, self.servers.shop

    # --- what there is -----------------------------------------------------------------------------------------

    def _deck(self, dice: random.Random) -> Iterator[Act]:
        """Every kind of disturbance in an order of chance, again and again; first of all, everything at once. The
        long freeze comes first in each round, so that the rest of it strikes meanwhile."""
        yield self._blackout
        while True:
            deck = [*self._of_processes(), *self._of_servers()]
            dice.shuffle(deck)
            yield from (self._freeze_worker, *deck)

    def _of_processes(self) -> Sequence[Act]:
        workers, beats = self.plant.workers[1:], self.plant.beats[1:]
        return (
            *(lambda dice, u=unit: self._end(u, signal.SIGKILL) for unit in (*workers, *workers, *beats)),
            *(lambda dice, u=unit: self._end(u, signal.SIGTERM) for unit in (*workers, *beats)),
            self._kill_pool_child,
            self._kill_pool_child,
            self._freeze_beat,
        )

    def _of_servers(self) -> Sequence[Act]:
        postgres, broker, shop = (server.unit for server in self._servers)
        return (
            *(lambda dice, u=unit: self._end(u, signal.SIGKILL) for unit in (postgres, broker, broker, shop)),
            *(lambda dice, u=unit: self._end(u, signal.SIGTERM, dice.uniform(2, 6)) for unit in (broker, shop)),
            *(lambda dice, n=number: self._end(postgres, n) for number in (signal.SIGINT, signal.SIGQUIT)),
            lambda dice: self._end(postgres, signal.SIGINT, dice.uniform(2, 6)),
            lambda dice: self._freeze(broker, dice.uniform(3, 8)),
            lambda dice: self._freeze(shop, dice.uniform(6, 14)),
            lambda dice: self._freeze(postgres, dice.uniform(3, 8)),
            self._flush_broker,
            self._flush_broker,
            self._reconcile,
            self._reconcile,
        )

    def _end(self, unit: Unit, number: signal.Signals, down_s: float = 0.0) -> str | None:
        """End one and wait until it is back; None when it is not there to be ended."""
        if unit.frozen or not unit.running:
            return None
        starts = unit.starts
        if down_s:
            unit.stay_down(down_s)
        unit.send(number)
        back = lambda: unit.starts > starts and unit.running  # noqa: E731 - a condition, asked for twice
        how = f"{_kind(unit)} {number.name}{' and kept down' if down_s else ''}"
        try:
            wait_until(f"{unit.name} is back", back, timeout_s=GRACE_S)
        except TimeoutError:
            unit.kill_family()
            wait_until(f"{unit.name} is back", back, timeout_s=_BACK_TIMEOUT_S)
            return f"{how}, then SIGKILL"
        return how

    def _kill_pool_child(self, dice: random.Random) -> str | None:
        """One process of a worker's pool, perhaps in the middle of a step."""
        unit = dice.choice([u for u in self.plant.workers if not u.frozen])
        children = unit.family()[1:]
        if not children:
            return None
        with suppress(psutil.NoSuchProcess):
            dice.choice(children).kill()
        return "pool child SIGKILL"

    def _freeze_worker(self, dice: random.Random) -> str | None:
        """For longer than its leases; other disturbances go on meanwhile."""
        if self._thaws:
            return None
        unit = dice.choice([u for u in self.plant.workers if u.running])
        unit.freeze()
        self._thaws.append((time.monotonic() + dice.uniform(*FREEZE_S), unit))
        return None

    def _thaw(self) -> None:
        """Let those go on whose time has come."""
        due = [(at, unit) for at, unit in self._thaws if at <= time.monotonic()]
        self._thaws = [thaw for thaw in self._thaws if thaw not in due]
        for _, unit in due:
            unit.thaw()
            self.struck.append(Struck("worker frozen past its leases", time.time()))

    def _freeze_beat(self, dice: random.Random) -> str:
        return self._freeze(dice.choice(self.plant.beats), dice.uniform(3, 8))

    def _freeze(self, unit: Unit, seconds: float) -> str:
        unit.freeze()
        time.sleep(seconds)
        unit.thaw()
        return f"{_kind(unit)} frozen for seconds"

    def _flush_broker(self, dice: random.Random) -> str | None:
        try:
            with Redis.from_url(self.servers.broker.url, socket_timeout=5) as client:
                client.flushall()
        except RedisError:
            return None
        return "broker FLUSHALL"

    def _reconcile(self, dice: random.Random) -> None:
        """No disturbance, but what beat does hourly, in the middle of them."""
        self.reconcile()

    def _blackout(self, dice: random.Random) -> str:
        """The machine loses its power: everything is killed at once, and comes back as it likes."""
        everything = [*self.plant.units, *(server.unit for server in self._servers)]
        starts = {unit.name: unit.starts for unit in everything}
        for unit in everything:
            unit.kill_family()
        wait_until(
            "everything is back",
            lambda: all(u.starts > starts[u.name] and u.running for u in everything),
            timeout_s=_BACK_TIMEOUT_S,
        )
        return "blackout: everything SIGKILL"


Act = Callable[[random.Random], str | None]


def _kind(unit: Unit) -> str:
    return unit.name.partition("-")[0]
