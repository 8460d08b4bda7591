"""A master key is replaced while others write, is interrupted and resumed, and never loses what it opened."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex

import pytest
import sqlalchemy as sa

from config.master_key import generate_master_key, parse_ring
from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.rotation.errors import CannotDecrypt, OperatorNeeded, Unavailable
from tasks.rotation.wording import Level
from tasks.store import sealed
from tasks.store.sql_store import open_store
from tasks.wiring import Rotator
from tests.contract.state.scene import (
    Rows,
    add_connection,
    at_once,
    order,
    renew_master_key,
    ring_file,
    start_processes,
)

KEY = Secret(f"emulator-{token_hex(8)}")
ADDRESS = Secret(f"json://user:{token_hex(8)}@h/")


def _ring(settings: Settings) -> tuple[bytes, ...]:
    return parse_ring(Secret(ring_file(settings).read_text()), source="the test")


def _keep_only_the_first_key(settings: Settings) -> None:
    ring_file(settings).write_text(ring_file(settings).read_text().splitlines()[0])


@pytest.fixture
def environment(environment: Mapping[str, str], kind: str) -> Mapping[str, str]:
    """On SQLite the ring in the data folder, which is ours to change; on PostgreSQL a file of the operator's."""
    left_out = {"ROTATOR_MASTER_KEY_FILE"} if kind == "sqlite" else set()
    return {name: value for name, value in environment.items() if name not in left_out}


@pytest.fixture
def ids(rotator: Rotator, operations: Operations, tmp_path: Path) -> dict[str, str]:
    """One ciphertext of each kind: a management key, a destination's target and the address of somebody who is told,
    beside the installation's check."""
    connection = add_connection(rotator, key=KEY)
    rotator.store.notice_targets.insert("ops", "json", ADDRESS, level=Level.INFO, rotation_ids=None, actor="test")
    operations.create_rotation(order(publish=(Secret(f"dotenv:{tmp_path}/.env"),)))
    (destination,) = rotator.store.rotations.get("web").destinations
    return {"connection": connection, "destination": destination.id}


def _opens(rotator: Rotator, ids: Mapping[str, str]) -> bool:
    rotator.check()
    target = rotator.store.leased.target(ids["destination"])
    told = rotator.store.notice_targets.address("ops") == ADDRESS
    return told and rotator.store.leased.management_key(ids["connection"]) == KEY and target.reveal().endswith(".env")


def test_afterwards_the_new_key_alone_opens_everything(
    rotator: Rotator, operations: Operations, settings: Settings, ids: dict[str, str]
) -> None:
    before = _ring(settings)
    assert renew_master_key(operations, settings) == 4
    assert _ring(settings)[1:] == before
    assert _opens(rotator, ids)
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)


def test_a_fingerprint_stays_true(
    rotator: Rotator, operations: Operations, settings: Settings, ids: dict[str, str]
) -> None:
    before = operations.show_connection("prod").fingerprint
    renew_master_key(operations, settings)
    after = operations.show_connection("prod").fingerprint
    assert before != after == rotator.store.cipher.fingerprint(KEY)


def test_backups_of_every_age_open_with_the_ring_of_today(
    rotator: Rotator, operations: Operations, settings: Settings, rows: Rows, ids: dict[str, str]
) -> None:
    backup = rows.ask("SELECT check_sealed FROM installation")[0][0]
    for _ in range(3):
        renew_master_key(operations, settings)
    _put(rows, "UPDATE installation SET check_sealed = :sealed", backup)
    rotator.check()


def _put(rows: Rows, statement: str, sealed: bytes) -> None:
    with rows.engine.begin() as connection:
        bound = sa.text(statement).bindparams(sa.bindparam("sealed", sealed, sa.LargeBinary()))
        connection.execute(bound)


