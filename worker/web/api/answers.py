"""Answers that hold more than one view, or none of the command line's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tasks.operations.views import (
    ConnectionView,
    DeliveryView,
    DestinationTrial,
    RotationView,
)
from tasks.rotation.model import Removal
from tasks.rotation.reconciling import Finding
from worker.plain import plain
from worker.web.api.words import NAMES
from worker.web.errors import in_words_of

_FOR_PEOPLE: Final = frozenset({"obstacle", "obstacles", "notice"})
"""Fields with sentences that may name an option of the command line."""


def told(view: object) -> object:
    """A view as it is answered: as ``--json`` prints it, in the words of this API."""
    return _in_our_words(plain(view))


def _in_our_words(value: object, *, for_people: bool = False) -> object:
    match value:
        case str() if for_people:
            return in_words_of(value, NAMES)
        case dict():
            return {k: _in_our_words(v, for_people=k in _FOR_PEOPLE) for k, v in value.items()}
        case list():
            return [_in_our_words(item, for_people=for_people) for item in value]
        case _:
            return value


@dataclass(frozen=True, slots=True)
class RotationList:
    """Every rotation, by name."""

    rotations: tuple[RotationView, ...]
    broken: tuple[str, ...]
    """What is wrong with the rotations that are missing here, because their rows cannot be read."""


@dataclass(frozen=True, slots=True)
class ConnectionList:
    """Every connection, by name."""

    connections: tuple[ConnectionView, ...]


@dataclass(frozen=True, slots=True)
class DeliveryList:
    """What each destination of a rotation holds."""

    rotation: str
    deliveries: tuple[DeliveryView, ...]


@dataclass(frozen=True, slots=True)
class DestinationList:
    """Where a rotation publishes."""

    rotation: str
    destinations: tuple[DeliveryView, ...]


@dataclass(frozen=True, slots=True)
class TrialList:
    """Destinations that were tried out; no value there was changed."""

    rotation: str
    destinations: tuple[DestinationTrial, ...]


@dataclass(frozen=True, slots=True)
class FindingList:
    """What a comparison with OpenRouter found, and what was done about it."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Deletion:
    """A rotation's end, which was asked for; workers carry it out."""

    rotation: str
    keys: Removal
    notice: str
    """Who does it, and when."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was deleted."""

    connection: str


@dataclass(frozen=True, slots=True)
class KeyInService:
    """A rotation's current key."""

    rotation: str
    version: int
    secret_name: str
    """The variable that applications read it from."""
    value: str
    """The key itself."""
    active_since: datetime
