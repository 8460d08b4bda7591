"""A master key is replaced while others write, is interrupted and resumed, and never loses what it opened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import pytest
import sqlalchemy as sa

from config.master_key import generate_master_key, parse_ring
from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.rotation.errors import CannotDecrypt, OperatorNeeded, Unavailable
from tasks.store import sealed
from tasks.store.sql_store import open_store
from tasks.wiring import Rotator
from tests.contract.state.scene import Rows, add_connection, at_once, order, start_processes

KEY = Secret(f"emulator-{token_hex(8)}")


def _ring(settings: Settings) -> tuple[bytes, ...]:
    assert settings.master_key_file is not None
    return parse_ring(Secret(settings.master_key_file.read_text()), source="the test")


def _keep_only_the_first_key(settings: Settings) -> None:
    assert settings.master_key_file is not None
    settings.master_key_file.write_text(settings.master_key_file.read_text().splitlines()[0])


@pytest.fixture
def ids(rotator: Rotator, operations: Operations, tmp_path: Path) -> dict[str, str]:
    """One ciphertext of each kind: a management key and a destination's target beside the installation's check."""
    connection = add_connection(rotator, key=KEY)
    operations.create_rotation(order(publish=(Secret(f"dotenv:{tmp_path}/.env"),)))
    (destination,) = rotator.store.rotations.get("web").destinations
    return {"connection": connection, "destination": destination.id}


def _opens(rotator: Rotator, ids: Mapping[str, str]) -> bool:
    rotator.check()
    target = rotator.store.leased.target(ids["destination"])
    return rotator.store.leased.management_key(ids["connection"]) == KEY and target.reveal().endswith(".env")


def test_afterwards_the_new_key_alone_opens_everything(
    rotator: Rotator, operations: Operations, settings: Settings, ids: dict[str, str]
) -> None:
    before = _ring(settings)
    assert operations.rotate_master_key() == 3
    assert _ring(settings)[1:] == before
    assert _opens(rotator, ids)
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)


def test_a_fingerprint_stays_true(rotator: Rotator, operations: Operations, ids: dict[str, str]) -> None:
    before = operations.show_connection("prod").fingerprint
    operations.rotate_master_key()
    after = operations.show_connection("prod").fingerprint
    assert before != after == rotator.store.cipher.fingerprint(KEY)


def test_backups_of_every_age_open_with_the_ring_of_today(
    rotator: Rotator, operations: Operations, rows: Rows, ids: dict[str, str]
) -> None:
    backup = rows.ask("SELECT check_sealed FROM installation")[0][0]
    for _ in range(3):
        operations.rotate_master_key()
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
            operations.rotate_master_key()
    interrupted = _ring(settings)
    assert len(interrupted) == 2
    assert _opens(rotator, ids)
    assert operations.rotate_master_key() == 3
    assert _ring(settings) == interrupted
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)


def test_operators_who_rotate_it_at_once_lose_nothing(
    rotator: Rotator, operations: Operations, ids: dict[str, str]
) -> None:
    """Each writes a ring: one that is made from an older ring would drop the key that the rows need."""
    at_once(4, lambda _: operations.rotate_master_key())
    assert _opens(rotator, ids)


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
        operations.rotate_master_key()
    output, _ = writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert len(output.split(",")) == 40
    operations.rotate_master_key()
    _keep_only_the_first_key(settings)
    assert _opens(rotator, ids)
    assert rotator.store.leased.management_key("id-39") == Secret("key-39")


def test_a_ring_by_variable_is_resealed_under_its_first_key(
    environment: Mapping[str, str], rotator: Rotator, settings: Settings, ids: dict[str, str]
) -> None:
    assert settings.master_key is not None
    new = generate_master_key().reveal()
    plain = {name: value for name, value in environment.items() if name != "ROTATOR_MASTER_KEY_FILE"}

    def opened(ring: str) -> Rotator:
        chosen = read_settings(plain | {"ROTATOR_MASTER_KEY": ring})
        return Rotator(chosen, open_store(chosen), actor="test")

    with closing(opened(f"{new},{settings.master_key.reveal()}")) as both:
        assert _opens(both, ids)
        assert Operations(both).rotate_master_key() == 3
        assert Operations(both).rotate_master_key() == 0
    with closing(opened(new)) as alone:
        assert _opens(alone, ids)
        with pytest.raises(OperatorNeeded, match="in front of it"):
            Operations(alone).rotate_master_key()
    with closing(opened(settings.master_key.reveal())) as outdated, pytest.raises(CannotDecrypt):
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


def test_a_spoilt_row_stops_the_rotation_by_name_and_changes_nothing(
    rotator: Rotator, operations: Operations, rows: Rows, ids: dict[str, str]
) -> None:
    _put(rows, "UPDATE destinations SET target_sealed = :sealed", b"\x01" + bytes(60))
    before = rows.all()
    with pytest.raises(CannotDecrypt, match=ids["destination"]):
        operations.rotate_master_key()
    assert rows.all() == before
