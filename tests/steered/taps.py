"""Taps: every call that the engine makes of the world passes one, where it is counted and where a worker may die.

The store and the publishers are tapped at each method of their port; the provider at each HTTP exchange, which is
finer: a method may be made of several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar, cast

import httpx

from tasks.rotation.ports import Change

Port = TypeVar("Port")

_ID: Final = re.compile(r"/([0-9a-f]{64}|[0-9a-f-]{36})(?=/|$)")

_CHANGES: Final = frozenset(
    {
        "store.take_lease",
        "store.release_lease",
        "store.commit",
        "publisher.publish",
        "desk.change",
        "broker.put",
    }
)
BETWEEN_STEPS: Final = frozenset({"store.take_lease", "store.load", "store.release_lease"})
"""Calls that belong to no step: what comes next is decided from them."""
_CHANGING: Final = re.compile(r"openrouter (POST|PATCH|DELETE) ")


class Killed(BaseException):
    """The worker died here, as from ``kill -9``: nothing in the product may catch it."""


class Side(Enum):
    """On which side of a call: before it was made, or after it was answered but before the answer was used."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Passing:
    """One call on one side. ``number`` counts the calls from 1 while the tap listens; ``step`` is what was being
    done, and ``about`` tells commits apart by an event that they write."""

    number: int
    name: str
    side: Side
    step: str = ""
    about: str = ""

    def __str__(self) -> str:
        return f"{self.side.value} call {self.number}, {self.name}"


class Tap:
    """Counts calls while it listens, and shows each, on both sides, to whoever watches.

    A watcher that raises keeps the call from being made (``BEFORE``) or its answer from arriving (``AFTER``).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        """Every call heard so far, in order."""
        self.step = ""
        """What is being done: a step of the policy, or a task of beat's."""
        self.watchers: list[Callable[[Passing], None]] = []
        self._listening = False

    @contextmanager
    def listening(self, step: str = "") -> Iterator[None]:
        """Hear the calls made inside the block; those outside are an operator's or a checker's."""
        before = self._listening, self.step
        self._listening, self.step = True, step or self.step
        try:
            yield
        finally:
            self._listening, self.step = before

    @contextmanager
    def passing(self, name: str, about: str = "") -> Iterator[None]:
        """One call. It is shown again when it ends, also with an error of ours."""
        if not self._listening:
            yield
            return
        self.names.append(name)
        number, step = len(self.names), "turn" if name in BETWEEN_STEPS else self.step
        self._show(Passing(number, name, Side.BEFORE, step, about))
        try:
            yield
        except Exception:
            self._show(Passing(number, name, Side.AFTER, step, about))
            raise
        self._show(Passing(number, name, Side.AFTER, step, about))

    def _show(self, passing: Passing) -> None:
        for watcher in tuple(self.watchers):
            watcher(passing)

    def when(self, matches: Callable[[Passing], bool], act: Callable[[], object]) -> None:
        """Do something the first time that a call matches, in the middle of whatever is going on."""

        def watch(passing: Passing) -> None:
            if matches(passing):
                self.watchers.remove(watch)
                act()

        self.watchers.append(watch)

    def kill(self, number: int, side: Side) -> None:
        """Let whoever makes the ``number``-th call die on that side of it."""
        self.when(lambda p: (p.number, p.side) == (number, side), _die)

    def kill_at(self, name: str, side: Side, *, after: int = 0) -> None:
        """Let whoever makes the next call of this name die on that side of it, or one that comes ``after`` more."""
        heard = self.names.count(name) + after
        self.when(lambda p: p.name == name and p.side is side and self.names.count(name) > heard, _die)


def changes_something(name: str) -> bool:
    """Whether a call of this name may leave the world, outside the worker's process, other than it was."""
    return name in _CHANGES or bool(_CHANGING.match(name))


def _die() -> None:
    raise Killed


class _Tapped:
    """Anything, its methods passing a tap."""

    def __init__(self, inner: object, name: str, tap: Tap) -> None:
        self._inner = inner
        self._name = name
        self._tap = tap

    def __getattr__(self, attribute: str) -> object:
        found = getattr(self._inner, attribute)
        if not callable(found):
            return found

        def passed(*arguments: object, **named: object) -> object:
            with self._tap.passing(f"{self._name}.{attribute}", _about(arguments)):
                return found(*arguments, **named)

        return passed


def _about(arguments: tuple[object, ...]) -> str:
    """What a commit is about."""
    change = next((a for a in arguments if isinstance(a, Change)), None)
    names = [e.name for e in change.events] if change is not None else []
    return next((n for n in names if n.startswith("version_")), names[0] if names else "")


def tapped(port: Port, name: str, tap: Tap) -> Port:
    """``port`` as it is, with every call of a method passing the tap as ``name.method``."""
    return cast(Port, _Tapped(port, name, tap))


class TappedTransport(httpx.BaseTransport):
    """A transport whose every exchange passes the tap, as ``openrouter PATCH /keys/*``."""

    def __init__(self, inner: httpx.BaseTransport, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on."""
        path = _ID.sub("/*", request.url.path.removeprefix("/api/v1"))
        with self._tap.passing(f"openrouter {request.method} {path}"):
            return self._inner.handle_request(request)
