"""However many rotations there are, to look at all of them takes as many statements as to look at one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.operations import Operations
from tasks.rotation.errors import Broken
from tasks.rotation.model import Snapshot
from tasks.store.columns import as_millis
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, add_connection, order

OF_B = "WHERE rotation_id IN (SELECT id FROM rotations WHERE name = 'b')"
YEAR_9999 = as_millis(datetime(9999, 12, 20, tzinfo=UTC))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What this thread sends to any database meanwhile; another may store its tallies."""
    sent: list[str] = []
    asking = threading.get_ident()

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.get_ident() == asking:
            sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.fixture
def served(operations: Operations, rotator: Rotator, management_key: Secret, tmp_path: Path) -> Operations:
    """Two connections, and a rotation with two versions alive, two destinations, and deliveries to both."""
    add_connection(rotator, key=management_key)
    add_connection(rotator, "spare")
    places = tuple(Secret(f"dotenv:{tmp_path / name}") for name in ("b.env", "a.env"))
    operations.create_rotation(order("m", publish=places, initial=True))
    operations.advance_here("m")
    operations.rotate("m")
    operations.advance_here("m")
    return operations


def test_all_are_read_as_each_is_read_alone(served: Operations, rotator: Rotator) -> None:
    served.create_rotation(order("a"))
    served.create_rotation(order("z", connection="spare", initial=True))
    found = rotator.store.rotations.each()
    assert [s.rotation.name for s in found if isinstance(s, Snapshot)] == ["a", "m", "z"]
    alone = tuple(rotator.store.rotations.get(name) for name in ("a", "m", "z"))
    assert found == alone
    busy = alone[1]
    assert (len(busy.versions), len(busy.destinations), len(busy.deliveries)) == (2, 2, 4)


def test_fifty_take_as_many_statements_as_one(served: Operations) -> None:
    def asked() -> tuple[int, int]:
        with statements() as for_status:
            served.status()
        with statements() as for_list:
            served.list_rotations()
        return len(for_status), len(for_list)

    one = asked()
    for number in range(49):
        served.create_rotation(order(f"r{number}", connection="spare", initial=number % 2 == 0))
    assert len(served.status().rotations) == 50
    assert asked() == one
    assert max(one) < 18, "of which a third only begin a transaction, on SQLite"


@pytest.mark.parametrize(
    "spoilt",
    [
        f"UPDATE rotations SET last_rotated_at = {2**62} WHERE name = 'b'",
        f"UPDATE rotations SET last_rotated_at = {YEAR_9999} WHERE name = 'b'",
        "UPDATE rotations SET overlap = -1 WHERE name = 'b'",
        f"UPDATE key_versions SET state = 'zombie' {OF_B}",
        f"UPDATE key_versions SET planned_at = {2**62} {OF_B}",
        f"UPDATE key_versions SET asked = '{{}}' {OF_B}",
    ],
)
def test_one_that_cannot_be_hides_no_other_and_costs_no_statement(served: Operations, rows: Rows, spoilt: str) -> None:
    for name in "abc":
        served.create_rotation(order(name, initial=True))
    with statements() as before:
        served.status()
    rows.ask(spoilt)
    with statements() as after:
        status = served.status()
    assert [r.name for r in status.rotations] == ["a", "c", "m"]
    assert len(status.broken) == 1
    assert "rotation b " in status.broken[0]
    assert len(after) == len(before)
    listed = served.list_rotations()
    assert ([r.name for r in listed], listed.broken) == (["a", "c", "m"], status.broken)
    with pytest.raises(Broken, match="rotation b "):
        served.show_rotation("b")


def test_a_delivery_that_cannot_be_is_its_rotation_s_fault_alone(served: Operations, rows: Rows) -> None:
    served.create_rotation(order("a"))
    rows.ask(f"UPDATE deliveries SET delivered_at = {2**62}")
    status = served.status()
    assert [r.name for r in status.rotations] == ["a"]
    assert "rotation m " in status.broken[0]


def test_all_are_of_one_moment(served: Operations, rotator: Rotator, clock: Clock) -> None:
    """A rotation that is created while others are read is not half there."""
    served.create_rotation(order("a"))
    moments = {s.now for s in rotator.store.rotations.each() if isinstance(s, Snapshot)}
    assert moments == {clock.now}
