"""A place that somebody names from elsewhere must mean the same wherever the server stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.secret import Secret
from tests.web.served import Served, served

RELATIVE = ("dotenv:app.env", "dotenv:../app.env", "dotenv:~/app.env", "dotenv:~root/app.env")
OURS = "/api/rotator/v1/rotations"
THEIRS = "/api/v2/secret-rotations/open-router-api-key"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Served]:
    """A server whose operator has opened nothing of the machine."""
    with served(tmp_path, WEB_FOLDERS="") as stage:
        yield stage


def refused_at_every_door(web: Served, place: str) -> list[str]:
    """What is answered wherever a destination comes in. Nothing is stored."""
    connection_id = web.connect()
    web.rotation()
    admin = web.client("admin")
    order = {"name": "new", "connection": "prod", "key_name": "new", "every": "30d", "publish": [place]}
    compatible = {
        "name": "new",
        "projectId": "shop",
        "connectionId": connection_id,
        "environment": "prod",
        "secretPath": "/",
        "rotationInterval": 30,
        "parameters": {"name": "new"},
        "secretsMapping": {"apiKey": "OPENROUTER_API_KEY"},
        "destinations": [place],
    }
    answers = [
        admin.post(OURS, json=order),
        admin.post(f"{OURS}/preview", json=order),
        admin.post(f"{OURS}/web/destinations", json={"publish": place}),
        admin.post(THEIRS, json=compatible),
    ]
    assert [a.status_code for a in answers] == [422] * 4, [a.text for a in answers]
    assert [v.name for v in web.operations.list_rotations()] == ["web"]
    assert len(web.operations.show_rotation("web").destinations) == 1
    return [a.text for a in answers]


@pytest.mark.parametrize("place", RELATIVE)
def test_a_relative_path_is_refused_wherever_it_comes_in(place: str, web: Served) -> None:
    assert all("not an absolute path" in text for text in refused_at_every_door(web, place))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("dotenv:{folder}/new.env", "ROTATOR_WEB_FOLDERS"),
        ("redis:redis://127.0.0.1:1?password_file=/proc/self/environ#k", "ROTATOR_WEB_FOLDERS"),
        ("vault:https://127.0.0.1:1/secret/app?token_env=HOME#K", "ROTATOR_WEB_VARIABLES"),
        ("kubernetes:prod/openrouter#K", "ROTATOR_WEB_IDENTITIES"),
        ("command:/bin/true", "No setting opens it"),
    ],
)
def test_what_is_the_machines_is_refused_wherever_it_comes_in(place: str, said: str, closed: Served) -> None:
    answers = refused_at_every_door(closed, place.format(folder=closed.folder))
    assert all(said in text for text in answers), answers
    assert not (closed.folder / "new.env").exists()


def test_another_name_is_no_way_to_another_place(closed: Served) -> None:
    """Neither for a file that has a variable of that name, nor for a program that is told it."""
    program = closed.folder / "publish"
    program.write_text("#!/bin/sh\n[ $1 != read-back ] || sha256sum <$0.key\n[ $1 != publish ] || cat >$0.key\n")
    program.chmod(0o700)
    closed.connect()
    closed.rotation("file")
    closed.rotation("program", publish=(Secret(f"command:{program}"),))
    admin = closed.client("admin")
    for name, status in (("file", 409), ("program", 422)):
        assert admin.patch(f"{OURS}/{name}", json={"secret_name": "PS4"}).status_code == status
        assert closed.operations.show_rotation(name).secret_name == "OPENROUTER_API_KEY"
    moved = {"publish": f"dotenv:{closed.folder}/file.env"}
    assert admin.post(f"{OURS}/file/destinations", json=moved).status_code == 422


def test_a_destination_is_added_changed_and_withdrawn(web: Served) -> None:
    web.connect()
    web.rotation()
    admin, spare = web.client("admin"), web.folder / "spare.env"
    places = f"{OURS}/web/destinations"
    added = admin.post(places, json={"publish": f"dotenv:{spare}", "optional": True, "on_drift": "report"})
    assert added.status_code == 201, added.text
    told = {d["label"]: d for d in added.json()["destinations"]}[f"dotenv:{spare}"]
    assert (added.status_code, told["optional"], told["on_drift"], told["leaving"]) == (201, True, "report", False)
    for changed, how in (({}, (True, "report")), ({"optional": False, "on_drift": "repair"}, (False, "repair"))):
        answer = admin.post(places, json={"publish": f"dotenv:{spare}", **changed}).json()
        assert [(d["optional"], d["on_drift"]) for d in answer["destinations"]] == [(False, "repair"), how]
    web.until_settled("web")
    assert "OPENROUTER_API_KEY" in spare.read_text()
    gone = admin.delete(places, params={"label": f"dotenv:{spare}", "withdraw": "true"})
    assert gone.status_code == 200
    web.until_settled("web")
    assert "OPENROUTER_API_KEY" not in spare.read_text()
    assert admin.post(places, json={"publish": f"dotenv:{spare}", "on_drift": "shout"}).status_code == 422
