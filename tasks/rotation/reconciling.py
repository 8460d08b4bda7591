"""Comparing what the provider has with what is recorded, and checking management keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tasks.rotation.errors import Broken, Conflict, NotFound, OperatorNeeded, RotatorError
from tasks.rotation.machine import told
from tasks.rotation.model import Attempt, ById, Event, Reason, Snapshot, VersionState
from tasks.rotation.parameters import MARKER
from tasks.rotation.ports import Change, CheckResult, Desk, KnownVersion, Provider, RemoteKey, Store
from tasks.rotation.requests import Requests


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a comparison met, and what was done about it.

    ``verdict`` is ``orphan_deleted``, ``unknown_reported``, ``active_missing`` or ``active_disabled``.
    """

    connection: str
    key_hash: str
    name: str
    verdict: str
    message: str


class Reconciler:
    """Finds keys that nobody waits for any more, and active keys that died behind our back. Repeatable."""

    def __init__(
        self, store: Store, desk: Desk, provider: Callable[[str], Provider], requests: Requests, *, actor: str
    ) -> None:
        self._store = store
        self._desk = desk
        self._provider = provider
        self._requests = requests
        self._actor = actor

    def check(self, connection_id: str) -> CheckResult:
        """Prove the stored management key, and store the outcome."""
        provider = self._provider(self._store.provider_name(connection_id))
        result = provider.check(self._store.management_key(connection_id))
        self._desk.record_check(connection_id, result, actor=self._actor)
        return result

    def check_all(self) -> None:
        """Check every connection; one whose row cannot be used does not keep the others from being checked."""
        failures = [error for id_, _ in self._desk.connection_names() if (error := self._try_check(id_))]
        if failures:
            raise failures[0]

    def _try_check(self, connection_id: str) -> RotatorError | None:
        try:
            self.check(connection_id)
        except RotatorError as error:
            return error
        return None

    def reconcile(self, connection: str | None = None) -> tuple[Finding, ...]:
        """Compare one connection, or all. Keys without our mark are not looked at twice; keys with a mark that we
        do not know are reported and left alone. What is bound to keys is looked at too, so that a rotation knows
        whether it has to carry anything.

        Raises ``NotFound`` for a connection that there is not, and, once all are compared, what kept one of them
        from being compared.
        """
        chosen = [(id_, name) for id_, name in self._desk.connection_names() if connection in (None, name)]
        if connection is not None and not chosen:
            raise NotFound(f"There is no connection {connection}.", "`rotator connection list` shows them.")
        findings: list[Finding] = []
        failures: list[RotatorError] = []
        for id_, name in chosen:
            try:
                findings += self._compare(id_, name)
            except RotatorError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return tuple(findings)

    def _compare(self, connection_id: str, connection: str) -> list[Finding]:
        """The provider is listed first and our rows are read after it, so that a key that is minted meanwhile is
        either not listed yet or already recorded."""
        provider = self._provider(self._store.provider_name(connection_id))
        key = self._store.management_key(connection_id)
        workspaces = self._desk.workspaces(connection_id)
        remote = {k.key_hash: k for w in workspaces for k in provider.list_keys(key, workspace_id=w)}
        known = self._desk.known_versions(connection_id)
        bound = any(provider.binds_keys(key, workspace_id=w) for w in workspaces)
        self._desk.record_look(connection_id, binds_keys=bound)
        findings = []
        for orphan, version in _orphans(remote, known):
            if provider.get_key(key, orphan.key_hash) is not None:
                provider.delete_key(key, orphan.key_hash)
                findings.append(self._orphan(connection, connection_id, orphan, version))
        broken = [_impossible(version) for version in known if version.state is None]
        for version in known:
            if version.state is VersionState.ACTIVE and version.key_hash and not version.released:
                there = remote.get(version.key_hash) or provider.get_key(key, version.key_hash)
                try:
                    findings += self._look_at_active(connection, version, there)
                except Broken as error:
                    broken.append(error)
        if broken:
            raise broken[0]
        return findings + self._strangers(connection, remote, known)

    def _look_at_active(self, connection: str, version: KnownVersion, there: RemoteKey | None) -> list[Finding]:
        """An active key that is gone is replaced at once; a disabled one may be meant so, and a person is asked."""
        if there is None:
            return [self._replace(connection, version)]
        if there.disabled:
            attend = partial(_needs_attention, version=version, message=_disabled(version), actor=self._actor)
            self._desk.change(ById(version.rotation_id), attend)
            return [_finding(connection, version, "active_disabled", _disabled(version))]
        if version.error == _disabled(version):
            well = partial(_enabled_again, version=version, actor=self._actor)
            self._desk.change(ById(version.rotation_id), well)
        return []

    def _replace(self, connection: str, version: KnownVersion) -> Finding:
        message = f"The active key of {version.rotation_name} is gone at the provider; a new one is being minted."
        try:
            self._requests.rotate(ById(version.rotation_id), actor=self._actor, reason=Reason.REPAIR)
        except (Conflict, NotFound, Broken) as error:
            message = f"The active key of {version.rotation_name} is gone at the provider. {error}"
        return _finding(connection, version, "active_missing", message)

    def _orphan(self, connection: str, connection_id: str, key: RemoteKey, version: KnownVersion) -> Finding:
        message = f"It is a key of {version.rotation_name} version {version.number} that should not exist any more."
        self._tell(connection_id, "orphan_deleted", message, key, version)
        return Finding(connection, key.key_hash, key.name, "orphan_deleted", message)

    def _strangers(
        self, connection: str, remote: dict[str, RemoteKey], known: tuple[KnownVersion, ...]
    ) -> list[Finding]:
        hashes, markers = {v.key_hash for v in known}, {v.marker for v in known}
        message = "Its name looks like ours, but this database does not know it: it was left alone."
        findings = []
        for key in remote.values():
            marked = MARKER.search(key.name)
            if marked and key.key_hash not in hashes and marked["marker"] not in markers:
                findings.append(Finding(connection, key.key_hash, key.name, "unknown_reported", message))
        return findings

    def _tell(self, connection_id: str, name: str, why: str, key: RemoteKey, version: KnownVersion) -> None:
        self._desk.append(
            Event(
                at=self._desk.now(),
                name=name,
                actor=self._actor,
                why=why,
                rotation_id=version.rotation_id,
                connection_id=connection_id,
                version=version.number,
                detail=(("key_hash", key.key_hash), ("key_name", key.name)),
            )
        )


