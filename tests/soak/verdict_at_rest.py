"""What must be true when a soak has come to rest, judged from plain facts; nothing here asks the product.

Each judge returns what is wrong, one line for each; no line means that all is well.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.rotation.machine import TRANSITIONS
from tasks.rotation.model import VersionState
from tests.soak.facts import Facts, Key, Told, Version

_MARKED: Final = re.compile(r" #(?P<number>[0-9]+)-(?P<marker>[0-9a-f]{12})$")


@dataclass(frozen=True, slots=True)
class Figures:
    """The account of keys and versions. ``wrong`` says what is not as it must be."""

    minted: int
    """Keys that OpenRouter minted for us."""
    deleted: int
    live: int
    between: int
    """Disabled or expired: none may be left at rest."""
    orphans: int
    """Keys of ours that exist, and that no version stands for."""
    lost_versions: int
    completed: int
    """Rotations: versions that became active, without the first of each."""
    wrong: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether every key minted is deleted or live."""
        return self.minted == self.deleted + self.live


def judge(facts: Facts) -> Figures:
    """Compare what OpenRouter, the destinations, the database and its event log say."""
    ours = [key for key in facts.keys if key.hash not in facts.strangers]
    states = Counter(key.state for key in ours)
    orphans, lost = tuple(_orphans(facts, ours)), tuple(_lost(facts, ours))
    return Figures(
        minted=len(ours),
        deleted=states["deleted"],
        live=states["live"],
        between=len(ours) - states["deleted"] - states["live"],
        orphans=len(orphans),
        lost_versions=len(lost),
        completed=sum(v.active_at is not None for v in facts.versions) - len(facts.counters),
        wrong=(*orphans, *lost, *_rest(facts), *_strangers(facts), *_early(facts), *_repeated(ours), *_retold(facts)),
    )


def at_rest(facts: Facts) -> bool:
    """Whether nothing is left to do: each rotation has its active version and else only deleted ones."""
    states = Counter(v.state for v in facts.versions)
    return states["active"] == len(facts.counters) and states.total() == states["active"] + states["deleted"]


def _orphans(facts: Facts, ours: Sequence[Key]) -> Iterator[str]:
    standing = {v.key_hash for v in facts.versions if v.state != "deleted"}
    for key in ours:
        if key.state != "deleted" and key.hash not in standing:
            yield f"orphan: {key.name} is {key.state}, and no version stands for it"


def _lost(facts: Facts, ours: Sequence[Key]) -> Iterator[str]:
    """Versions whose row, or whose place in the order, is gone; and keys of which the database knows nothing."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for version in facts.versions:
        numbers[version.rotation].append(version.number)
    for rotation, last in facts.counters.items():
        for number in sorted(set(range(1, last + 1)) ^ set(numbers[rotation])):
            yield f"lost version: {rotation} {number} of {last}"
    known = {v.key_hash for v in facts.versions} | {v.marker for v in facts.versions}
    for key in ours:
        marked = _MARKED.search(key.name)
        if key.hash not in known and (marked is None or marked["marker"] not in known):
            yield f"lost version: nothing tells of key {key.name}"


def _rest(facts: Facts) -> Iterator[str]:
    """One active version each, live, and in every place; nothing else is left."""
    live = {key.hash for key in facts.keys if key.state == "live"}
    active: dict[str, list[Version]] = defaultdict(list)
    for version in facts.versions:
        if version.state == "active":
            active[version.rotation].append(version)
        elif version.state != "deleted":
            yield f"not at rest: {version.rotation} {version.number} is {version.state}"
        elif version.has_key:
            yield f"kept text: {version.rotation} {version.number} is deleted and its ciphertext is still there"
    for rotation in facts.counters:
        if len(active[rotation]) != 1:
            yield f"active versions: {rotation} has {len(active[rotation])}"
        for version in active[rotation]:
            if version.key_hash not in live:
                yield f"dead key: {rotation} {version.number} is active, and OpenRouter does not accept its key"
    for place, held in facts.held.items():
        if held not in {v.key_hash for v in active[place.rotation]}:
            yield f"wrong key: {place.kind} of {place.rotation} holds {held}"


def _strangers(facts: Facts) -> Iterator[str]:
    for key in facts.keys:
        if key.hash in facts.strangers and [what for _, what in key.history] != ["created"]:
            yield f"not ours: {key.name} was changed: {[what for _, what in key.history]}"


def _early(facts: Facts) -> Iterator[str]:
    """No key that was in service died before its overlap was over."""
    ends = {key.hash: key.ended_at for key in facts.keys}
    for version in facts.versions:
        ended_at = ends.get(version.key_hash or "")
        if version.active_at is None or ended_at is None:
            continue
        if version.retire_at is None or ended_at < version.retire_at:
            yield f"early: {version.rotation} {version.number} ended {ended_at}, to retire {version.retire_at}"


def _repeated(ours: Sequence[Key]) -> Iterator[str]:
    """Each marker stands for one request, which is sent once."""
    markers = Counter(found["marker"] for key in ours if (found := _MARKED.search(key.name)))
    yield from (f"repeated create: {count} keys carry {marker}" for marker, count in markers.items() if count > 1)


def _retold(facts: Facts) -> Iterator[str]:
    """Every version's events lead, step by allowed step, to the state of its row."""
    told: dict[tuple[str, int], list[Told]] = defaultdict(list)
    for event in facts.events:
        told[event.rotation, event.number].append(event)
    for version in facts.versions:
        end = _end_of(told[version.rotation, version.number])
        if end != version.state:
            yield f"history: {version.rotation} {version.number} is {version.state}, its events say {end}"


def _end_of(events: Iterable[Told]) -> str:
    state: VersionState | None = None
    for event in events:
        to = _meant(event, state)
        if state is None and to is not VersionState.PLANNED:
            return f"that it began as {to}"
        if state is not None and to is not state and to not in TRANSITIONS[state]:
            return f"that it went from {state} to {to}"
        state = to
    return "nothing" if state is None else str(state)


def _meant(event: Told, state: VersionState | None) -> VersionState | None:
    """A mint that failed after it had begun takes its version back in line; before, it changes nothing."""
    if event.name == "mint_failed":
        return VersionState.PLANNED if state is VersionState.CREATING else state
    return VersionState(event.name.removeprefix("version_"))
