"""A turn: one step's view of the world, under the lease."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from config.secret import Secret
from tasks.rotation import policy as decide
from tasks.rotation.attending import with_attention
from tasks.rotation.errors import Broken, DestinationBusy, LeaseLost, Overtaken, RateLimited, RotatorError, TryAgain
from tasks.rotation.machine import told
from tasks.rotation.model import Attempt, Destination, Event, KeyVersion, Rotation, Snapshot
from tasks.rotation.policy import Policy
from tasks.rotation.ports import Change, Lease, Provider, Publisher, Store

CALL_LASTS: Final = timedelta(seconds=45)
"""The most that one call to a provider may take; the lease is made to outlast it."""
PUBLISHING_LASTS: Final = timedelta(seconds=30)
"""The same for publishing to, or reading, one destination."""
TRYING_LASTS: Final = timedelta(seconds=60)
"""After so long a step tries no further destination: what it found is committed, and the next one goes on there. A
worker's task must not end before its first commit, however many destinations hang."""
BINDINGS_LAST: Final = timedelta(seconds=80)
"""The same for looking after what is bound to a key, which is several calls."""


Answer = TypeVar("Answer")


class Log(Protocol):
    """Where steps are told. Fields are ids and words, never key material."""

    def __call__(self, event: str, **fields: object) -> None:
        """Write one line."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Where new identities come from."""

    row: Callable[[], str]
    marker: Callable[[], str]
    """12 hexadecimal digits, never the same twice."""


@dataclass(frozen=True, slots=True)
class World:
    """The ports and the numbers. ``provider`` finds one by its connection's app; ``publisher`` opens a
    destination by kind and id; ``actor`` is who does the work."""

    store: Store
    provider: Callable[[str], Provider]
    publisher: Callable[[str, str], Publisher]
    policy: Policy
    ids: Ids
    actor: str
    log: Log
    monotonic_s: Callable[[], float]
    """Seconds of a clock that only goes forward, by which a long step knows how late it has become."""
    stop_on: tuple[type[Exception], ...] = ()
    """What ends an advance at once and is no step's failure: the process was told to stop."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step may see and do. Made anew for each step, from a fresh snapshot."""

    world: World
    lease: Lease
    snapshot: Snapshot
    read_at_s: float
    """The world's ``monotonic_s`` when the snapshot was read."""

    @property
    def rotation(self) -> Rotation:
        """The rotation whose turn it is."""
        return self.snapshot.rotation

    @property
    def now(self) -> datetime:
        """The database's clock when the snapshot was read, or when ``later`` was asked for."""
        return self.snapshot.now

    def later(self) -> Turn:
        """This turn, with the time as it is by now: what is counted from the end of a long call begins there. Whole
        milliseconds, like every moment that is stored."""
        now_s = self.world.monotonic_s()
        passed = timedelta(milliseconds=int((now_s - self.read_at_s) * 1000))
        return replace(self, snapshot=replace(self.snapshot, now=self.now + passed), read_at_s=now_s)

    def in_time(self, destinations: Iterable[Destination]) -> Iterator[Destination]:
        """One after the other, as long as a step may go on trying; the first in any case."""
        for destination in destinations:
            yield destination
            if self.later().now - self.now >= TRYING_LASTS:
                return

    @property
    def actor(self) -> str:
        """Who does the work."""
        return self.world.actor

    @property
    def provider(self) -> Provider:
        """The connection's provider."""
        return self.world.provider(self.world.store.provider_name(self.rotation.connection_id))

    def management_key(self) -> Secret:
        """The connection's management key."""
        return self.world.store.management_key(self.rotation.connection_id)

    def hold(self, span: timedelta = CALL_LASTS) -> None:
        """Make sure that the lease lasts for the call that comes now. Raises ``LeaseLost``."""
        self.world.store.keep_lease(self.lease, span)

    def refuse_if_changed(self) -> None:
        """Raise ``Overtaken`` when an operator changed the rotation since the snapshot was read."""
        if not self.world.store.is_as_seen(self.lease, self.snapshot.revision):
            raise Overtaken("an operator changed the rotation meanwhile")

    def commit(self, change: Change) -> None:
        """Store the change, and with it what it means for whether a person is needed."""
        complete = with_attention(self.snapshot, change, policy=self.world.policy, actor=self.actor)
        self.world.store.commit(self.lease, complete)
        for event in complete.events:
            self.world.log(event.name, rotation=self.rotation.name, version=event.version, why=event.why)

    def tried(self, work: Callable[[], Answer]) -> Answer | RotatorError:
        """What the work answers, or what went wrong with it, for work of which a part may fail while the rest goes on.

        What ends the turn as a whole is raised: a lost lease, an operator's change, the end of the process.
        """
        try:
            return work()
        except (LeaseLost, Overtaken):
            raise
        except self.world.stop_on:
            raise
        except RotatorError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug in one destination's client must not keep the others waiting
            return unexpected(error, "a destination's client")

    def retry(self, before: Attempt, error: RotatorError, *, seed: str) -> Attempt:
        """The attempt that follows one that ended in ``error``."""
        return decide.after_failure(before, error, seed=seed, now=self.now, policy=self.world.policy)

    def about(self, version: KeyVersion, destination: Destination, name: str, *, why: str = "", **detail: str) -> Event:
        """The event that ``name`` happened to ``version`` at ``destination``."""
        return told(version, name, at=self.now, actor=self.actor, why=why, **detail, destination=destination.label)

    def event(self, name: str, *, why: str = "") -> Event:
        """An event of the rotation as a whole."""
        return Event(at=self.now, name=name, actor=self.actor, why=why, rotation_id=self.rotation.id)

    def failure(self, version: KeyVersion, error: RotatorError, *, step: str) -> Change:
        """What stopped a step, and when it may be tried again."""
        attempt = self.retry(version.attempt, error, seed=version.id)
        event = told(
            version,
            f"{step}_failed",
            at=self.now,
            actor=self.actor,
            why=str(error),
            family=error.family,
            kind=type(error).__name__,
            attempt=str(attempt.count),
        )
        return Change(
            events=(event,),
            versions=((version, replace(version, attempt=attempt)),),
            pause_connection_until=_pause(error, self.now, attempt.next_at),
        )


def unexpected(error: Exception, where: str) -> Broken:
    """A bug, as an error of ours: of a foreign exception only its name may be told."""
    what = f"an unexpected {type(error).__name__} happened in {where}"
    return Broken(what, "Please report it, with the worker's log.")


def hash_of(version: KeyVersion) -> str:
    """The key's hash at the provider. Raises ``Broken`` for a version that cannot have one yet."""
    if version.key_hash is None:
        raise Broken(f"version {version.number} is {version.state} and has no hash")
    return version.key_hash


def _pause(error: RotatorError, now: datetime, next_at: datetime | None) -> datetime | None:
    """Until when the whole connection waits, if the other side asked for it."""
    if isinstance(error, DestinationBusy):
        return None
    if isinstance(error, TryAgain) and error.retry_after is not None:
        return now + error.retry_after
    return next_at if isinstance(error, RateLimited) else None
