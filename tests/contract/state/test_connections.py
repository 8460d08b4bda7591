"""Connections as an operator handles them: proven before stored, never shown, and gone when deleted."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest

from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.providers.openrouter.emulator import EmulatorServer, Fault, FaultKind
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    NotFound,
    RateLimited,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import ConnectionHealth, Removal
from tasks.rotation.ports import Change, CheckResult
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, at_once, order, renew_master_key

RATE_LIMIT = Fault(kind=FaultKind.STATUS, status=429, retry_after=7)
OUTAGE = Fault(kind=FaultKind.STATUS, status=503)
DEAF = Fault(kind=FaultKind.NEVER_ARRIVES)


@pytest.fixture
def connection(rotator: Rotator, operations: Operations, management_key: Secret) -> str:
    """A stored connection, proven at the emulator."""
    operations.create_connection("prod", management_key, "of the web team")
    return rotator.store.connections.get("prod").id


def test_a_proven_key_is_stored_and_shown_as_a_fingerprint(operations: Operations, management_key: Secret) -> None:
    made = operations.create_connection("prod", management_key, "  of the web team ")
    assert (made.name, made.app, made.method) == ("prod", "open-router", "api-key")
    assert made.description == "of the web team"
    assert made.health is ConnectionHealth.VALID
    assert operations.list_connections() == (made,) == operations.status().connections
    assert operations.show_connection("prod") == made
    assert management_key.reveal() not in repr(made)
    assert [(e.name, e.connection, e.actor) for e in operations.events()] == [("connection_created", "prod", "test")]


def _rejected(openrouter: EmulatorServer, key: Secret) -> Secret:
    openrouter.account.revoke_management_key(key.reveal())
    return key


def _ordinary(openrouter: EmulatorServer, _key: Secret) -> Secret:
    return Secret(openrouter.account.mint("ordinary")[0])


def _failing(fault: Fault) -> Callable[[EmulatorServer, Secret], Secret]:
    def arrange(openrouter: EmulatorServer, key: Secret) -> Secret:
        openrouter.faults.add(fault)
        return key

    return arrange


OUTCOMES: dict[str, tuple[Callable[[EmulatorServer, Secret], Secret], type[RotatorError]]] = {
    "rejected": (_rejected, CredentialRejected),
    "ordinary key": (_ordinary, CredentialRejected),
    "rate limited": (_failing(RATE_LIMIT), RateLimited),
    "outage": (_failing(OUTAGE), Unavailable),
    "unreachable": (_failing(DEAF), Unavailable),
    "no header": (lambda _server, key: Secret(key.reveal() + "\n"), CredentialRejected),
}


@pytest.mark.parametrize(("arrange", "family"), OUTCOMES.values(), ids=OUTCOMES)
def test_nothing_is_stored_unless_the_key_is_proven(  # noqa: PLR0917 - fixtures
    arrange: Callable[[EmulatorServer, Secret], Secret],
    family: type[RotatorError],
    operations: Operations,
    openrouter: EmulatorServer,
    management_key: Secret,
    rows: Rows,
    canary: str,
) -> None:
    before = rows.all()
    key = arrange(openrouter, management_key)
    with pytest.raises(family) as refused:
        operations.create_connection("prod", key)
    assert "Nothing was stored." in refused.value.message
    assert refused.value.remedy
    assert canary not in "".join(traceback.format_exception(refused.value))
    assert rows.all() == before


def test_each_outcome_has_its_own_words(
    operations: Operations, openrouter: EmulatorServer, management_key: Secret
) -> None:
    told = set()
    for arrange, family in OUTCOMES.values():
        openrouter.faults.clear()
        with pytest.raises(family) as refused:
            operations.create_connection("prod", arrange(openrouter, management_key))
        told.add(refused.value.message)
    assert len(told) >= 5


def test_a_name_that_is_taken_is_refused_before_openrouter_hears_the_key(
    operations: Operations, openrouter: EmulatorServer, connection: str, rows: Rows
) -> None:
    calls, before = len(openrouter.account.calls), rows.all()
    with pytest.raises(Conflict, match="There is a connection prod already"):
        operations.create_connection("prod", Secret(f"emulator-{token_hex(8)}"))
    assert len(openrouter.account.calls) == calls
    assert rows.all() == before


def test_of_people_who_take_one_name_at_once_one_gets_it(operations: Operations, rows: Rows) -> None:
    def create(number: int) -> bool:
        try:
            operations.create_connection("prod", Secret(f"emulator-{number}-{token_hex(8)}"))
        except Conflict:
            return False
        return True

    assert sorted(at_once(4, create)) == [False, False, False, True]
    assert rows.one("SELECT count(*) FROM connections") == 1
    assert rows.one("SELECT count(*) FROM events") == 1


@pytest.mark.parametrize("name", ["", "Prod", "a--b", "-a", "a-", "a" * 65, "a b", "ä", "a\n", "a/b", "../a"])
def test_a_name_is_a_slug(name: str, operations: Operations, openrouter: EmulatorServer, rows: Rows) -> None:
    with pytest.raises(InvalidInput) as refused:
        operations.create_connection(name, Secret("emulator-x"))
    assert refused.value.field == "NAME"
    assert not openrouter.account.calls
    assert rows.one("SELECT count(*) FROM connections") == 0


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "web-1-eu"])
def test_the_longest_and_the_shortest_name_fit(name: str, operations: Operations, management_key: Secret) -> None:
    assert operations.create_connection(name, management_key, "d" * 256).name == name


@pytest.mark.parametrize("description", ["d" * 257, "nul\0", "escape\x1b[31m"], ids=["long", "nul", "escape"])
def test_a_description_is_short_and_printable(
    description: str, operations: Operations, openrouter: EmulatorServer, rows: Rows
) -> None:
    with pytest.raises(InvalidInput) as refused:
        operations.create_connection("prod", Secret("emulator-x"), description)
    assert refused.value.field == "--description"
    assert not openrouter.account.calls
    assert rows.one("SELECT count(*) FROM connections") == 0


def test_a_key_is_replaced_only_once_it_is_proven(
    rotator: Rotator, operations: Operations, openrouter: EmulatorServer, connection: str, management_key: Secret
) -> None:
    before = operations.show_connection("prod")
    openrouter.faults.add(OUTAGE)
    with pytest.raises(Unavailable):
        operations.update_connection("prod", api_key=Secret("emulator-new-key"))
    assert rotator.store.leased.management_key(connection) == management_key
    assert operations.show_connection("prod") == before
    openrouter.faults.clear()
    after = operations.update_connection("prod", api_key=Secret("emulator-new-key"))
    assert after.fingerprint != before.fingerprint
    assert after.description == before.description
    assert rotator.store.leased.management_key(connection) == Secret("emulator-new-key")


def test_a_description_is_changed_without_asking_openrouter(
    operations: Operations, openrouter: EmulatorServer, connection: str
) -> None:
    calls = len(openrouter.account.calls)
    assert operations.update_connection("prod", description="new").description == "new"
    assert operations.update_connection("prod", description=None).description is None
    assert len(openrouter.account.calls) == calls


def test_an_update_of_nothing_is_refused(operations: Operations, connection: str, rows: Rows) -> None:
    before = rows.all()
    with pytest.raises(InvalidInput, match="nothing to change"):
        operations.update_connection("prod")
    assert rows.all() == before


def test_of_two_who_replace_a_key_at_once_one_is_told(rotator: Rotator, connection: str) -> None:
    stored, result = rotator.store.connections.get("prod"), CheckResult(ConnectionHealth.VALID, "fine")
    for key, wins in ((Secret("emulator-first"), True), (Secret("emulator-second"), False)):
        change = {"description": None, "key": key, "result": result, "actor": "test"}
        if wins:
            rotator.store.connections.update(stored, **change)  # type: ignore[arg-type]  # a bag for two calls
        else:
            with pytest.raises(Conflict, match="changed by someone else"):
                rotator.store.connections.update(stored, **change)  # type: ignore[arg-type]  # a bag for two calls
    assert rotator.store.leased.management_key(connection) == Secret("emulator-first")


def test_a_new_key_wakes_what_waited_for_it(
    rotator: Rotator, operations: Operations, connection: str, clock: Clock
) -> None:
    operations.create_rotation(order(initial=True))
    snapshot = rotator.store.rotations.get("web")
    lease = rotator.store.leased.take_lease(snapshot.rotation.id, "worker")
    assert lease is not None
    rotator.store.leased.release_lease(lease, wake_at=clock.now + timedelta(days=9), seen_revision=snapshot.revision)
    assert rotator.store.claim_due(9) == []
    operations.update_connection("prod", api_key=Secret("emulator-new-key"))
    assert rotator.store.claim_due(9) == [snapshot.rotation.id]


@pytest.mark.parametrize(
    ("fault", "health"),
    [(RATE_LIMIT, ConnectionHealth.RATE_LIMITED), (DEAF, ConnectionHealth.UNREACHABLE)],
)
def test_a_check_stores_what_it_found_whatever_it_is(  # noqa: PLR0917 - fixtures
    fault: Fault,
    health: ConnectionHealth,
    operations: Operations,
    openrouter: EmulatorServer,
    connection: str,
    clock: Clock,
) -> None:
    openrouter.faults.add(fault)
    clock.advance(timedelta(hours=1))
    found = operations.check_connection("prod")
    assert (found.health, found.checked_at) == (health, clock.now)
    event = operations.events()[-1]
    assert (event.name, event.connection) == ("connection_checked", "prod")
    assert (event.detail["before"], event.detail["health"]) == ("valid", str(health))
    openrouter.faults.clear()
    assert operations.check_connections()[0].health is ConnectionHealth.VALID


def test_a_connection_in_use_stays(operations: Operations, connection: str, rows: Rows) -> None:
    operations.create_rotation(order())
    before = rows.all()
    with pytest.raises(Conflict, match="prod is used by web") as refused:
        operations.delete_connection("prod")
    assert "rotator rotation delete" in refused.value.remedy
    assert rows.all() == before


def test_deleting_leaves_nothing_of_an_unused_connection(operations: Operations, connection: str, rows: Rows) -> None:
    operations.delete_connection("prod")
    assert rows.one("SELECT count(*) FROM connections") == 0
    assert operations.events()[-1].name == "connection_deleted"
    with pytest.raises(NotFound):
        operations.show_connection("prod")


@pytest.fixture
def tombstone(operations: Operations, connection: str) -> str:
    """The id of a deleted connection that a deleted rotation refers to."""
    operations.create_rotation(order())
    operations.delete_rotation("web", Removal.KEEP_KEYS)
    assert operations.advance_here("web").acquired
    operations.delete_connection("prod")
    return connection


def test_deleting_shreds_the_ciphertext_even_where_a_deleted_rotation_refers_to_it(
    operations: Operations, settings: Settings, tombstone: str, rows: Rows
) -> None:
    ((sealed, fingerprint),) = rows.ask("SELECT key_sealed, fingerprint FROM connections")
    assert bytes(sealed) == b""
    assert fingerprint == ""
    assert operations.list_connections() == ()
    assert renew_master_key(operations, settings) == 1


def test_a_deleted_name_is_free_again(operations: Operations, tombstone: str, management_key: Secret) -> None:
    again = operations.create_connection("prod", management_key)
    assert again.id != tombstone
    assert operations.create_rotation(order()).connection == "prod"


def test_nothing_comes_back_to_a_deleted_connection(
    rotator: Rotator, operations: Operations, connection: str, rows: Rows
) -> None:
    """Whoever proved a key or read a row before the deletion finds out when writing."""
    operations.create_rotation(order())
    stale = rotator.store.connections.get("prod")
    pending = rotator.store.rotations.get("web").rotation
    operations.delete_rotation("web", Removal.KEEP_KEYS)
    operations.advance_here("web")
    operations.delete_connection("prod")
    before = rows.all()
    result = CheckResult(ConnectionHealth.VALID, "fine")
    with pytest.raises(Conflict):
        rotator.store.connections.update(
            stale, description=None, key=Secret("emulator-late"), result=result, actor="test"
        )
    with pytest.raises(NotFound):
        rotator.store.desk.record_check(connection, result, actor="test")
    with pytest.raises(NotFound):
        rotator.store.leased.management_key(connection)
    with pytest.raises(NotFound, match="connection"):
        rotator.store.rotations.insert(replace(pending, id="late", name="late"), Change(), ())
    assert rows.all() == before


def test_what_is_not_there_is_told_with_a_remedy(operations: Operations) -> None:
    for attempt in (
        lambda: operations.show_connection("none"),
        lambda: operations.check_connection("none"),
        lambda: operations.update_connection("none", description="x"),
        lambda: operations.delete_connection("none"),
        lambda: operations.reconcile("none"),
        lambda: operations.create_rotation(order(connection="none")),
    ):
        with pytest.raises(NotFound, match="no connection none") as refused:
            attempt()
        assert "rotator connection list" in refused.value.remedy
