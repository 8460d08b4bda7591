"""Whoever may write to the database but lacks the master key gains nothing, and leaves a trace in the audit log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values

from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import RotationUpdate
from tasks.operations.views import EventView
from tasks.providers.openrouter.emulator import EmulatorServer, Fault, FaultKind
from tasks.rotation.errors import CannotDecrypt, InvalidInput
from tasks.rotation.model import VersionState
from tasks.store import refusals
from tasks.store.cipher import Cipher, Place
from tasks.wiring import Rotator
from tests.contract.state.scene import PAST_A_DAY, Clock, Rows, add_connection, order, renew_master_key
from tests.leaks.hunt import Hunt

REFUSED = "ciphertext_refused"
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Cell:
    """One ciphertext in the database, read and written without our code."""

    rows: Rows
    table: str
    column: str
    id: str
    open: Callable[[], Secret]

    def get(self) -> bytes:
        return bytes(self.rows.one(f"SELECT {self.column} FROM {self.table} WHERE id = :id", id=self.id))

    def put(self, envelope: bytes) -> None:
        statement = sa.text(f"UPDATE {self.table} SET {self.column} = :new WHERE id = :id")
        unhurried = {"sqlite": "PRAGMA synchronous = OFF", "postgresql": "SET LOCAL synchronous_commit TO off"}
        with self.rows.engine.begin() as connection:
            connection.exec_driver_sql(unhurried[connection.dialect.name])
            connection.execute(statement.bindparams(sa.bindparam("new", envelope, sa.LargeBinary())), {"id": self.id})


@contextmanager
def spoiling(cell: Cell, envelope: bytes | None = None) -> Iterator[None]:
    """Inside, the cell holds this instead; or what it holds, with its last bit flipped."""
    right = cell.get()
    cell.put(right[:-1] + bytes([right[-1] ^ 1]) if envelope is None else envelope)
    try:
        yield
    finally:
        cell.put(right)


@dataclass(frozen=True)
class Scene:
    """Two connections and two rotations; "web" has replaced its first key, whose overlap is running."""

    rotator: Rotator
    operations: Operations
    openrouter: EmulatorServer
    rows: Rows
    clock: Clock
    settings: Settings
    file: Path
    canary: str

    def cell(self, what: str) -> Cell:
        """One of each kind of ciphertext; or another one of that kind."""
        name, _, other = what.partition(", ")
        leased = self.rotator.store.leased
        if name == "management key":
            wanted = "other" if other else "prod"
            (id_,) = (id_ for id_, name in self.rotator.store.desk.connection_names() if name == wanted)
            return Cell(self.rows, "connections", "key_sealed", id_, lambda: leased.management_key(id_))
        rotation = self.rotator.store.rotations.get("api" if other == "another rotation's" else "web")
        if name == "target":
            destination = rotation.destinations[0].id
            return Cell(self.rows, "destinations", "target_sealed", destination, lambda: leased.target(destination))
        state = VersionState.RETIRING if other == "an older version's" else VersionState.ACTIVE
        (version,) = (v.id for v in rotation.versions if v.state is state)
        return self.key_cell(version)

    def key_cell(self, version_id: str) -> Cell:
        """The key of a version."""
        leased = self.rotator.store.leased
        return Cell(self.rows, "key_versions", "key_sealed", version_id, lambda: leased.key(version_id))

    def refusals(self) -> list[EventView]:
        return [e for e in self.operations.events(limit=1000) if e.name == REFUSED]

    def at_openrouter(self) -> tuple[object, ...]:
        """All that ever changed something there."""
        account = self.openrouter.account
        changes = sum(call.method in {"POST", "PATCH", "DELETE"} for call in account.calls)
        return changes, account.live(), account.existing()

    def published(self) -> str:
        return str(dotenv_values(self.file)["OPENROUTER_API_KEY"])


@pytest.fixture
def scene(  # noqa: PLR0917 - fixtures
    rotator: Rotator,
    operations: Operations,
    openrouter: EmulatorServer,
    rows: Rows,
    clock: Clock,
    settings: Settings,
    management_key: Secret,
    canary: str,
    tmp_path: Path,
) -> Scene:
    operations.create_connection("prod", management_key)
    add_connection(rotator, "other", Secret(f"emulator-{canary}-other"))
    for name in ("web", "api"):
        operations.create_rotation(order(name, initial=True, publish=(Secret(f"dotenv:{tmp_path}/{name}.env"),)))
        operations.advance_here(name)
    operations.rotate("web")
    operations.advance_here("web")
    return Scene(rotator, operations, openrouter, rows, clock, settings, tmp_path / "web.env", canary)


CELLS = ["management key", "key", "target"]


def _sealed_by_another(scene: Scene, cell: str) -> bytes:
    """The right place, but another installation's master key."""
    found = scene.cell(cell)
    master = secrets.token_bytes(32)
    place = Place(found.table, found.column, found.id, 1 if cell == "management key" else 0)
    return Cipher(lambda: (master,), source="another").seal(Secret(f"sk-or-v1-{scene.canary}"), place)


