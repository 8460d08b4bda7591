"""Telling people what happened, from the audit log: nothing is lost by a crash, and nothing told twice without one.

The log is the outbox. Each target knows the position up to which everything is dealt with, and that position moves
only after a notice was taken. Who dies between the two tells that one again; who is overtaken, because it froze
meanwhile, can move nothing. What one target refuses is tried again later, and keeps no other from being told. A notice
that was sent, and of which nobody knows whether it arrived, is sent a few times and no more: then the next one's turn
has come, and what went wrong is shown until one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from config.secret import Secret
from tasks.rotation import policy as decide
from tasks.rotation.backlog import Backlog, Waiting
from tasks.rotation.errors import OutcomeUnknown, RotatorError, TakenInPart
from tasks.rotation.model import Attempt, Event
from tasks.rotation.policy import Policy
from tasks.rotation.telling import Names, Notice, may_be_told, notice_of
from tasks.rotation.turn import Log, unexpected
from tasks.rotation.wording import Level

_PAGE: Final = 1000
_PAGES: Final = 100
"""So many events at most are looked through for one target in one run; the next run goes on there."""
_SENT_MOST: Final = 3
"""So often a notice is sent when nobody knows whether it arrives. The pauses go on growing from one notice to the next,
so that a place that swallows everything for hours loses few."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A target that this process alone tells, until ``until``: by it the outbox knows who comes."""

    id: str
    name: str
    level: Level
    rotation_ids: tuple[str, ...] | None
    told_through: int
    attempt: Attempt
    until: datetime


class Recorded(Protocol):
    """An event with its position in the audit log."""

    @property
    def id(self) -> int:
        """The position."""

    @property
    def event(self) -> Event:
        """What happened."""


class Outbox(Protocol):
    """Who is to be told, and what there is to tell. Every method may raise ``Unavailable``."""

    def is_due(self) -> bool:
        """Whether ``claim`` may find somebody; one cheap query."""

    def claim(self, *, but: Collection[str]) -> Claimed | None:
        """A target that something may be told to now, and that is none of these ids; None when there is none, and
        while another one is claimed: what hangs holds one worker up and no second."""

    def page(self, after: int, *, limit: int) -> Collection[Recorded]:
        """The next events behind a position; none that lies before the last of them appears later."""

    def names(self, events: Collection[Event]) -> Names:
        """What the rotations and connections of these events are called now."""

    def address(self, target_id: str) -> Secret:
        """Where a target is told. Raises ``CannotDecrypt``, and ``NotFound`` when it was removed meanwhile."""

    def advance(self, claimed: Claimed, through: int) -> Claimed | None:
        """It was told up to this position, and is claimed for longer; None when it is no longer this process's."""

    def release(self, claimed: Claimed, through: int) -> None:
        """Nothing more is to be told up to this position."""

    def put_off(self, claimed: Claimed, attempt: Attempt, *, through: int) -> None:
        """It could not be told, and is tried again when ``attempt`` says, with what comes after ``through``."""

    def now(self) -> datetime:
        """The database's clock."""


