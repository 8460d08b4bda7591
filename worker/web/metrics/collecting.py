"""The metrics of this moment. A part that cannot be read is left out, and keeps no other from being told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final, assert_never

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)

from tasks.rotation.errors import RotatorError
from tasks.rotation.model import ConnectionHealth, Reason, VersionState
from tasks.store import tallies
from tasks.store.event_counts import Happening
from tasks.store.readings import Reading, RotationReading
from tasks.store.tallies import Tallied, by_bucket
from tasks.wiring import Rotator
from worker import broker
from worker.app import QUEUE as QUEUE_NAME
from worker.web.metrics import table
from worker.web.metrics.table import METRICS, Kind, Metric
from worker.web.metrics.times import Times

Values = Mapping[str, float]
_FAMILIES: Final = ("try-again", "outcome-unknown", "operator-needed", "broken")
_FAILED: Final = "_failed"


class Collection:
    """The families of one scrape, filled figure by figure."""

    def __init__(self) -> None:
        self._families = {metric.name: _family(metric) for metric in METRICS}

    def collect(self) -> Iterator[Family]:
        """What there is to tell, as ``prometheus_client`` asks for it."""
        return (family for family in self._families.values() if family.samples)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """One figure."""
        family = self._families[metric.name]
        assert isinstance(family, GaugeMetricFamily | CounterMetricFamily)  # noqa: S101 - of this program's own table
        family.add_metric(labels, value)

    def put_durations(self, metric: Metric, counts: Values, total: float, *labels: str) -> None:
        """One histogram, from counts by bucket."""
        family = self._families[metric.name]
        assert isinstance(family, HistogramMetricFamily)  # noqa: S101 - of this program's own table
        family.add_metric(labels, by_bucket(counts), total)


def _family(metric: Metric) -> Family:
    match metric.kind:
        case Kind.GAUGE:
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.COUNTER:
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        case _:
            assert_never(metric.kind)


def collected(rotator: Rotator, times: Times) -> Collection:
    """All figures of now."""
    made, store = Collection(), rotator.store
    made.put(table.BUILD, 1, _release())
    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("state", lambda: _put_state(made, store.readings.read())),
        ("schema", lambda: made.put(table.SCHEMA, 1, store.schema() or "none")),
        ("events", lambda: _put_events(made, store.readings.events())),
        ("calls", lambda: _put_calls(made, store.tallies.all())),
    )
    for name, put in parts:
        made.put(table.READABLE, _succeeds(put), name)
    _put_broker(made, broker.queue_depth(rotator.settings, QUEUE_NAME))
    for (route, status), (counts, total) in sorted(times.all().items()):
        made.put_durations(table.WEB, counts, total, route, status)
    return made


def _succeeds(put: Callable[[], object]) -> bool:
    try:
        return put() is not False
    except RotatorError:
        return False


def _put_state(made: Collection, reading: Reading) -> None:
    for rotation in reading.rotations:
        _put_rotation(made, rotation, reading.now)
    made.put(table.UNREADABLE, reading.unreadable)
    for family in _FAMILIES:
        made.put(table.FAILING, reading.failing.get(family, 0), family)
    for connection in reading.connections:
        for health in ConnectionHealth:
            made.put(table.HEALTH, connection.health == health, connection.name, health)
        made.put(table.CHECKED, _since(connection.checked_at, reading.now), connection.name)
    made.put(table.UNTOLD, reading.notice_targets_failing)
    if reading.last_tick_at is not None:
        made.put(table.TICK_AGE, _since(reading.last_tick_at, reading.now))


def _put_rotation(made: Collection, rotation: RotationReading, now: datetime) -> None:
    name = rotation.name
    made.put(table.ATTENTION, rotation.needs_attention, name)
    made.put(table.PAUSED, rotation.paused, name)
    made.put(table.UNDELIVERED, rotation.deliveries_failing, name)
    for state, count in rotation.versions.items():
        made.put(table.VERSIONS, count, name, state)
    if rotation.active_since is not None:
        made.put(table.KEY_AGE, _since(rotation.active_since, now), name)
    if rotation.expires_at is not None:
        made.put(table.KEY_EXPIRES, -_since(rotation.expires_at, now), name)
    if rotation.due_at is not None:
        made.put(table.DUE, -_since(rotation.due_at, now), name)


def _since(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()


def _put_events(made: Collection, counts: Mapping[Happening, int] | None) -> bool:
    """Whether the log has been counted to its end; else nothing is told, rather than too little."""
    if counts is None:
        return False
    for metric, name in _PLAIN.items():
        made.put(metric, _sum(counts, name))
    for outcome, name in (("done", "delivered"), ("failed", "delivery_failed")):
        made.put(table.DELIVERIES, _sum(counts, name), outcome)
    for state in VersionState:
        made.put(table.TRANSITIONS, _sum(counts, f"version_{state}"), state)
    for reason in Reason:
        made.put(table.ROTATIONS, _sum(counts, "version_active", reason=reason), reason)
    for (step, family), count in sorted(_failures(counts).items()):
        made.put(table.FAILURES, count, step, family)
    return True


_PLAIN: Final = {
    table.ORPHANS: "orphan_deleted",
    table.DRIFTS: "drift_found",
    table.REFUSED: "ciphertext_refused",
    table.READ: "key_read",
}


def _sum(counts: Mapping[Happening, int], name: str, reason: str | None = None) -> int:
    return sum(n for what, n in counts.items() if what.name == name and reason in (None, what.reason))


def _failures(counts: Mapping[Happening, int]) -> dict[tuple[str, str], int]:
    """By step and family; ``delivery_failed`` tells of one destination, and has no family."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for what, count in counts.items():
        if what.name.endswith(_FAILED) and what.family:
            found[what.name.removesuffix(_FAILED), what.family] += count
    return found


def _put_calls(made: Collection, amounts: Mapping[Tallied, float]) -> None:
    buckets: dict[str, dict[str, float]] = defaultdict(dict)
    for (name, labels), amount in sorted(amounts.items()):
        told = dict(labels)
        if name == tallies.CALLS:
            made.put(table.CALLS, amount, told["call"], told["outcome"])
        elif name == f"{tallies.CALL_SECONDS}_bucket":
            buckets[told["outcome"]][told["le"]] = amount
    for outcome, counts in buckets.items():
        total = amounts.get((f"{tallies.CALL_SECONDS}_sum", (("outcome", outcome),)), 0)
        made.put_durations(table.CALL_SECONDS, counts, total, outcome)


def _put_broker(made: Collection, depth: int | None) -> None:
    made.put(table.BROKER_UP, depth is not None)
    if depth is not None:
        made.put(table.QUEUE, depth)


def _release() -> str:
    try:
        return version("openrouter-rotator")
    except PackageNotFoundError:
        return "unknown"
