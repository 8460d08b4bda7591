"""What an operator may ask, and what comes back: the one door for the command line and every other front.

Each method raises the errors of ``tasks.rotation.errors``, whose message and remedy are for people: ``NotFound``,
``InvalidInput`` and ``Conflict`` change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from config.secret import Secret
from tasks.operations import (
    changes,
    connections,
    destinations,
    events,
    notices,
    planning,
    previewing,
    rotations,
    running,
    seeing,
    tokens,
)
from tasks.operations.notices import NoticeTargetView
from tasks.operations.requests import (
    UNSET,
    ConnectionUpdate,
    EventsRequest,
    RotationRequest,
    RotationUpdate,
    ScheduleRequest,
    Unset,
)
from tasks.operations.views import (
    ComingRotation,
    ConnectionView,
    CurrentKey,
    DeliveryView,
    DestinationKind,
    DestinationTrial,
    DryRun,
    EventPage,
    EventView,
    HistoryView,
    RevealedKey,
    RotateAnswer,
    RotationPreview,
    Rotations,
    RotationView,
    StatusView,
    TokenView,
    VersionPage,
)
from tasks.rotation.engine import Advanced
from tasks.rotation.model import ById, KeyVersion, Removal, VersionState
from tasks.rotation.reconciling import Finding
from tasks.store.current_keys import Standing
from tasks.wiring import Rotator


class Operations:
    """An operator's view of one installation."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator

    # --- connections -------------------------------------------------------------------------------------------

    def create_connection(
        self, name: str, api_key: Secret, description: str | None = None, *, project_id: str | None = None
    ) -> ConnectionView:
        """Prove a management key and store it. Raises ``CredentialRejected``, ``RateLimited`` or ``Unavailable``
        when it is not proven; then nothing is stored."""
        return connections.create(self._rotator, name, api_key, description, project_id)

    def list_connections(self) -> tuple[ConnectionView, ...]:
        """Every connection, by name."""
        return tuple(connections.view(c) for c in self._rotator.store.connections.all())

    def show_connection(self, name: str | ById) -> ConnectionView:
        """One connection."""
        return connections.view(self._rotator.store.connections.get(name))

    def check_connection(self, name: str | ById) -> ConnectionView:
        """Prove the stored key now; the outcome is stored and shown."""
        return connections.check(self._rotator, name)

    def update_connection(
        self,
        name: str | ById,
        *,
        api_key: Secret | None = None,
        description: str | Unset | None = UNSET,
        rename: str | Unset = UNSET,
        if_revision: str | None = None,
    ) -> ConnectionView:
        """Replace the key, once proven, the description or the name. With ``if_revision`` only if nobody changed the
        connection since it had that ``revision``; else ``NotAsSeen``."""
        wanted = ConnectionUpdate(api_key, description, rename)
        return connections.update(self._rotator, name, wanted, if_revision=if_revision)

    def delete_connection(self, name: str | ById, *, if_revision: str | None = None) -> ConnectionView:
        """Delete a connection that no rotation uses, and its ciphertext; as it was. Raises ``InUse``."""
        return connections.delete(self._rotator, name, if_revision=if_revision)

    def check_connections(self) -> tuple[ConnectionView, ...]:
        """Prove every stored key now."""
        self._rotator.reconciler.check_all()
        return self.list_connections()

    # --- rotations ---------------------------------------------------------------------------------------------

    def create_rotation(self, request: RotationRequest) -> RotationView:
        """Store a rotation; unless asked otherwise its first version is minted at once."""
        rotation_id = rotations.create(self._rotator, request)
        running.tell([rotation_id])
        return self.show_rotation(ById(rotation_id))

    def preview_rotation(self, request: RotationRequest) -> RotationPreview:
        """What ``create_rotation`` would make of this request, and raises what it would raise. Nothing is stored;
        destinations are tried out, and what is wrong with one is told beside it."""
        return previewing.preview(self._rotator, request)

    def list_rotations(self) -> Rotations:
        """Every rotation that can be read, by name; ``broken`` says what is wrong with the others."""
        found = self._rotator.store.rotations.each()
        return seeing.rotation_views(found, seeing.connection_names(self._rotator))

    def show_rotation(self, name: str | ById) -> RotationView:
        """One rotation as it stands."""
        snapshot = self._rotator.store.rotations.get(name)
        return seeing.rotation_view(snapshot, seeing.connection_names(self._rotator))

    def update_rotation(
        self, name: str | ById, update: RotationUpdate, *, if_revision: str | None = None
    ) -> RotationView:
        """Change the order. Key parameters take effect at the next version; an added destination gets the current
        one at once. With ``if_revision`` only if nobody changed it since it had that ``revision``; else
        ``NotAsSeen``."""
        rotation_id = changes.update(self._rotator, name, update, if_revision=if_revision)
        running.tell([rotation_id])
        return self.show_rotation(ById(rotation_id))

    def pause_rotation(self, name: str | ById) -> RotationView:
        """Stop the schedule; what is in flight finishes, and old keys are still retired."""
        return self.show_rotation(ById(changes.pause(self._rotator, name, paused=True)))

    def resume_rotation(self, name: str | ById) -> RotationView:
        """Start the schedule again, and try at once what waits after a failure."""
        rotation_id = changes.pause(self._rotator, name, paused=False)
        running.tell([rotation_id])
        return self.show_rotation(ById(rotation_id))

    def history(self, name: str | ById) -> HistoryView:
        """Every version with its times, and the events that tell its life."""
        return seeing.history(self._rotator, name)

    def versions(self, name: str | ById) -> tuple[KeyVersion, ...]:
        """Every version of a rotation, deleted ones included, by number."""
        return self._rotator.store.rotations.versions(self._rotator.store.rotations.get(name).rotation.id)

    def schedule_of(self, name: str | ById) -> ScheduleRequest:
        """When a rotation runs, as one would ask for it."""
        return planning.as_asked(self._rotator.store.rotations.get(name).rotation.schedule)

    def version_page(self, name: str | ById, *, before: int | None = None, limit: int = 100) -> VersionPage:
        """The versions below a number, the newest first, deleted ones included; at most 1000."""
        return seeing.version_page(self._rotator, name, before=before, limit=limit)

    def deliveries(self, name: str | ById) -> tuple[DeliveryView, ...]:
        """What each destination holds, as far as is recorded, and what is still to come there."""
        return destinations.deliveries(self._rotator.store.rotations.get(name))

    def delete_rotation(
        self, name: str | ById, removal: Removal, *, withdraw: bool = False, if_revision: str | None = None
    ) -> str:
        """Ask for the rotation's end, its keys kept alive or revoked and, with ``withdraw``, taken away from every
        destination; workers carry it out. Whether one was told."""
        rotation_id = changes.delete(self._rotator, name, removal, withdraw=withdraw, if_revision=if_revision)
        return running.notice(self._rotator, running.tell([rotation_id]))

    def rotation_name(self, rotation_id: str) -> str:
        """What the rotation with this id is called now. Raises ``NotFound``."""
        return self._rotator.store.rotations.get(ById(rotation_id)).rotation.name

    def connection_name(self, connection_id: str) -> str:
        """What the connection with this id is called now. Raises ``NotFound``."""
        return self._rotator.store.connections.get(ById(connection_id)).name

    # --- rotating ----------------------------------------------------------------------------------------------

    def rotate(self, name: str | ById, *, emergency: bool = False, request_id: str | None = None) -> RotateAnswer:
        """Ask for a new version now. Who asks while one is on its way joins it and gets the same answer, and so does
        who repeats a ``request_id`` (at most 64 characters, of this rotation alone) within a week."""
        return running.rotate(self._rotator, name, emergency=emergency, request_id=request_id)

    def undo(self, name: str | ById, *, request_id: str | None = None) -> RotateAnswer:
        """Bring the previous key back, while it is not deleted. A repeated ``request_id`` brings nothing else back."""
        return running.undo(self._rotator, name, request_id=request_id)

    def dry_run(self, name: str | ById) -> DryRun:
        """Exactly what a rotation would do now. Destinations are tried out for it; no value there is changed."""
        return running.dry_run(self._rotator, name)

    def check_destinations(self, name: str | ById) -> tuple[DestinationTrial, ...]:
        """Try out each destination of a rotation, its rights to write included; no value there is changed."""
        return destinations.trials(self._rotator, self._rotator.store.rotations.get(name))

    def destination_kinds(self) -> tuple[DestinationKind, ...]:
        """The kinds of places that can be published to, and how to name one of each."""
        return destinations.known_kinds(self._rotator)

    def destination_named(self, text: Secret) -> tuple[str, Secret]:
        """What a ``KIND:TARGET`` is called without its credentials, and the whole of it, completed; nothing is
        contacted. Raises ``InvalidInput``."""
        return destinations.named(self._rotator, text)

    def follow(self, name: str | ById, version: int) -> KeyVersion:
        """Where a version stands now."""
        rotation_id = self._rotator.store.rotations.get(name).rotation.id
        return self._rotator.store.rotations.version(rotation_id, version)

    def advance_here(self, name: str | ById) -> Advanced:
        """Do what the rotation needs now, in this process."""
        return running.advance_here(self._rotator, name)

    # --- keys --------------------------------------------------------------------------------------------------

    def current_key(self, name: str | ById) -> CurrentKey:
        """Which version is active, without its key."""
        rotation, active = self._rotator.store.rotations.active(name)
        return CurrentKey(rotation.name, active.number, rotation.secret_name)

    def standing(self, name: str) -> Standing | None:
        """What a rotation has in service, by one small query; None when there is no such rotation."""
        return self._rotator.store.current_keys.called(name)

    def read_key(self, rotation_id: str) -> tuple[Standing, Secret]:
        """The key that this rotation, by its id, has in service, and which it is. That it was read leaves an event."""
        return self._rotator.store.current_keys.read(rotation_id, actor=self._rotator.actor)

    def reveal_key(self, name: str | ById) -> Secret:
        """The active version's key. That it was read leaves an event."""
        return self._rotator.store.rotations.active_key(name, actor=self._rotator.actor)

    def reveal_keys(self, name: str | ById) -> tuple[RevealedKey, ...]:
        """Every key that still works and can be read here, by version. That each was read leaves an event."""
        keys = self._rotator.store.rotations.usable_keys(name, actor=self._rotator.actor)
        active = VersionState.ACTIVE
        return tuple(RevealedKey(v.number, v.key_hash or "", v.state is active, key) for v, key in keys)

    # --- tokens ------------------------------------------------------------------------------------------------

    def create_token(
        self, name: str, role: str, *, rotations: Sequence[str] = (), expires: str | None = None
    ) -> tuple[TokenView, Secret]:
        """Make an API token. Its text is in this answer and never shown again."""
        return tokens.create(self._rotator, name, role, rotations, expires)

    def list_tokens(self) -> tuple[TokenView, ...]:
        """Every token that is not revoked, by name."""
        return tokens.every(self._rotator)

    def revoke_token(self, name: str) -> None:
        """End a token, and every session that began with it, at once."""
        self._rotator.store.tokens.revoke(name, actor=self._rotator.actor)

    # --- telling people ----------------------------------------------------------------------------------------

    def add_notice_target(
        self, name: str, address: Secret, *, level: str = "info", rotations: Sequence[str] = (), test: bool = False
    ) -> NoticeTargetView:
        """Have somebody told, from now on, what happens: all of it, or only what happens to ``rotations``. With
        ``test`` nothing is stored unless a message is taken there first."""
        return notices.add(self._rotator, name, address, level=level, rotations=rotations, test=test)

    def list_notice_targets(self) -> tuple[NoticeTargetView, ...]:
        """Everybody who is told, by name."""
        return notices.every(self._rotator)

    def test_notice_target(self, name: str) -> NoticeTargetView:
        """Send a test message; once it is taken, whatever waits there is told at once. Raises what keeps it."""
        return notices.try_out(self._rotator, name)

    def update_notice_target(
        self,
        name: str,
        *,
        address: Secret | None = None,
        level: str | Unset = UNSET,
        rotations: Sequence[str] | Unset = UNSET,
    ) -> NoticeTargetView:
        """Change the address, the level, or whose events are told; no ``rotations`` means all."""
        return notices.update(self._rotator, name, address=address, level=level, rotations=rotations)

    def remove_notice_target(self, name: str) -> None:
        """Tell somebody no more, and delete the ciphertext of the address."""
        self._rotator.store.notice_targets.delete(name, actor=self._rotator.actor)

    # --- the whole ---------------------------------------------------------------------------------------------

    def events(self, *, rotation: str | None = None, after: int = 0, limit: int = 100) -> tuple[EventView, ...]:
        """The audit log from position ``after`` on, oldest first; at most 1000 events."""
        return self.find_events(EventsRequest(rotation=rotation, after=after, limit=limit)).events

    def find_events(self, request: EventsRequest) -> EventPage:
        """A page of the audit log. Who goes on from its cursor misses no event and meets none twice, whatever is
        written meanwhile."""
        return events.page(self._rotator, request)

    def calendar(self, *, days: int = 30) -> tuple[ComingRotation, ...]:
        """What the schedules will start in the coming days, the soonest first; of each rotation one for each day and
        one more at most."""
        return planning.calendar(self._rotator, days=days)

    def now(self) -> datetime:
        """The database's clock, which every time in a view is of."""
        return self._rotator.store.now()

    def installation_id(self) -> str:
        """What tells this installation from every other."""
        return self._rotator.store.installation_id()

    def status(self) -> StatusView:
        """The state of the whole installation."""
        return seeing.status(self._rotator)

    def reconcile(self, connection: str | None = None) -> tuple[Finding, ...]:
        """Compare what the provider has with what is recorded, and clean up what is ours and forgotten."""
        return self._rotator.reconciler.reconcile(connection)

    def rotate_master_key(self) -> int:
        """Encrypt everything with a new master key; how many ciphertexts changed."""
        return self._rotator.store.rotate_master_key()
