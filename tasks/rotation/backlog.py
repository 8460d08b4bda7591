"""What waits to be told to one target: each notice by itself, or, when it has become too much, all of it as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tasks.rotation.telling import Notice
from tasks.rotation.wording import Level

DIGEST_ABOVE: Final = 20
"""More notices than this are told as one: whoever was away for days is not flooded."""
_NAMED: Final = 10
"""So many of them the digest names, the most important first."""
_LEVELS: Final = tuple(reversed(Level))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice, and the position in the audit log that is dealt with once it is told."""

    position: int
    at: datetime
    notice: Notice


class Backlog:
    """Notices in the order of their events. However many there are, little is kept of them."""

    def __init__(self, *, after: int) -> None:
        """Nothing yet; ``after`` is the position up to which everything is dealt with."""
        self.through = after
        """The last position that was looked at."""
        self._first: list[Waiting] = []
        self._most_important: list[Waiting] = []
        self._counts: Counter[tuple[Level, str]] = Counter()

    def pass_over(self, position: int) -> None:
        """Nothing is told of the event at this position."""
        self.through = position

    def add(self, waiting: Waiting) -> None:
        """The next notice."""
        self.through = waiting.position
        self._counts[waiting.notice.level, waiting.notice.kind] += 1
        if len(self._first) < DIGEST_ABOVE:
            self._first.append(waiting)
        self._most_important = sorted([*self._most_important, waiting], key=_importance)[:_NAMED]

    def to_tell(self) -> tuple[Waiting, ...]:
        """What is to be told, in this order."""
        if self._counts.total() <= DIGEST_ABOVE:
            return tuple(self._first)
        return (Waiting(self.through, self._first[0].at, self._digest()),)

    def _digest(self) -> Notice:
        since = self._first[0].at
        level = max((level for level, _ in self._counts), key=tuple(Level).index)
        return Notice(
            "digest",
            level,
            f"{self._counts.total()} notices since {since:%Y-%m-%d %H:%M} UTC, told as one",
            "\n".join(self._lines()),
        )

    def _lines(self) -> Iterator[str]:
        yield "They waited while nobody could be told here, or so much happened at once."
        for level in _LEVELS:
            kinds = [(count, kind) for (of, kind), count in self._counts.items() if of is level]
            if kinds:
                yield f"{level}: {', '.join(f'{count} {kind}' for count, kind in sorted(kinds, reverse=True))}"
        yield "The most important:"
        for one in self._most_important:
            yield f"- {one.at:%Y-%m-%d %H:%M:%S} {one.notice.level}: {one.notice.title}"
        yield "To do: `rotator status` shows what needs a person now, `rotator rotation history NAME` what happened."


def _importance(waiting: Waiting) -> tuple[int, int]:
    """Sorts the most urgent first, and of those the newest."""
    return _LEVELS.index(waiting.notice.level), -waiting.position
