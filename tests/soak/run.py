"""One soak from the first server to the report: load, chaos, calm, rest, verdict."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tasks.operations import Operations
from tasks.rotation.errors import RotatorError
from tests.leaks.hunt import Hunt
from tests.soak.applications import tally_in
from tests.soak.chaos import Chaos
from tests.soak.facts import Facts, gather
from tests.soak.hourly import Hourly
from tests.soak.ledger import longest_by_kind, longest_stall, recoveries
from tests.soak.plant import Load, Place, create_load, mint_strangers, places_of
from tests.soak.report import SHORTEST_TREND_S, Memory, Report
from tests.soak.searching import search, unsearched
from tests.soak.stage import Stage, Weather, staged, start_applications
from tests.soak.unit import Unit, wait_until
from tests.soak.verdict_at_rest import judge

REST_TIMEOUT_S: Final = 300.0
"""A lease of 87 s at worst, a message that a worker was told of 60 s ago, 30 s of looking; and time to work."""
_SETUP_TIMEOUT_S: Final = 300.0
_PAUSE_TIMEOUT_S: Final = 60.0
_TOLD_EVERY_S: Final = 15.0
_WINDOW_S: Final = 30.0
_WARM_S: Final = 150.0
"""From the blackout at the beginning until memory is looked at for the first time: every process has worked by then."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to soak. ``chaos`` is the share of management calls that fail."""

    minutes: float
    load: Load
    chaos: float
    seed: int
    report: Path
    keep: bool = False


