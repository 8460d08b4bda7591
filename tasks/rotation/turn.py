"""A turn: one step's view of the world, under the lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from config.secret import Secret
from tasks.rotation import policy as decide
from tasks.rotation.errors import Broken, RateLimited, RotatorError, TryAgain
from tasks.rotation.machine import told
from tasks.rotation.model import Event, KeyVersion, Rotation, Snapshot, VersionState
from tasks.rotation.policy import Policy
from tasks.rotation.ports import Change, Lease, Provider, Publisher, Store

CALL_LASTS: Final = timedelta(seconds=45)
"""The most that one call to a provider may take; the lease is made to outlast it."""
PUBLISHING_LASTS: Final = timedelta(seconds=30)
"""The same for publishing to, or reading, one destination."""
BINDINGS_LAST: Final = timedelta(seconds=80)
"""The same for looking after what is bound to a key, which is several calls."""


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
    stop_on: tuple[type[Exception], ...] = ()
    """What ends an advance at once and is no step's failure: the process was told to stop."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step may see and do. Made anew for each step, from a fresh snapshot."""

    world: World
    lease: Lease
    snapshot: Snapshot

    @property
    def rotation(self) -> Rotation:
        """The rotation whose turn it is."""
        return self.snapshot.rotation

    @property
    def now(self) -> datetime:
        """The database's clock when the snapshot was read."""
        return self.snapshot.now

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

    def commit(self, change: Change) -> None:
        """Store the change, and with it what it means for whether a person is needed."""
        complete = self._with_attention(change)
        self.world.store.commit(self.lease, complete)
        for event in complete.events:
            self.world.log(event.name, rotation=self.rotation.name, version=event.version, why=event.why)

    def event(self, name: str, *, why: str = "") -> Event:
        """An event of the rotation as a whole."""
        return Event(at=self.now, name=name, actor=self.actor, why=why, rotation_id=self.rotation.id)

    def failure(self, version: KeyVersion, error: RotatorError, *, step: str) -> Change:
        """What stopped a step, and when it may be tried again."""
        attempt = decide.after_failure(version.attempt, error, seed=version.id, now=self.now, policy=self.world.policy)
        event = told(version, f"{step}_failed", at=self.now, actor=self.actor, why=str(error), family=error.family)
        return Change(
            events=(event,),
            versions=((version, replace(version, attempt=attempt)),),
            pause_connection_until=None if step == "deliver" else _pause(error, self.now, attempt.next_at),
        )

    def _with_attention(self, change: Change) -> Change:
        after = {v.id: v for v in self.snapshot.versions} | {new.id: new for _, new in change.versions}
        alive = tuple(v for v in after.values() if v.state is not VersionState.DELETED)
        text, remedy = decide.attention(alive, self.world.policy) or (None, None)
        before, rotation = change.rotation or (self.rotation, self.rotation)
        if (rotation.attention, rotation.remedy) == (text, remedy):
            return change
        event = self.event("attention_cleared" if text is None else "attention_needed", why=text or "")
        changed = replace(rotation, attention=text, remedy=remedy)
        return replace(change, rotation=(before, changed), events=(*change.events, event))


def hash_of(version: KeyVersion) -> str:
    """The key's hash at the provider. Raises ``Broken`` for a version that cannot have one yet."""
    if version.key_hash is None:
        raise Broken(f"version {version.number} is {version.state} and has no hash")
    return version.key_hash


def _pause(error: RotatorError, now: datetime, next_at: datetime | None) -> datetime | None:
    """Until when the whole connection waits, if the other side asked for it."""
    if isinstance(error, TryAgain) and error.retry_after is not None:
        return now + error.retry_after
    return next_at if isinstance(error, RateLimited) else None