SPOILS: dict[str, Callable[[Scene, str], bytes]] = {
    "another management key": lambda s, c: s.cell("management key, another").get(),
    "another rotation's key": lambda s, c: s.cell("key, another rotation's").get(),
    "an older version's key": lambda s, c: s.cell("key, an older version's").get(),
    "another rotation's target": lambda s, c: s.cell("target, another rotation's").get(),
    "the check text": lambda s, c: bytes(s.rows.one("SELECT check_sealed FROM installation")),
    "sealed by another installation": _sealed_by_another,
    "with another format": lambda s, c: b"\x02" + s.cell(c).get()[1:],
    "with another key id": lambda s, c: s.cell(c).get()[:1] + bytes(8) + s.cell(c).get()[9:],
    "with a byte more": lambda s, c: s.cell(c).get() + b"\0",
    "emptied": lambda s, c: b"",
    "in the open": lambda s, c: s.cell(c).open().reveal().encode(),
}


def test_a_ciphertext_from_anywhere_else_is_refused_and_told_of_once(scene: Scene) -> None:
    for cell, spoil in product(CELLS, SPOILS.values()):
        _refused(scene, cell, spoil(scene, cell))
        scene.clock.advance(2 * HOUR)
    _refused(scene, "management key", _put_back(scene))


def _refused(scene: Scene, what: str, spoilt: bytes) -> None:
    cell = scene.cell(what)
    told = len(scene.refusals())
    with spoiling(cell, spoilt):
        for _ in range(2):
            with pytest.raises(CannotDecrypt) as refused:
                cell.open()
    message = str(refused.value)
    assert message.startswith(f"{cell.table}.{cell.column} of {cell.id}: ")
    assert refused.value.remedy
    (event,) = scene.refusals()[told:]
    assert event.why == message
    assert event.rotation == (None if what == "management key" else "web")
    assert event.connection == ("prod" if what == "management key" else None)
    assert event.version == (2 if what == "key" else None)
    hunt = Hunt(scene.canary)
    hunt.look("message and event", f"{refused.value!r} {message} {event!r}")
    assert hunt.findings == []


def _put_back(scene: Scene) -> bytes:
    """The management key that was there before it was replaced."""
    old = scene.cell("management key").get()
    scene.operations.update_connection("prod", api_key=Secret(f"emulator-{scene.canary}-newer"))
    return old


def test_no_bit_may_flip_and_no_byte_be_missing(scene: Scene) -> None:
    cell = scene.cell("key")
    right = cell.get()
    spoilt = [right[:length] for length in range(len(right))]
    for at, byte in enumerate(right):
        flipped = bytes([byte ^ 1 << secrets.randbelow(8)])
        spoilt.append(right[:at] + flipped + right[at + 1 :])
    opened = []
    for changed in spoilt:
        with spoiling(cell, changed), suppress(CannotDecrypt):
            opened.append((changed, cell.open()))
    assert not opened
    assert len({event.why for event in scene.refusals()}) == len(scene.refusals()) == 3
    assert cell.open()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_refused_all_day_is_told_of_hourly(scene: Scene) -> None:
    scene.cell("key").put(b"")
    for _ in range(8):
        with pytest.raises(CannotDecrypt):
            scene.operations.reveal_key("web")
        scene.clock.advance(HOUR / 2)
    assert len(scene.refusals()) == 4


def test_only_the_newest_events_are_searched_however_long_the_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_LOOKED_THROUGH", 3)
    scene.cell("key").put(b"")
    for _ in range(3):
        with pytest.raises(CannotDecrypt):
            scene.operations.reveal_key("web")
    assert len(scene.refusals()) == 1
    scene.rows.ask("INSERT INTO events (at, name, actor, why, detail) SELECT 0, 'other', '', '', '{}' FROM events")
    with pytest.raises(CannotDecrypt):
        scene.operations.reveal_key("web")
    assert len(scene.refusals()) == 2


# --- every way to a ciphertext ---------------------------------------------------------------------------------


def _adopt(scene: Scene) -> None:
    with suppress(InvalidInput):  # the account has no such key: it could be asked
        scene.operations.create_rotation(order("adopted", adopt_hash=secrets.token_hex(32)))


def _rotate_master_key(scene: Scene) -> None:
    renew_master_key(scene.operations, scene.settings)