def soak(order: Order) -> Report:
    """Do it all. Whatever happens, every process is ended; the folder stays when something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-soak-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another user, whose folder is inside
    good = False
    try:
        with staged(folder) as stage:
            report = _Run(order, stage).report()
        good = not report.failures
        return report
    finally:
        if good and not order.keep:
            shutil.rmtree(folder)
        else:
            print(f"soak: logs and data are in {folder}", flush=True)


@dataclass(slots=True)
class _Loaded:
    """What was set up: where keys are, whose they are not, and who reads them."""

    places: tuple[Place, ...]
    strangers: frozenset[str]
    applications: Unit
    tally: Path


@dataclass(slots=True)
class _Rested:
    """How it came to rest: after how many seconds (None: never), and with what left to the hourly look."""

    calmed_at: float
    seconds: float | None
    orphans_before: int
    reconciled: bool
    facts: Facts = field(repr=False)


class _Run:
    def __init__(self, order: Order, stage: Stage) -> None:
        self._order = order
        self._stage = stage
        self._hourly = Hourly(stage.events)
        self._weather = Weather(stage.servers.control_url)
        self._told_s = 0.0

    def report(self) -> Report:
        """One phase after the other."""
        loaded = self._load()
        chaos = Chaos(
            self._stage.plant, self._stage.servers, self._order.seed, self._stage.ledger.recovered, self._hourly.send
        )
        self._weather.worsen(self._order.chaos, self._order.seed)
        began_s = self._stage.samples.now_s()
        chaos.run(self._order.minutes * 60, lambda: self._tell(chaos, loaded, began_s))
        memory = self._memory(began_s, self._stage.samples.now_s())
        chaos.calm()
        calls, faults = self._weather.clear()
        rested = self._rest(loaded)
        return self._judged(chaos, loaded, rested, memory=memory, began_s=began_s, calls=calls, faults=faults)

    # --- the phases --------------------------------------------------------------------------------------------

    def _load(self) -> _Loaded:
        """Everything in service, and looked at once, as it would be after its first hour."""
        load, servers = self._order.load, self._stage.servers
        places = places_of(load, self._stage.folder)
        (self._stage.folder / "published").mkdir(mode=0o700)
        applications, tally = start_applications(self._stage, places)
        operations = Operations(self._stage.rotator)
        keys = create_load(operations, load, places, servers.shop.url, password_canary=self._stage.canaries.password)
        strangers = mint_strangers(servers.emulator_url, keys[0])
        wait_until("every rotation has a key in service", self._all_serve, timeout_s=_SETUP_TIMEOUT_S)
        if not self._hourly.done():
            raise TimeoutError("no worker reconciled, before any chaos")
        return _Loaded(places, strangers, applications, tally)

    def _all_serve(self) -> bool:
        return self._stage.ledger.serving() == self._order.load.rotations

    def _rest(self, loaded: _Loaded) -> _Rested:
        """Nothing new is begun; the workers finish what there is, and reconcile as they do hourly."""
        calmed_at = time.time()
        operations = Operations(self._stage.rotator)
        for number in range(self._order.load.rotations):
            name = f"app-{number:03}"
            pause = _done(partial(operations.pause_rotation, name))
            wait_until(f"{name} is paused", pause, timeout_s=_PAUSE_TIMEOUT_S)
        seconds = time.time() - calmed_at if self._comes_to_rest() else None
        orphans_before = judge(self._facts(loaded)).orphans
        reconciled = self._hourly.done()
        self._comes_to_rest()
        loaded.applications.end()
        return _Rested(calmed_at, seconds, orphans_before, reconciled, self._facts(loaded))

    def _comes_to_rest(self) -> bool:
        try:
            wait_until("everything is at rest", self._stage.ledger.at_rest, timeout_s=REST_TIMEOUT_S)
        except TimeoutError:
            return False
        return True

    # --- what is told ------------------------------------------------------------------------------------------

    def _tell(self, chaos: Chaos, loaded: _Loaded, began_s: float) -> None:
        if time.monotonic() - self._told_s < _TOLD_EVERY_S:
            return
        self._told_s = time.monotonic()
        tally = tally_in(loaded.tally)
        failures = tally.refused + tally.emptied + tally.unanswered
        completed = max(0, self._stage.ledger.completed() - self._order.load.rotations)
        seconds = self._stage.samples.now_s() - began_s
        print(
            f"soak: {seconds:4.0f} s, {completed} rotations, {len(chaos.struck)} disturbances, "
            f"{tally.calls} calls, {failures} failures",
            flush=True,
        )

    def _facts(self, loaded: _Loaded) -> Facts:
        servers = self._stage.servers
        return gather(
            control_url=servers.control_url,
            database_url=servers.postgres.url,
            shop_url=servers.shop.url,
            places=loaded.places,
            strangers=loaded.strangers,
        )

    def _memory(self, from_s: float, to_s: float) -> dict[str, Memory]:
        """Each unit's memory, once warm after the blackout and at the end of chaos."""
        samples = self._stage.samples
        first = from_s + (_WARM_S if to_s - from_s > SHORTEST_TREND_S + _WARM_S + 2 * _WINDOW_S else 0)
        ours = {unit.name for unit in self._stage.plant.units}
        found: dict[str, Memory] = {}
        for name in samples.memory:
            start, end = samples.between(name, first, first + _WINDOW_S), samples.between(name, to_s - _WINDOW_S, to_s)
            if start is not None and end is not None:
                found[name] = Memory(start, end, max(0.0, to_s - first - _WINDOW_S), name in ours)
        return found

    def _judged(
        self,
        chaos: Chaos,
        loaded: _Loaded,
        rested: _Rested,
        *,
        memory: dict[str, Memory],
        began_s: float,
        calls: int,
        faults: int,
    ) -> Report:
        stage = self._stage
        for unit in stage.plant.units:
            unit.end()
        moments = stage.ledger.moments()
        recovered = recoveries(chaos.struck, moments)
        hunt = Hunt(*stage.canaries)
        return Report(
            seed=self._order.seed,
            minutes=self._order.minutes,
            rotations=self._order.load.rotations,
            figures=judge(rested.facts),
            tally=tally_in(loaded.tally),
            disturbances=dict(chaos.kinds()),
            faults=faults,
            management_calls=calls,
            recoveries=longest_by_kind(recovered),
            unrecovered=sum(seconds is None for seconds in recovered.values()),
            longest_stall_s=round(longest_stall(moments, ended_at=rested.calmed_at), 1),
            rest_s=rested.seconds and round(rested.seconds, 1),
            orphans_before_reconcile=rested.orphans_before,
            reconciled=rested.reconciled,
            attention=stage.ledger.attention(),
            leaks=tuple(search(hunt, stage.servers, stage.folder, canaries=tuple(stage.canaries))),
            blind=tuple(unsearched(hunt)),
            searched=dict(hunt.looked),
            memory=memory,
            memory_series=stage.samples.series(began_s),
        )


def _done(act: Callable[[], object]) -> Callable[[], bool]:
    """Whether ``act`` could be done; what passes by itself may be asked for again."""

    def tried() -> bool:
        try:
            act()
        except RotatorError:
            return False
        return True

    return tried
