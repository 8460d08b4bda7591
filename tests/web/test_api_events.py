"""The audit log over HTTP: in pages, narrowed, and refused where it is asked for wrongly."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.declared import checked
from tests.web.served import Served

V1 = "/api/rotator/v1"


@pytest.fixture
def viewer(web: Served) -> httpx.Client:
    """Who reads the log of an installation with one active rotation, in which nothing happens any more."""
    web.connect()
    web.rotation()
    web.work.rest()
    return checked(web, web.client("viewer"))


def _events(client: httpx.Client, path: str = "/events", **asked: object) -> dict[str, Any]:
    answer = client.get(f"{V1}{path}", params=asked)  # type: ignore[arg-type]  # numbers and texts
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_the_newest_come_first_unless_one_goes_on_from_somewhere(viewer: httpx.Client) -> None:
    newest = _events(viewer)
    ids = [e["id"] for e in newest["events"]]
    assert ids == sorted(ids, reverse=True)
    assert (newest["more"], len(ids) > 8) == (False, True)
    followed, after, more = list[int](), 0, True
    while more:
        page = _events(viewer, after=after, limit=3)
        followed += [e["id"] for e in page["events"]]
        after, more = page["cursor"], page["more"]
    assert followed == ids[::-1]
    assert _events(viewer, after=after) == {"events": [], "cursor": after, "more": False}
    assert [e["id"] for e in _events(viewer, before=ids[2], limit=2)["events"]] == ids[3:5]
    assert [e["id"] for e in _events(viewer, order="oldest", limit=2)["events"]] == ids[::-1][:2]


def test_the_log_is_narrowed_by_each_filter(web: Served, viewer: httpx.Client) -> None:
    def names(path: str = "/events", **asked: object) -> set[str]:
        return {e["name"] for e in _events(viewer, path, **asked)["events"]}

    everything = _events(viewer, order="oldest")["events"]
    (created,) = (e for e in everything if e["name"] == "rotation_created")
    assert created["rotation"] == "web"
    assert names(name="rotation_created") == {"rotation_created"}
    assert "rotation_created" in names(actor="test")
    assert names(rotation="web") == names("/rotations/web/events")
    assert "connection_created" not in names(rotation="web")
    assert names(connection="prod") == {"connection_created"}
    assert "rotation_created" in names(since=created["at"])
    assert "rotation_created" not in names(until="2020-01-01T00:00:00+02:00")


WRONG = {
    "after": ("after", "-1"),
    "beyond": ("after", "9223372036854775808"),
    "no position": ("before", "x"),
    "none": ("limit", "0"),
    "too many": ("limit", "201"),
    "order": ("order", "any"),
    "no time": ("since", "yesterday"),
    "a number": ("since", "0.5"),
    "a large number": ("until", "1e-3"),
    "local time": ("until", "2026-11-21T03:00:00"),
    "name": ("name", "No Event"),
    "rotation": ("rotation", "No Slug"),
    "unknown": ("colour", "canary"),
}


def test_what_is_asked_wrongly_is_named(viewer: httpx.Client) -> None:
    for field, value in WRONG.values():
        answer = viewer.get(f"{V1}/events", params={field: value})
        assert (answer.status_code, answer.json()["message"][0]["path"][-1:]) == (422, [field]), answer.text
        assert "canary" not in answer.text
    backwards = viewer.get(f"{V1}/events", params={"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"})
    assert (backwards.status_code, backwards.json()["message"][0]["path"]) == (422, ["until"])
    for field in ("name", "actor", "rotation"):
        assert viewer.get(f"{V1}/events", params={field: "a\x00b"}).status_code == 422
    for asked in ({"rotation": "never"}, {"connection": "never"}):
        assert viewer.get(f"{V1}/events", params=asked).status_code == 404