CALLS: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "connection check": ("management key", lambda s: s.operations.check_connection("prod")),
    "check of all connections": ("management key", lambda s: s.operations.check_connections()),
    "reconcile": ("management key", lambda s: s.operations.reconcile("prod")),
    "reconcile of all": ("management key, another", lambda s: s.operations.reconcile()),
    "adopt": ("management key", _adopt),
    "secret get, run": ("key", lambda s: s.operations.reveal_key("web")),
    "master-key rotate, management key": ("management key", _rotate_master_key),
    "master-key rotate, key": ("key", _rotate_master_key),
    "master-key rotate, target": ("target", _rotate_master_key),
}


def test_each_call_that_needs_it_fails_is_told_of_and_changes_nothing(scene: Scene) -> None:
    for what, (name, call) in CALLS.items():
        cell, told = scene.cell(name), len(scene.refusals())
        before = scene.at_openrouter(), scene.published()
        with spoiling(cell), pytest.raises(CannotDecrypt):
            call(scene)
        assert (scene.at_openrouter(), scene.published()) == before, what
        assert len(scene.refusals()) == told + 1, what
        call(scene)
        scene.clock.advance(2 * HOUR)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_dry_run_names_it_as_an_obstacle(scene: Scene) -> None:
    with spoiling(scene.cell("target")):
        (obstacle,) = scene.operations.dry_run("web").obstacles
    assert scene.refusals()[0].why in obstacle


STEPS: dict[str, tuple[str, str]] = {
    "disable, management key": ("management key", "disable_failed"),
    "disable, key in service": ("key", "disable_failed"),
    "disable, destination": ("target", "disable_failed"),
    "mint": ("management key", "mint_failed"),
}


def test_each_step_that_needs_it_waits_and_goes_on_once_it_is_right_again(scene: Scene) -> None:
    """Nothing is minted, disabled or deleted because of it, and what applications read is left alone."""
    scene.clock.advance(PAST_A_DAY)
    for step, (name, failure) in STEPS.items():
        told, before = len(scene.refusals()), (scene.at_openrouter(), scene.published())
        if step == "mint":
            scene.operations.rotate("web")
        with spoiling(scene.cell(name)):
            scene.operations.resume_rotation("web")
            scene.operations.advance_here("web")
        assert (scene.at_openrouter(), scene.published()) == before, step
        (refused,) = scene.refusals()[told:]
        assert [e.why for e in scene.operations.events(limit=1000) if e.name == failure][-1] == refused.why
        assert scene.operations.show_rotation("web").attention
        scene.clock.advance(2 * HOUR)
        if step == "disable, destination":
            scene.operations.advance_here("web")
            assert scene.operations.show_rotation("web").attention is None
    scene.operations.resume_rotation("web")
    scene.operations.advance_here("web")
    assert scene.operations.current_key("web").version == 3
    assert [str(v.state) for v in scene.operations.history("web").versions] == ["disabled", "retiring", "active"]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("name", ["key", "target"])
def test_a_key_in_flight_waits_unharmed(scene: Scene, name: str) -> None:
    """It was minted for a good reason before; it is neither lost nor published, and the old one serves on."""
    scene.openrouter.faults.add(Fault(kind=FaultKind.STATUS, status=500, method="GET", path="/key", times=1))
    scene.operations.rotate("web")
    scene.operations.advance_here("web")
    before = scene.at_openrouter(), scene.published()
    (created,) = (v for v in scene.rotator.store.rotations.get("web").versions if v.state is VersionState.CREATED)
    cell = scene.cell("target") if name == "target" else scene.key_cell(created.id)
    with spoiling(cell):
        scene.operations.resume_rotation("web")
        scene.operations.advance_here("web")
        assert (scene.at_openrouter(), scene.published()) == before
        assert [e.rotation for e in scene.refusals()] == ["web"]
        assert scene.operations.show_rotation("web").attention
    scene.operations.resume_rotation("web")
    scene.operations.advance_here("web")
    assert scene.operations.current_key("web").version == 3
    assert scene.operations.reveal_key("web").reveal() == scene.published()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_each_is_mended_without_a_backup_by_giving_it_again(scene: Scene, management_key: Secret) -> None:
    for name in CELLS:
        scene.cell(name).put(b"")
    scene.operations.update_connection("prod", api_key=management_key)
    label = scene.operations.show_rotation("web").destinations[0].label
    scene.operations.update_rotation("web", RotationUpdate(remove_publish=(label,)))
    scene.operations.update_rotation("web", RotationUpdate(add_publish=(Secret(f"dotenv:{scene.file}"),)))
    scene.operations.rotate("web")
    scene.operations.advance_here("web")
    assert scene.operations.current_key("web").version == 3
    assert scene.operations.reveal_key("web").reveal() == scene.published()
    scene.clock.advance(PAST_A_DAY)
    scene.operations.advance_here("web")
    scene.clock.advance(PAST_A_DAY)
    scene.operations.advance_here("web")
    assert [str(v.state) for v in scene.operations.history("web").versions] == ["deleted", "deleted", "active"]
