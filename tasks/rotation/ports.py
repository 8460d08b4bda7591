"""What the engine needs from the world. Adapters live in ``providers``, ``publishers`` and ``store``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from config.secret import Secret
from tasks.rotation.model import (
    ById,
    ConnectionHealth,
    Delivery,
    Destination,
    Event,
    Holding,
    KeyParameters,
    KeyVersion,
    Rotation,
    Snapshot,
    VersionState,
)

# --- provider --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MintedKey:
    """What a create answered: the key's hash at the provider, and its text, shown this once."""

    key_hash: str
    key: Secret


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key as the provider lists it."""

    key_hash: str
    name: str
    disabled: bool
    created_at: datetime
    limit_usd: float | None
    limit_reset: str | None
    include_byok_in_limit: bool
    workspace_id: str | None
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """What a key says of itself when it asks."""

    is_management_key: bool
    limit_usd: float | None
    limit_reset: str | None
    include_byok_in_limit: bool
    expires_at: datetime | None
    workspace_id: str | None
    """None where the provider does not tell."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of proving a management key. ``message`` and ``remedy`` are for people."""

    health: ConnectionHealth
    message: str
    remedy: str = ""
    retry_after: timedelta | None = None
    server_time: datetime | None = None
    """The provider's clock, to the second, where it told."""


@dataclass(frozen=True, slots=True)
class BindingReport:
    """What was attached to a new key because its predecessor had it, and what could not be carried."""

    carried: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Provider(Protocol):
    """The management API of a key provider.

    Every method may raise the families of ``errors``: ``RateLimited``, ``Unavailable``, ``OutcomeUnknown``
    (only from methods that change something), ``CredentialRejected``, ``Refused``, ``Broken``.
    """

    def check(self, management_key: Secret) -> CheckResult:
        """Prove that this is a management key that may list keys. Raises nothing: the outcome is the answer."""

    def describe_caller(self, key: Secret) -> CallerFacts | None:
        """What ``key`` is, or None when the provider does not accept it (unknown, disabled, deleted, expired)."""

    def create_key(
        self, management_key: Secret, parameters: KeyParameters, *, name: str, expires_at: datetime | None
    ) -> MintedKey:
        """Mint a key. Not idempotent, never retried here. ``OutcomeUnknown`` when it may have been made."""

    def list_keys(self, management_key: Secret, *, workspace_id: str | None) -> Iterator[RemoteKey]:
        """Every key of the workspace, newest first, page by page; disabled and expired ones included."""

    def get_key(self, management_key: Secret, key_hash: str) -> RemoteKey | None:
        """One key, or None when it is gone."""

    def set_disabled(self, management_key: Secret, key_hash: str, *, disabled: bool) -> bool:
        """Disable or enable; idempotent. False when the key is gone."""

    def delete_key(self, management_key: Secret, key_hash: str) -> None:
        """Delete; returns when the key is gone, whoever deleted it. Idempotent."""

    def binds_keys(self, management_key: Secret, *, workspace_id: str | None) -> bool:
        """Whether anything in the workspace names any key by its hash, so that bindings may have to be carried."""

    def carry_bindings(
        self, management_key: Secret, *, old_hash: str, new_hash: str, workspace_id: str | None
    ) -> BindingReport:
        """Attach to the new key what is bound to the old one, and read it back. Idempotent."""

    def drop_bindings(self, management_key: Secret, *, old_hash: str, workspace_id: str | None) -> None:
        """Take a key that is about to be deleted out of the lists that name it. Idempotent."""


# --- publishers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Publication:
    """A value on its way to a destination.

    ``sequence`` only ever grows within a rotation (it is the lease's fence), also when an undo publishes an
    older version: a destination that knows a greater one for the same ``rotation_id`` refuses this one.
    """

    rotation_id: str
    rotation_name: str
    secret_name: str
    version: int
    sequence: int
    value: Secret
    heir_of: str | None = None
    """A rotation that is over, by its id: what it left in this place may be replaced."""


class Publisher(Protocol):
    """One destination. A publisher holds no state between calls; every call may be repeated."""

    @property
    def label(self) -> str:
        """Kind and target, without credentials: safe to print."""

    def check(self, secret_name: str) -> None:
        """Raise ``InvalidInput`` or another family unless the place can be read and written. Changes nothing."""

    def publish(self, publication: Publication) -> str | None:
        """Make the place hold the value. Idempotent.

        Where the value itself can never be read, the answer is a receipt: what the place said of this write, of
        printable text without key material and at most 200 characters long. It is stored, and given to ``read_back``.

        Raises ``Conflict`` when it holds a newer sequence of the same rotation, ``OperatorNeeded`` when it
        needs a person, ``TryAgain`` when it may pass by itself, ``OutcomeUnknown`` when it may have happened.
        """

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:
        """Compare what the place holds now with ``expected``: ``PARTLY`` where it has room for several values, of which
        readers may take another one.

        ``receipt`` is what the last publication that succeeded there answered. A place that shows no values is
        compared with that, and without one it is ``OTHER``, so that it is published again.
        """

    def withdraw(self, publication: Publication) -> None:
        """Take the value away, and all that was written beside it, if the place holds this publication or an earlier
        one of the same rotation; what somebody else put there stays, and is no error. Idempotent. The publication is of
        version 0 when no version is left whose value could be compared.

        Raises what ``publish`` raises, and ``Refused`` where nothing can be taken back.
        """