def _orphans(remote: dict[str, RemoteKey], known: tuple[KnownVersion, ...]) -> list[tuple[RemoteKey, KnownVersion]]:
    """Keys that are ours, by hash or by mark, and that no version stands for any more."""
    by_hash = {v.key_hash: v for v in known if v.key_hash}
    by_marker = {v.marker: v for v in known if v.marker}
    found = []
    for key in remote.values():
        marked = MARKER.search(key.name)
        version = by_hash.get(key.key_hash) or (by_marker.get(marked["marker"]) if marked else None)
        if version is None or version.released or version.state is None:
            continue
        stands = version.key_hash == key.key_hash and version.state is not VersionState.DELETED
        awaited = version.key_hash is None and version.state in {VersionState.CREATING, VersionState.ABANDONED}
        if not stands and not awaited:
            found.append((key, version))
    return found


def _impossible(version: KnownVersion) -> Broken:
    return Broken(
        f"Version {version.number} of the rotation {version.rotation_name} has a state that there is not; its key was "
        "left alone, and all others were compared.",
        "Put it right in the database, or restore a backup.",
    )


def _finding(connection: str, version: KnownVersion, verdict: str, message: str) -> Finding:
    return Finding(connection, version.key_hash or "", version.rotation_name, verdict, message)


def _disabled(version: KnownVersion) -> str:
    return f"The active key of {version.rotation_name} is disabled at the provider."


def _enabled_again(snapshot: Snapshot, version: KnownVersion, actor: str) -> Change:
    active = snapshot.active
    if active is None or active.number != version.number:
        return Change()
    rotation = replace(snapshot.rotation, attention=None, remedy=None)
    return Change(
        events=(told(active, "active_key_enabled", at=snapshot.now, actor=actor),),
        versions=((active, replace(active, attempt=Attempt())),),
        rotation=(snapshot.rotation, rotation),
    )


def _needs_attention(snapshot: Snapshot, version: KnownVersion, message: str, actor: str) -> Change:
    active = snapshot.active
    if active is None or active.number != version.number or active.attempt.error == message:
        return Change()
    remedy = f"Enable it there, or run `rotator rotate {version.rotation_name}` for a new key."
    error = OperatorNeeded(message, remedy)
    told_of = replace(active, attempt=Attempt(1, None, error.family, message, remedy))
    rotation = replace(snapshot.rotation, attention=message, remedy=remedy)
    return Change(
        events=(told(active, "active_key_disabled", at=snapshot.now, actor=actor, why=message),),
        versions=((active, told_of),),
        rotation=(snapshot.rotation, rotation),
    )
