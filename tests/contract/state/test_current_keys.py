"""Which key is in service, by one small query for many rotations; and its text, read in one transaction."""

from __future__ import annotations

import pytest

from config.secret import Secret
from tasks.operations import Operations
from tasks.operations.requests import EventsRequest
from tasks.rotation.errors import NotFound
from tasks.rotation.model import Removal
from tasks.wiring import Rotator
from tests.contract.state.scene import START, order


@pytest.fixture
def live(operations: Operations, management_key: Secret) -> Operations:
    """A rotation whose first version is active, and one that has none."""
    operations.create_connection("prod", management_key)
    operations.create_rotation(order("web", initial=True, secret_name="WEB_KEY"))
    operations.create_rotation(order("batch"))
    operations.advance_here("web")
    return operations


def test_a_rotation_is_found_by_name_with_what_it_has_in_service(live: Operations) -> None:
    web, batch = live.standing("web"), live.standing("batch")
    assert web is not None
    assert batch is not None
    assert (web.rotation, web.secret_name, web.version, web.active_since) == ("web", "WEB_KEY", 1, START)
    assert (batch.version, batch.active_since) == (None, None)
    assert live.standing("never") is None


def test_many_are_asked_for_at_once_and_those_that_are_gone_are_left_out(live: Operations, rotator: Rotator) -> None:
    ids = {name: live.show_rotation(name).id for name in ("web", "batch")}
    found = rotator.store.current_keys.of([*ids.values(), "never"])
    assert {id_: s.version for id_, s in found.items()} == {ids["web"]: 1, ids["batch"]: None}
    live.delete_rotation("web", Removal.KEEP_KEYS)
    live.advance_here("web")
    assert set(rotator.store.current_keys.of(ids.values())) == {ids["batch"]}
    assert live.standing("web") is None
    with pytest.raises(NotFound):
        live.read_key(ids["web"])


def test_a_reading_gives_the_key_with_its_version_and_leaves_an_event(live: Operations) -> None:
    web = live.show_rotation("web")
    standing, key = live.read_key(web.id)
    assert (standing, key) == (live.standing("web"), live.reveal_key("web"))
    (last, _) = live.find_events(EventsRequest(name="key_read", newest_first=True)).events
    assert (last.rotation, last.version, last.actor) == ("web", 1, "test")


def test_there_is_nothing_to_read_before_the_first_version(live: Operations) -> None:
    before = live.events(limit=1000)
    with pytest.raises(NotFound, match="no active key yet"):
        live.read_key(live.show_rotation("batch").id)
    assert live.events(limit=1000) == before


def test_versions_come_in_pages_the_newest_first(live: Operations) -> None:
    for _ in range(2):
        live.rotate("web")
        live.advance_here("web")
    page = live.version_page("web", limit=2)
    assert ([v.number for v in page.versions], page.cursor, page.more) == ([3, 2], 2, True)
    page = live.version_page("web", before=page.cursor, limit=2)
    assert ([v.number for v in page.versions], page.cursor, page.more) == ([1], 1, False)