# --- store -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Lease:
    """The exclusive right to advance one rotation, until it runs out. ``fence`` grows with every lease."""

    rotation_id: str
    owner: str
    fence: int
    ends_at_s: float
    """The ``time.monotonic()`` at which it ends, reckoned from before the last renewal was asked for."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit changes, all or nothing, with the events that tell it.

    ``versions`` are pairs (before, after); before None inserts. ``keys`` are texts to encrypt, by version id;
    a version whose ``has_key`` turns False has its ciphertext shredded.
    """

    events: tuple[Event, ...] = ()
    versions: tuple[tuple[KeyVersion | None, KeyVersion], ...] = ()
    keys: Mapping[str, Secret] = field(default_factory=dict)
    deliveries: tuple[Delivery, ...] = ()
    destinations: tuple[Destination, ...] = ()
    """What is known of them anew: ``check_at`` and ``attempt``. One that leaves, or stays, against what was seen then
    is passed over."""
    leaving: tuple[Destination, ...] = ()
    """An operator removes them, and their values are to be withdrawn first."""
    forgotten: tuple[Destination, ...] = ()
    """They go, if they leave or stay as was seen; else ``Overtaken``."""
    rotation: tuple[Rotation, Rotation] | None = None
    pause_connection_until: datetime | None = None
    seen_revision: int | None = None
    """When given, an operator's change since this revision refuses the commit with ``Overtaken``."""
    answers: int | None = None
    """The version that answers the request which this change was decided for."""


class Store(Protocol):
    """State under a lease. Every method may raise ``Unavailable`` when the database cannot be reached."""

    def take_lease(self, rotation_id: str, owner: str) -> Lease | None:
        """The lease, or None while another holds it or there is no such rotation."""

    def keep_lease(self, lease: Lease, needed: timedelta) -> None:
        """Make sure that the lease lasts for ``needed``; raise ``LeaseLost`` when it is someone else's."""

    def is_as_seen(self, lease: Lease, revision: int) -> bool:
        """Whether no operator changed the rotation since a snapshot with this revision was read."""

    def release_lease(self, lease: Lease, *, wake_at: datetime | None, seen_revision: int) -> bool:
        """Give the lease back and set the alarm. False, and still held, when an operator changed something."""

    def load(self, lease: Lease) -> Snapshot:
        """Read everything that the next step is decided from."""

    def commit(self, lease: Lease, change: Change) -> None:
        """Write it all or nothing, guarded by the fence (else ``LeaseLost``) and by each version's previous
        state (else ``Overtaken``)."""

    def management_key(self, connection_id: str) -> Secret:
        """The connection's management key."""

    def provider_name(self, connection_id: str) -> str:
        """The connection's ``app``, which names its provider."""

    def key(self, version_id: str) -> Secret:
        """A version's key."""

    def is_over(self, rotation_id: str) -> bool:
        """Whether there was such a rotation, and it was deleted."""

    def target(self, destination_id: str) -> Secret:
        """Where a destination is; it may contain credentials. ``Overtaken`` when it was removed meanwhile."""


# --- the operator's side ---------------------------------------------------------------------------------------


class Desk(Protocol):
    """State without a lease: what operators change, and what is compared with the provider."""

    def change(
        self, name: str | ById, decide: Callable[[Snapshot], Change], *, request_id: str | None = None
    ) -> Snapshot:
        """Lock the rotation's row, decide, write, and wake the rotation; the snapshot that was decided from.

        With a ``request_id`` the answer is remembered for a week, and the snapshot tells one given before.
        Nothing is written when ``decide`` raises. Raises ``NotFound``.
        """

    def connection_names(self) -> tuple[tuple[str, str], ...]:
        """Id and name of every connection."""

    def workspaces(self, connection_id: str) -> tuple[str | None, ...]:
        """The workspaces in which rotations of this connection mint; None is the default one."""

    def known_versions(self, connection_id: str) -> tuple[KnownVersion, ...]:
        """Every version ever, of every rotation of this connection, deleted ones included."""

    def record_check(self, connection_id: str, result: CheckResult, *, actor: str) -> None:
        """Store what checking a management key found, with its event. A key found valid again, after it was
        not, wakes the connection's rotations."""

    def record_look(self, connection_id: str, *, binds_keys: bool) -> None:
        """Store whether something at the provider names keys of this connection."""

    def append(self, *events: Event) -> None:
        """Write events that change no state."""

    def now(self) -> datetime:
        """The database's clock."""


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What is recorded of a key, for comparison with what the provider has."""

    rotation_id: str
    rotation_name: str
    number: int
    state: VersionState | None
    """None when the row has one that there is not."""
    marker: str | None
    key_hash: str | None
    error: str | None
    released: bool
    """Its rotation was deleted and the key left alive, in the operator's hands."""
