"""A rotator with nothing behind it: it answers from memory and writes down what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from typer.testing import Result

from config.secret import Secret
from tasks.operations.notices import NoticeTargetView
from tasks.operations.requests import RotationRequest, RotationUpdate
from tasks.operations.views import (
    ConnectionView,
    CurrentKey,
    DeliveryView,
    DestinationTrial,
    DryRun,
    DyingKey,
    EventView,
    HistoryView,
    RotateAnswer,
    Rotations,
    RotationView,
    StatusView,
    TokenView,
)
from tasks.rotation.errors import NotFound, RotatorError
from tasks.rotation.model import (
    IN_FLIGHT,
    ConnectionHealth,
    KeyParameters,
    KeyVersion,
    OnDrift,
    Reason,
    Removal,
    VersionState,
)
from tasks.rotation.reconciling import Finding
from tasks.rotation.wording import Level

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
CANARY = "canary-" + "c0ffee" * 4


def connection_view(name: str = "prod") -> ConnectionView:
    return ConnectionView(
        id="c1",
        name=name,
        app="open-router",
        method="api-key",
        description="of team A",
        fingerprint="fp-1a2b",
        health=ConnectionHealth.VALID,
        message="It is a management key.",
        checked_at=NOW,
        paused_until=None,
        rotations=("web",),
        created_at=NOW,
        updated_at=NOW,
    )


def version(number: int, state: VersionState) -> KeyVersion:
    return KeyVersion(
        id=f"v{number}",
        rotation_id="r1",
        number=number,
        state=state,
        reason=Reason.SCHEDULED,
        actor="schedule",
        key_hash=f"hash{number}",
        created_at=NOW,
        active_at=None if state in {*IN_FLIGHT, VersionState.ABANDONED} else NOW,
    )


def rotation_view(name: str = "web") -> RotationView:
    return RotationView(
        id="r1",
        name=name,
        connection="prod",
        parameters=KeyParameters("web", limit_usd=50.0),
        schedule="every 30d at 03:00 UTC",
        overlap=timedelta(days=1),
        cooling=timedelta(days=1),
        secret_name="OPENROUTER_API_KEY",
        status="ok",
        paused=False,
        removal=None,
        attention=None,
        remedy=None,
        active_version=2,
        active_hash="hash2",
        active_since=NOW,
        in_flight=None,
        last_rotated_at=NOW,
        next_rotation_at=NOW + timedelta(days=30),
        upcoming=(NOW + timedelta(days=30), NOW + timedelta(days=60), NOW + timedelta(days=90)),
        destinations=(delivery_view(),),
        created_at=NOW,
    )


def delivery_view(**facts: object) -> DeliveryView:
    usual: dict[str, object] = {
        "kind": "dotenv",
        "label": "dotenv:/srv/web/.env",
        "version": 2,
        "delivered_at": NOW,
        "error": None,
        "remedy": None,
        "optional": False,
        "on_drift": OnDrift.REPAIR,
        "leaving": False,
        "drifted_at": None,
        "next_check_at": None,
        "due": None,
        "attempts": 0,
        "next_attempt_at": None,
    }
    return DeliveryView(**usual | facts)  # type: ignore[arg-type]  # facts of several types


def token_view(name: str = "shop") -> TokenView:
    return TokenView(name, "0a1b2c3d4e5f", "consumer", ("web",), NOW, NOW + timedelta(days=90), None)


def notice_target_view(name: str = "ops") -> NoticeTargetView:
    return NoticeTargetView(name, "slack", Level.INFO, None, NOW, 0, None, None, None, NOW)


@dataclass
class FakeOperations:
    """``Operations`` by shape. ``failure`` is raised by the next call instead of answering."""

    failure: Exception | None = None
    places: tuple[DeliveryView, ...] = (delivery_view(),)
    trials: tuple[DestinationTrial, ...] = (DestinationTrial("dotenv", "dotenv:/srv/web/.env", None),)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    names: tuple[str, ...] = ("web",)
    paused: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    states: list[VersionState] = field(default_factory=lambda: [VersionState.CREATED, VersionState.ACTIVE])
    current: int = 2
    status_word: str = "ok"
    health: ConnectionHealth = ConnectionHealth.VALID
    bad_names: tuple[str, ...] = ()
    emergency: bool = False

    def _ask(self, *what: object) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    def create_connection(self, name: str, api_key: Secret, description: str | None = None) -> ConnectionView:
        self._ask("create_connection", name, api_key, description)
        return connection_view(name)

    def list_connections(self) -> tuple[ConnectionView, ...]:
        self._ask("list_connections")
        return (connection_view(),)

    def show_connection(self, name: str) -> ConnectionView:
        self._ask("show_connection", name)
        return connection_view(name)

    def check_connection(self, name: str) -> ConnectionView:
        self._ask("check_connection", name)
        return replace(connection_view(name), health=self.health)

    def update_connection(self, name: str, **changes: object) -> ConnectionView:
        self._ask("update_connection", name, changes)
        return connection_view(name)

    def delete_connection(self, name: str) -> None:
        self._ask("delete_connection", name)

    def create_rotation(self, request: RotationRequest) -> RotationView:
        self._ask("create_rotation", request)
        return rotation_view(request.name)

    def list_rotations(self) -> Rotations:
        self._ask("list_rotations")
        views = (replace(rotation_view(name), paused=name in self.paused) for name in self.names)
        return Rotations(views, self.broken)

    def show_rotation(self, name: str) -> RotationView:
        self._ask("show_rotation", name)
        stands = replace(rotation_view(name), status=self.status_word, destinations=self.places)
        return replace(stands, attention="The file is read-only.", remedy="Fix it.")

    def update_rotation(self, name: str, change: RotationUpdate) -> RotationView:
        self._ask("update_rotation", name, change)
        return rotation_view(name)

    def pause_rotation(self, name: str) -> RotationView:
        self._ask("pause_rotation", name)
        return replace(rotation_view(name), paused=True, status="paused")

    def resume_rotation(self, name: str) -> RotationView:
        self._ask("resume_rotation", name)
        return rotation_view(name)

    def history(self, name: str) -> HistoryView:
        self._ask("history", name)
        return HistoryView(name, (version(1, VersionState.DELETED), version(2, VersionState.ACTIVE)), self._events())

    def delete_rotation(self, name: str, removal: Removal, *, withdraw: bool = False) -> str:
        self._ask("delete_rotation", name, removal, withdraw)
        return "No worker was told."

    def check_destinations(self, name: str) -> tuple[DestinationTrial, ...]:
        self._ask("check_destinations", name)
        return self.trials

    def rotate(self, name: str, *, emergency: bool = False) -> RotateAnswer:
        self._ask("rotate", name, emergency)
        if name in self.bad_names:
            raise NotFound(f'There is no rotation "{name}".', "`rotator rotation list` shows them.")
        return RotateAnswer(name, 3, False, True, "")

    def undo(self, name: str) -> RotateAnswer:
        self._ask("undo", name)
        return RotateAnswer(name, 1, False, True, "")

    def dry_run(self, name: str) -> DryRun:
        self._ask("dry_run", name)
        dying = DyingKey(2, "hash2", NOW + timedelta(days=1), NOW + timedelta(days=2))
        parameters = KeyParameters("web", limit_usd=50.0)
        return DryRun(name, 3, "web #3-<marker>", parameters, None, ("dotenv:/srv/web/.env",), "KEY", (dying,), ())

    def follow(self, name: str, number: int) -> KeyVersion:
        self._ask("follow", name, number)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return replace(version(number, state), emergency=self.emergency)

    def advance_here(self, name: str) -> None:
        self._ask("advance_here", name)

    def current_key(self, name: str) -> CurrentKey:
        self._ask("current_key", name)
        return CurrentKey(name, self.current, "OPENROUTER_API_KEY")

    def reveal_key(self, name: str) -> Secret:
        self._ask("reveal_key", name)
        return Secret(f"{CANARY}-{self.current}")

    def events(self, *, rotation: str | None = None, after: int = 0, limit: int = 100) -> tuple[EventView, ...]:
        self._ask("events", rotation, after)
        return tuple(event for event in self._events() if event.id > after)

    def status(self) -> StatusView:
        self._ask("status")
        return StatusView(NOW, (connection_view(),), (rotation_view(),), NOW - timedelta(seconds=4), "0001")

    def reconcile(self, connection: str | None) -> tuple[Finding, ...]:
        self._ask("reconcile", connection)
        return (Finding("prod", "hash9", "web #9-x", "orphan_deleted", "It was ours, and nobody's."),)

    def create_token(
        self, name: str, role: str, *, rotations: tuple[str, ...], expires: str | None
    ) -> tuple[TokenView, Secret]:
        self._ask("create_token", name, role, rotations, expires)
        return token_view(name), Secret(f"rtk_0a1b2c3d4e5f_{CANARY}")

    def list_tokens(self) -> tuple[TokenView, ...]:
        self._ask("list_tokens")
        expired = replace(token_view("old"), role="admin", rotations=(), last_used_at=NOW)
        return token_view(), expired, replace(expired, name="for-good", expires_at=None)

    def revoke_token(self, name: str) -> None:
        self._ask("revoke_token", name)

    def add_notice_target(self, name: str, address: Secret, **wanted: object) -> NoticeTargetView:
        self._ask("add_notice_target", name, address, wanted)
        return notice_target_view(name)

    def list_notice_targets(self) -> tuple[NoticeTargetView, ...]:
        self._ask("list_notice_targets")
        later = NOW + timedelta(hours=1)
        failing = NoticeTargetView(
            "team", "mailtos", Level.CRITICAL, ("web",), None, 3, "It is away.", "Wait.", later, NOW
        )
        return notice_target_view(), failing

    def test_notice_target(self, name: str) -> NoticeTargetView:
        self._ask("test_notice_target", name)
        return notice_target_view(name)

    def update_notice_target(self, name: str, **changes: object) -> NoticeTargetView:
        self._ask("update_notice_target", name, changes)
        return notice_target_view(name)

    def remove_notice_target(self, name: str) -> None:
        self._ask("remove_notice_target", name)

    def rotate_master_key(self) -> int:
        self._ask("rotate_master_key")
        return 7

    @staticmethod
    def _events() -> tuple[EventView, ...]:
        return (EventView(1, NOW, "version_activated", "schedule", "due", "web", None, 2, {"took": "1s"}),)


@dataclass
class FakeStore:
    """A database that may be empty or old."""

    version: str | None = "0001"
    upgrades: int = 0
    outdated: RotatorError | None = None

    def schema(self) -> str | None:
        return self.version

    def upgrade(self) -> str:
        self.upgrades += 1
        self.version = "0001"
        return self.version

    def downgrade(self) -> str:
        if self.outdated is not None:
            raise self.outdated
        return "0000"

    def check_schema(self) -> str:
        if self.outdated is not None:
            raise self.outdated
        return f"The schema is the one that this release needs: {self.version}."


Run = Callable[..., Result]
