"""What an operator may ask, and what comes back: the one door for the command line and every other front.

Each method raises the errors of ``tasks.rotation.errors``, whose message and remedy are for people: ``NotFound``,
``InvalidInput`` and ``Conflict`` change nothing.
"""

from __future__ import annotations

from config.secret import Secret
from tasks.operations import connections, rotations, running, seeing
from tasks.operations.requests import UNSET, RotationRequest, RotationUpdate, Unset
from tasks.operations.views import (
    ConnectionView,
    CurrentKey,
    DryRun,
    EventView,
    HistoryView,
    RotateAnswer,
    RotationView,
    StatusView,
)
from tasks.rotation.engine import Advanced
from tasks.rotation.model import KeyVersion, Removal
from tasks.rotation.reconciling import Finding
from tasks.wiring import Rotator


class Operations:
    """An operator's view of one installation."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator

    # --- connections -------------------------------------------------------------------------------------------

    def create_connection(self, name: str, api_key: Secret, description: str | None = None) -> ConnectionView:
        """Prove a management key and store it. Raises ``CredentialRejected``, ``RateLimited`` or ``Unavailable``
        when it is not proven; then nothing is stored."""
        return connections.create(self._rotator, name, api_key, description)

    def list_connections(self) -> tuple[ConnectionView, ...]:
        """Every connection, by name."""
        return tuple(connections.view(c) for c in self._rotator.store.connections.all())

    def show_connection(self, name: str) -> ConnectionView:
        """One connection."""
        return connections.view(self._rotator.store.connections.get(name))

    def check_connection(self, name: str) -> ConnectionView:
        """Prove the stored key now; the outcome is stored and shown."""
        return connections.check(self._rotator, name)

    def update_connection(
        self, name: str, *, api_key: Secret | None = None, description: str | Unset | None = UNSET
    ) -> ConnectionView:
        """Replace the key, once proven, or the description."""
        return connections.update(self._rotator, name, api_key, description)

    def delete_connection(self, name: str) -> None:
        """Delete a connection that no rotation uses, and its ciphertext."""
        self._rotator.store.connections.delete(name, actor=self._rotator.actor)

    def check_connections(self) -> tuple[ConnectionView, ...]:
        """Prove every stored key now."""
        self._rotator.reconciler.check_all()
        return self.list_connections()

    # --- rotations ---------------------------------------------------------------------------------------------

    def create_rotation(self, request: RotationRequest) -> RotationView:
        """Store a rotation; unless asked otherwise its first version is minted at once."""
        running.tell([rotations.create(self._rotator, request)])
        return self.show_rotation(request.name)

    def list_rotations(self) -> tuple[RotationView, ...]:
        """Every rotation, by name. Raises ``Broken`` while one cannot be read; ``status`` shows the others."""
        names = seeing.connection_names(self._rotator)
        return tuple(seeing.rotation_view(s, names) for s in self._rotator.store.rotations.all())

    def show_rotation(self, name: str) -> RotationView:
        """One rotation as it stands."""
        snapshot = self._rotator.store.rotations.get(name)
        return seeing.rotation_view(snapshot, seeing.connection_names(self._rotator))

    def update_rotation(self, name: str, update: RotationUpdate) -> RotationView:
        """Change the order. Key parameters take effect at the next version; an added destination gets the current
        one at once."""
        running.tell([rotations.update(self._rotator, name, update)])
        return self.show_rotation(name)

    def pause_rotation(self, name: str) -> RotationView:
        """Stop the schedule; what is in flight finishes, and old keys are still retired."""
        rotations.pause(self._rotator, name, paused=True)
        return self.show_rotation(name)

    def resume_rotation(self, name: str) -> RotationView:
        """Start the schedule again, and try at once what waits after a failure."""
        rotations.pause(self._rotator, name, paused=False)
        running.tell([self._rotator.store.rotations.get(name).rotation.id])
        return self.show_rotation(name)

    def history(self, name: str) -> HistoryView:
        """Every version with its times, and the events that tell its life."""
        return seeing.history(self._rotator, name)

    def delete_rotation(self, name: str, removal: Removal) -> str:
        """Ask for the rotation's end, its keys kept alive or revoked; workers carry it out. Whether one was told."""
        return running.notice(self._rotator, running.tell([rotations.delete(self._rotator, name, removal)]))

    # --- rotating ----------------------------------------------------------------------------------------------

    def rotate(self, name: str, *, emergency: bool = False) -> RotateAnswer:
        """Ask for a new version now. Who asks while one is on its way joins it and gets the same answer."""
        return running.rotate(self._rotator, name, emergency=emergency)

    def undo(self, name: str) -> RotateAnswer:
        """Bring the previous key back, while it is not deleted."""
        return running.undo(self._rotator, name)

    def dry_run(self, name: str) -> DryRun:
        """Exactly what a rotation would do now. Destinations are tried out for it; no value there is changed."""
        return running.dry_run(self._rotator, name)

    def follow(self, name: str, version: int) -> KeyVersion:
        """Where a version stands now."""
        rotation_id = self._rotator.store.rotations.get(name).rotation.id
        return self._rotator.store.rotations.version(rotation_id, version)

    def advance_here(self, name: str) -> Advanced:
        """Do what the rotation needs now, in this process."""
        return running.advance_here(self._rotator, name)

    # --- keys --------------------------------------------------------------------------------------------------

    def current_key(self, name: str) -> CurrentKey:
        """Which version is active, without its key."""
        rotation, active = self._rotator.store.rotations.active(name)
        return CurrentKey(rotation.name, active.number, rotation.secret_name)

    def reveal_key(self, name: str) -> Secret:
        """The active version's key. That it was read leaves an event."""
        return self._rotator.store.rotations.active_key(name, actor=self._rotator.actor)

    # --- the whole ---------------------------------------------------------------------------------------------

    def events(self, *, rotation: str | None = None, after: int = 0, limit: int = 100) -> tuple[EventView, ...]:
        """The audit log from position ``after`` on, oldest first."""
        return seeing.events(self._rotator, rotation=rotation, after=after, limit=limit)

    def status(self) -> StatusView:
        """The state of the whole installation."""
        return seeing.status(self._rotator)

    def reconcile(self, connection: str | None = None) -> tuple[Finding, ...]:
        """Compare what the provider has with what is recorded, and clean up what is ours and forgotten."""
        return self._rotator.reconciler.reconcile(connection)

    def rotate_master_key(self) -> int:
        """Encrypt everything with a new master key; how many ciphertexts changed."""
        return self._rotator.store.rotate_master_key()