def test_who_is_interrupted_after_the_ring_was_written_resumes(
    rotator: Rotator,
    operations: Operations,
    settings: Settings,
    ids: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> int:
        raise Unavailable("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(sealed, "reseal_all", killed)
        with pytest.raises(Unavailable):
            renew_master_key(operations, settings)
    interrupted = _ring(settings)
    assert len(interrupted) == 2
    assert _opens(rotator, ids)
    assert operations.rotate_master_key() == 4
    assert _ring(settings) == interrupted
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_operators_who_rotate_it_at_once_lose_nothing(
    rotator: Rotator, operations: Operations, ids: dict[str, str]
) -> None:
    """Each writes a ring: one that is made from an older ring would drop the key that the rows need."""
    at_once(4, lambda _: operations.rotate_master_key())
    assert _opens(rotator, ids)


def test_a_ring_of_which_other_machines_have_a_copy_is_never_changed(
    environment: Mapping[str, str], settings: Settings, ids: dict[str, str], tmp_path: Path
) -> None:
    """The machine with the other copy must be able to open what this one writes, at every step."""
    old, new = ring_file(settings).read_text().strip(), generate_master_key().reveal()
    copies = {name: tmp_path / name for name in ("here", "there")}
    machines = {name: _machine(environment, path, old) for name, path in copies.items()}
    with closing(machines["here"]) as here, closing(machines["there"]) as there:
        for ring in (old, f"{old}\n{new}"):
            for copy in copies.values():
                copy.write_text(ring)
            with pytest.raises(OperatorNeeded, match="in second place on every machine"):
                Operations(here).rotate_master_key()
            assert copies["here"].read_text() == ring
        copies["here"].write_text(f"{new}\n{old}")
        assert Operations(here).rotate_master_key() == 4
        assert _opens(here, ids)
        assert _opens(there, ids)


def _machine(environment: Mapping[str, str], ring: Path, first: str) -> Rotator:
    ring.write_text(first)
    chosen = read_settings({**environment, "ROTATOR_MASTER_KEY_FILE": str(ring)})
    return Rotator(chosen, open_store(chosen), actor="test")


def test_while_another_process_writes(
    environment: Mapping[str, str], rotator: Rotator, operations: Operations, settings: Settings, ids: dict[str, str]
) -> None:
    code = (
        "from config.settings import settings\n"
        "from config.secret import Secret\n"
        "from tasks.rotation.model import ConnectionHealth\n"
        "from tasks.rotation.ports import CheckResult\n"
        "from tasks.wiring import open_rotator\n"
        "store = open_rotator(settings()).store\n"
        "result = CheckResult(ConnectionHealth.VALID, 'fine')\n"
        "go()\n"
        "for n in range(40):\n"
        "    store.connections.insert(f'id-{n}', f'c-{n}', Secret(f'key-{n}'), description=None, app='open-router',\n"
        "                             result=result, actor='test')\n"
        "print(json.dumps([store.leased.management_key(f'id-{n}').reveal() for n in range(40)]))\n"
    )
    (writer,) = start_processes(code, [environment])
    assert writer.stdin is not None
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    while writer.poll() is None:
        renew_master_key(operations, settings)
        # SQLite's lock is not fair: who asks for it without pause keeps the other out for longer than it waits.
        with suppress(subprocess.TimeoutExpired):
            writer.wait(0.25)
    output, _ = writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert len(output.split(",")) == 40
    renew_master_key(operations, settings)
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)
    assert rotator.store.leased.management_key("id-39") == Secret("key-39")


def test_a_ring_by_variable_is_resealed_under_its_first_key(
    environment: Mapping[str, str], rotator: Rotator, settings: Settings, ids: dict[str, str]
) -> None:
    old, new = ring_file(settings).read_text().strip(), generate_master_key().reveal()
    plain = {name: value for name, value in environment.items() if name != "ROTATOR_MASTER_KEY_FILE"}

    def opened(ring: str) -> Rotator:
        chosen = read_settings(plain | {"ROTATOR_MASTER_KEY": ring})
        return Rotator(chosen, open_store(chosen), actor="test")

    with closing(opened(f"{new},{old}")) as both:
        assert _opens(both, ids)
        assert Operations(both).rotate_master_key() == 4
    with closing(opened(new)) as alone:
        assert _opens(alone, ids)
        with pytest.raises(OperatorNeeded, match="not ours to change"):
            Operations(alone).rotate_master_key()
    with closing(opened(old)) as outdated, pytest.raises(CannotDecrypt):
        outdated.check()


@pytest.mark.parametrize("spoil", ["swap", "revision"])
def test_a_ciphertext_moved_within_the_database_does_not_open(
    spoil: str, rotator: Rotator, rows: Rows, ids: dict[str, str]
) -> None:
    """Whoever may write to the database cannot make us use another connection's key, nor an older one."""
    other = add_connection(rotator, "other")
    if spoil == "swap":
        sealed = rows.one("SELECT key_sealed FROM connections WHERE id = :id", id=other)
        _put(rows, f"UPDATE connections SET key_sealed = :sealed WHERE id = '{ids['connection']}'", sealed)
    else:
        rows.ask("UPDATE connections SET key_revision = key_revision + 1 WHERE id = :id", id=ids["connection"])
    with pytest.raises(CannotDecrypt, match="moved here from elsewhere"):
        rotator.store.leased.management_key(ids["connection"])


def test_a_spoilt_row_stops_the_rotation_by_name_and_nothing_else_changes(
    rotator: Rotator, operations: Operations, settings: Settings, rows: Rows, ids: dict[str, str]
) -> None:
    _put(rows, "UPDATE destinations SET target_sealed = :sealed", b"\x01" + bytes(60))
    before = rows.all()
    with pytest.raises(CannotDecrypt, match=ids["destination"]):
        renew_master_key(operations, settings)
    after = rows.all()
    (event,) = (event for event in after.pop("events") if event not in before["events"])
    assert event.name == "ciphertext_refused"
    del before["events"]
    assert after == before
