"""A destination as its owner sees it, without our code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.rotation.ports import Publication

NAME = "OPENROUTER_API_KEY"
"""The secret's name in these tests."""


@dataclass(frozen=True)
class Place:
    """One place on a real peer, with what its owner may do there."""

    kind: str
    target: Secret
    credential: str
    """Stands in the target, or is what it refers to, and must never be shown."""
    application_reads: Callable[[], str | None]
    """The value, as an application gets it; None for none."""
    snapshot: Callable[[], object]
    """Everything that could have been changed."""
    spoil: Callable[[], object]
    """Makes the place unusable for us: whatever we ask, it fails."""
    overwrite: Callable[[str], object]
    """Somebody else puts another value where applications read."""
    empty: Callable[[], object]
    """Somebody else takes the value away."""
    stamped: Callable[[], str | None] = field(default=lambda: None)
    """The number of the version as the place shows it to people; None where there is no room for one."""
    refuses_stale: bool = True
    """Whether the place itself can tell a late worker from the newest one."""
    tells_strangers: bool = True
    """Whether a place tells what one rotation put there from what another one did."""
    spares_others: bool = True
    """Whether withdrawing leaves what somebody else put there; otherwise the place cannot tell."""
    shows_values: bool = True
    """Whether a value can be read back; otherwise a receipt is compared."""
    tells_drift: bool = True
    """Whether the place lets us know that somebody else changed what it holds."""
    as_read: Callable[[Publication], str] = field(default=lambda publication: publication.value.reveal())
    """What applications read once this was published: the value, or what a place is told that gets none."""

    def open(self) -> StoredPublisher:
        """Our publisher for it, as a worker opens it."""
        return open_publisher(self.kind, self.target)


@dataclass(frozen=True)
class Surroundings:
    """What a peer may use: a folder of its own, a Redis, and whatever was started for the whole session."""

    folder: Path
    redis_url: str
    once: Callable[[str, Callable[[], AbstractContextManager[object]]], object]
    """Start a server at its first use, by name, and end it with the tests: ``once("openbao", running_openbao)``."""


class Opening(Protocol):
    """Makes a place ready, yields it, and takes it away."""

    def __call__(self, around: Surroundings) -> Iterator[Place]: ...


def places() -> dict[str, Opening]:
    """Every place, by its kind, which is the name of its file here. A file offers ``place``, and ``place_VARIANT`` for
    each option that makes the same kind another sort of place: that is ``kind/variant``."""
    names = [m.name for m in iter_modules([str(Path(__file__).parent)]) if m.name != "place"]
    return {place: opening for name in names if not name.startswith("_") for place, opening in _offered(name)}


def _offered(name: str) -> Iterator[tuple[str, Opening]]:
    kind = name.replace("_", "-")
    for function, opening in vars(import_module(f"tests.contract.places.{name}")).items():
        place, _, variant = function.partition("_")
        if place == "place":
            yield (f"{kind}/{variant.replace('_', '-')}" if variant else kind), cast(Opening, opening)