class Notifier:
    """``tell`` does everything; any number of processes may call it at once."""

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[Secret, Notice], None],
        policy: Policy,
        *,
        log: Log,
        stop_on: tuple[type[Exception], ...] = (),
    ) -> None:
        """``send`` takes an address and what to tell there, ends within a minute, and raises ``RotatorError``.
        ``stop_on`` is what ends a process, and no target's failure."""
        self._outbox = outbox
        self._send = send
        self._policy = policy
        self._log = log
        self._stop_on = stop_on

    def tell(self, *, going_on: Callable[[], bool]) -> int:
        """Tell every target what is new to it, for as long as ``going_on`` says; how many notices were taken."""
        if not self._outbox.is_due():
            return 0
        seen: set[str] = set()
        taken = 0
        while going_on() and (claimed := self._outbox.claim(but=seen)) is not None:
            seen.add(claimed.id)
            taken += self._tell_one(claimed, going_on)
        return taken

    def _tell_one(self, claimed: Claimed, going_on: Callable[[], bool]) -> int:
        try:
            backlog = self._look_through(claimed)
            to_tell = backlog.to_tell()
        except RotatorError:
            raise
        except self._stop_on:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in the words for one target must not silence the others
            self._put_off(claimed, claimed.told_through, unexpected(error, "telling"))
            return 0
        for taken, waiting in enumerate(to_tell):
            if not going_on():
                self._outbox.release(claimed, claimed.told_through)
                return taken
            if not self._is_taken(claimed, waiting):
                return taken
            further = self._outbox.advance(claimed, waiting.position)
            if further is None:
                return taken + 1
            claimed = further
        self._outbox.release(claimed, backlog.through)
        return len(to_tell)

    def _look_through(self, claimed: Claimed) -> Backlog:
        backlog = Backlog(after=claimed.told_through)
        for _ in range(_PAGES):
            page = self._outbox.page(backlog.through, limit=_PAGE)
            notices = self._notices(claimed, page)
            for recorded in page:
                notice = notices.get(recorded.id)
                if notice is None:
                    backlog.pass_over(recorded.id)
                else:
                    backlog.add(Waiting(recorded.id, recorded.event.at, notice))
            if len(page) < _PAGE:
                break
        return backlog

    def _notices(self, claimed: Claimed, page: Collection[Recorded]) -> dict[int, Notice]:
        """What this target is told of these events, by their positions; names are asked for only when something is."""
        events = {recorded.id: recorded.event for recorded in page if _may_be_for(claimed, recorded.event)}
        names = self._outbox.names(events.values()) if events else Names({}, {}, {})
        notices = {position: notice_of(event, names) for position, event in events.items()}
        return {p: notice for p, notice in notices.items() if notice and notice.level.reaches(claimed.level)}

    def _is_taken(self, claimed: Claimed, waiting: Waiting) -> bool:
        """Send one notice. What goes wrong is stored with the target."""
        try:
            self._send(self._outbox.address(claimed.id), waiting.notice)
        except RotatorError as error:
            self._put_off(claimed, waiting.position, error)
            return False
        except self._stop_on:
            raise
        except Exception as error:  # noqa: BLE001 - nor must one in what sends
            self._put_off(claimed, waiting.position, unexpected(error, "sending"))
            return False
        self._log("notice_taken", target=claimed.name, position=waiting.position, kind=waiting.notice.kind)
        return True

    def _put_off(self, claimed: Claimed, position: int, error: RotatorError) -> None:
        """Store what went wrong, and whether the notice is sent again."""
        now, before = self._outbox.now(), claimed.attempt
        attempt = decide.after_failure(before, error, seed=claimed.id, now=now, policy=self._policy)
        through, told = claimed.told_through, "notice_put_off"
        if _is_sent_enough(before, error):
            through, told = position, "notice_passed_over"
            attempt = replace(attempt, error=f"{error.message} That notice is not sent again.")
        if isinstance(error, TakenInPart):
            attempt = replace(attempt, next_at=None)  # the others need not wait
        self._outbox.put_off(claimed, attempt, through=through)
        self._log(told, target=claimed.name, position=position, why=error.message)


def _may_be_for(claimed: Claimed, event: Event) -> bool:
    """Whether something of this event may be told to this target, as far as can be said without any names."""
    meant = claimed.rotation_ids is None or event.rotation_id in claimed.rotation_ids
    return meant and may_be_told(event)


def _is_sent_enough(before: Attempt, error: RotatorError) -> bool:
    """Whether a notice that may have arrived, for all that is known, is not to be sent again."""
    if isinstance(error, TakenInPart):
        return True
    in_a_row = isinstance(error, OutcomeUnknown) and before.family == OutcomeUnknown.family
    return in_a_row and (before.count + 1) % _SENT_MOST == 0
