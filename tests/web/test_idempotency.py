"""Is it the same request again? Two of them make one rotation, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from config.master_key import generate_master_key
from tasks.rotation.errors import Unavailable
from tests.web.served import Served, served

V1 = "/api/rotator/v1"
ROTATE = f"{V1}/rotations/web/rotate"


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A server with one rotation, on each database."""
    settings = {}
    if request.param == "postgresql":
        settings = {
            "DATABASE_URL": request.getfixturevalue("postgres_url"),
            "MASTER_KEY": generate_master_key().reveal(),
        }
    with served(tmp_path, **settings) as made:
        made.connect()
        made.rotation()
        yield made


def _rows(stage: Served, statement: str) -> list[Any]:
    engine = sa.create_engine(stage.settings.database().reveal())
    with engine.begin() as connection:
        answer = connection.execute(sa.text(statement))
        found = list(answer) if answer.returns_rows else []
    engine.dispose()
    return found


def _versions(stage: Served) -> int:
    return len(stage.operations.history("web").versions)


def _asking(client: httpx.Client, path: str, body: object = None) -> Callable[[], httpx.Response]:
    """The same request, each time it is called."""
    return lambda: client.post(path, json=body, headers={"Idempotency-Key": "one"})


def test_two_at_the_same_instant_make_one_rotation(stage: Served) -> None:
    operator = stage.client("operator")
    barrier = threading.Barrier(6)

    def ask(_: int) -> httpx.Response:
        barrier.wait(10)
        return operator.post(ROTATE, headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    served_well = [a for a in answers if a.is_success]
    assert served_well
    assert {a.content for a in served_well} == {served_well[0].content}
    assert sum("Idempotency-Replayed" not in a.headers for a in served_well) == 1
    for answer in answers:
        assert answer.is_success or (answer.status_code, answer.headers["Retry-After"]) == (409, "2")
    stage.until_version("web", 2)
    again = operator.post(ROTATE, headers={"Idempotency-Key": "one"})
    assert (again.content, again.headers["Idempotency-Replayed"]) == (served_well[0].content, "true")
    assert again.status_code == served_well[0].status_code
    assert _versions(stage) == 2


@pytest.mark.parametrize("action", ["rotate", "emergency"])
def test_a_server_that_dies_before_the_answer_is_kept_has_still_rotated_once(
    stage: Served, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Unavailable("The process died.")

    body = {"confirm": "web"} if action == "emergency" else None
    ask = _asking(stage.client("operator"), f"{V1}/rotations/web/{action}", body)
    with monkeypatch.context() as patched:
        patched.setattr(stage.rotator.store.answers, "finish", die)
        first = ask()
    assert first.is_success
    stage.until_version("web", 2)
    assert ask().status_code == 409
    _rows(stage, "UPDATE answers SET at = at - 60000")
    second = ask()
    assert second.is_success
    assert "Idempotency-Replayed" not in second.headers
    assert second.json()["version"] == first.json()["version"] == 2
    assert _versions(stage) == 2


def test_an_undo_that_is_repeated_undoes_nothing_else(stage: Served) -> None:
    operator = stage.client("operator")
    operator.post(ROTATE)
    stage.until_version("web", 2)
    undo = _asking(operator, f"{V1}/rotations/web/undo")
    assert undo().json()["version"] == 1
    stage.until_version("web", 1)
    _rows(stage, "DELETE FROM answers")
    assert undo().json()["version"] == 1
    stage.until_version("web", 1)


def test_the_key_with_another_request_is_refused_and_another_token_has_its_own(stage: Served) -> None:
    operator, key = stage.client("operator"), {"Idempotency-Key": "one"}
    assert operator.post(ROTATE, headers=key).is_success
    for other in (
        operator.post(f"{V1}/rotations/web/pause", headers=key),
        operator.post(f"{ROTATE}?x=1", headers=key),
        operator.post(ROTATE, headers=key, json={}),
    ):
        assert (other.status_code, other.json()["error"]) == (422, "ValidationFailure")
        assert "Idempotency-Key" in other.text
    assert stage.client("operator").post(f"{V1}/rotations/web/pause", headers=key).is_success


def test_what_failed_may_be_tried_again_with_the_same_key(web: Served) -> None:
    operator, key = web.client("operator"), {"Idempotency-Key": "one"}
    assert operator.post(ROTATE, headers=key).status_code == 404
    web.connect()
    web.rotation()
    assert operator.post(ROTATE, headers=key).is_success
    assert web.client("viewer").post(ROTATE, headers=key).status_code == 403, "who may not ask has no claim either"


@pytest.mark.parametrize("key", ["", "a" * 256, "é", "a\tb"])
def test_a_key_that_is_none_is_refused(web: Served, key: str) -> None:
    answer = web.client("operator").post(ROTATE, headers=[(b"Idempotency-Key", key.encode())])
    assert answer.status_code == 422
    assert answer.json()["message"][0]["path"] == ["Idempotency-Key"]


def test_two_keys_are_none(web: Served) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert web.client("operator").post(ROTATE, headers=headers).status_code == 422


def test_neither_the_request_nor_its_key_is_stored(web: Served) -> None:
    body = {"name": "prod", "apiKey": web.management_key.reveal()}
    web.client("admin").post(f"{V1}/connections", json=body, headers={"Idempotency-Key": f"key-{web.canary}"})
    files = [path for path in (web.folder / "data").rglob("*") if path.is_file()]
    assert files
    assert not any(web.canary.encode() in path.read_bytes() for path in files)


def test_a_read_only_database_cannot_be_made_to_promise(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a claim nothing is done, so that nothing is done twice."""
    web.connect()
    web.rotation()

    def fail(*_: object) -> None:
        raise Unavailable("The database failed.")

    monkeypatch.setattr(web.rotator.store.answers, "claim", fail)
    answer = web.client("operator").post(ROTATE, headers={"Idempotency-Key": "one"})
    assert answer.status_code == 503
    assert _versions(web) == 1
