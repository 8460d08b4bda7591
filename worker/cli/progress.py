"""Follows what was asked for until it is settled, for `--wait` and `--local`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tasks.rotation.model import IN_FLIGHT, VersionState
from worker.cli.guard import DONE, FAILED, note

if TYPE_CHECKING:
    from tasks.operations import Operations
    from tasks.operations.views import EventView, RotateAnswer
    from tasks.rotation.model import KeyVersion
    from worker.cli.rotate import Waiting

_LOOK_EVERY_S: Final = 0.25


def follow(ops: Operations, answer: RotateAnswer, waiting: Waiting) -> int:
    """Print a line for each new state; return the exit code: 0 only when the version that was asked for, or the one
    that took its place, came into service."""
    followed = _Followed(ops, answer.rotation, answer.version, waiting)
    while True:
        if waiting.local:
            ops.advance_here(answer.rotation)
        code = followed.look()
        if code is not None:
            return code
        if not waiting.wait:
            note(f"{followed}: not finished; a worker carries on, or run it again with --wait.")
            return FAILED
        time.sleep(_LOOK_EVERY_S)


@dataclass(slots=True)
class _Followed:
    """A version on its way, and what was said of it."""

    ops: Operations
    rotation: str
    number: int
    waiting: Waiting
    shown: VersionState | None = None

    def __str__(self) -> str:
        return f"{self.rotation} v{self.number}"

    def look(self) -> int | None:
        """The exit code once it is settled, None while it is under way."""
        version = self.ops.follow(self.rotation, self.number)
        if version.state is not self.shown:
            self.shown = version.state
            note(f"{self}: {version.state.value}")
        if version.state is VersionState.ACTIVE or self._was_in_service(version):
            return self._older_are_gone(version)
        if version.state in IN_FLIGHT:
            return self._attention()
        return self._given_up()

    def _was_in_service(self, version: KeyVersion) -> bool:
        """Whether it got there and left again between two looks."""
        if not self.waiting.undo:
            return version.active_at is not None
        names = [event.name for event in self._events()]
        brought_back = len(names) - names[::-1].index("version_created") if "version_created" in names else 0
        return "version_active" in names[brought_back:]

    def _older_are_gone(self, version: KeyVersion) -> int | None:
        """An emergency ends the older keys too; nothing else waits for them."""
        if not (self.waiting.emergency or version.emergency):
            return DONE
        older = [v for v in self.ops.history(self.rotation).versions if v.number < self.number]
        return DONE if all(v.state is VersionState.DELETED for v in older) else self._attention()

    def _given_up(self) -> int | None:
        """Go on with the version that took its place; without one it has failed."""
        if self.waiting.undo:
            return self._failed("could not be brought back")
        later = [v.number for v in self.ops.history(self.rotation).versions if v.number > self.number]
        if not later:
            return self._failed("was given up")
        note(f"{self} was given up: {self._why()}; version {min(later)} takes its place.")
        self.number, self.shown = min(later), None
        return self.look()

    def _failed(self, how: str) -> int:
        note(f"error: {self} {how}: {self._why()}")
        note("       The key in service is still the one before it.")
        return FAILED

    def _attention(self) -> int | None:
        rotation = self.ops.show_rotation(self.rotation)
        if rotation.status != "needs_attention":
            return None
        note(f"error: {self.rotation}: {rotation.attention}")
        note(f"       {rotation.remedy or ''}".rstrip())
        return FAILED

    def _why(self) -> str:
        """What its history says last."""
        told = [event.why for event in self._events() if event.why]
        return told[-1] if told else f"see `rotator rotation history {self.rotation}`"

    def _events(self) -> list[EventView]:
        return [event for event in self.ops.history(self.rotation).events if event.version == self.number]
