"""Every metric: its name, labels and meaning. What is not here is not told; the README's table is made of this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a metric's numbers mean, as Prometheus names it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's ``name`` ends in ``_total``, a histogram's in its unit."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"rotator_{name}", Kind.GAUGE, help_, labels)


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"rotator_{name}_total", Kind.COUNTER, help_, labels)


def _histogram(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"rotator_{name}_seconds", Kind.HISTOGRAM, help_, labels)


_KILLED: Final = "A process that is killed loses the last 10 seconds of it."

KEY_AGE: Final = _gauge("key_age_seconds", "Time since the key in service became active.", "rotation")
KEY_EXPIRES: Final = _gauge(
    "key_expires_seconds", "Time until OpenRouter ends the key in service; absent for keys without an end.", "rotation"
)
DUE: Final = _gauge(
    "rotation_due_seconds",
    "Time until the schedule wants the next version; below zero it is overdue by so much. Absent while paused.",
    "rotation",
)
VERSIONS: Final = _gauge(
    "key_versions", "Key versions not yet deleted; a state that no version has is absent.", "rotation", "state"
)
ATTENTION: Final = _gauge("rotation_needs_attention", "1 while a person is needed.", "rotation")
PAUSED: Final = _gauge("rotation_paused", "1 while its schedule is stopped.", "rotation")
UNDELIVERED: Final = _gauge(
    "deliveries_failing", "Destinations that do not hold the version that they should, and why is known.", "rotation"
)
UNREADABLE: Final = _gauge("rotations_unreadable", "Rotations whose rows in the database hold what cannot be.")
FAILING: Final = _gauge("versions_failing", "Key versions whose last attempt failed, by what happens next.", "family")

TRANSITIONS: Final = _counter("version_transitions", "Key versions that entered a state, ever.", "state")
ROTATIONS: Final = _counter("rotations", "Versions that became active, ever, by why they were made.", "reason")
FAILURES: Final = _counter(
    "failures", "Steps that failed, ever; each is tried again or asks for a person.", "step", "family"
)
DELIVERIES: Final = _counter("deliveries", "Deliveries to destinations, ever.", "outcome")
ORPHANS: Final = _counter("orphans_deleted", "Keys of ours that nothing stood for any more, found and deleted, ever.")
DRIFTS: Final = _counter("drifts_found", "Destinations found to hold something else than the active key, ever.")
REFUSED: Final = _counter("ciphertexts_refused", "Ciphertexts that did not open: changed, moved or put back, ever.")
READ: Final = _counter("keys_read", "Keys in service that somebody asked for and got, ever.")

CALLS: Final = _counter("openrouter_calls", f"Calls to OpenRouter, by all processes. {_KILLED}", "call", "outcome")
CALL_SECONDS: Final = _histogram("openrouter_call_duration", f"How long calls to OpenRouter took. {_KILLED}", "outcome")

HEALTH: Final = _gauge(
    "connection_health", "1 for what the last check of a management key found.", "connection", "health"
)
CHECKED: Final = _gauge("connection_check_age_seconds", "Time since a management key was last checked.", "connection")

UNTOLD: Final = _gauge("notice_targets_failing", "Notice targets that could not be told, and why is known.")
TICK_AGE: Final = _gauge(
    "tick_age_seconds", "Time since beat last looked for what is due; absent before the first time."
)
BROKER_UP: Final = _gauge("broker_up", "1 when the broker answers.")
QUEUE: Final = _gauge("broker_queue_depth", "Messages that wait for a worker; absent while the broker is away.")
READABLE: Final = _gauge(
    "metrics_readable", "1 when this part could be read for this answer; else its metrics are absent.", "part"
)
WEB: Final = _histogram(
    "web_request_duration", "How long this server took to answer, by route and class of status.", "route", "status"
)
BUILD: Final = _gauge("build_info", "The release that answers.", "version")
SCHEMA: Final = _gauge("schema_info", "The schema of the database.", "schema")

METRICS: Final = (
    *(KEY_AGE, KEY_EXPIRES, DUE, VERSIONS, ATTENTION, PAUSED, UNDELIVERED, UNREADABLE, FAILING),
    *(TRANSITIONS, ROTATIONS, FAILURES, DELIVERIES, ORPHANS, DRIFTS, REFUSED, READ),
    *(CALLS, CALL_SECONDS, HEALTH, CHECKED, UNTOLD, TICK_AGE, BROKER_UP, QUEUE, READABLE, WEB, BUILD, SCHEMA),
)
