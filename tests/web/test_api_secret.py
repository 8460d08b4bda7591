"""The current key for the application that uses it: read, waited for, and told to nobody else."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values

from tasks.operations.requests import EventsRequest
from tasks.rotation.model import Removal
from tests.web.declared import checked
from tests.web.served import PATIENCE_S, Served, served
from worker.web import news

URL = "/api/rotator/v1/rotations/{}/secret"
AT_ONCE_S = 2.0


@pytest.fixture
def application(web: Served) -> httpx.Client:
    """What holds a token for the key of the rotation web, which has its first version."""
    web.connect()
    web.rotation()
    return checked(web, web.client("consumer", "web"))


def _read(client: httpx.Client, name: str = "web", *, tag: str = "", **params: object) -> httpx.Response:
    headers = {"If-None-Match": tag} if tag else {}
    return client.get(URL.format(name), params=params, headers=headers)  # type: ignore[arg-type]  # numbers and texts


def _reads(web: Served) -> list[str]:
    return [e.actor for e in web.operations.find_events(EventsRequest(name="key_read")).events]


def test_a_consumer_reads_the_key_and_leaves_an_event(web: Served, application: httpx.Client) -> None:
    told = _read(application)
    assert told.json() == {
        "rotation": "web",
        "version": 1,
        "secret_name": "OPENROUTER_API_KEY",
        "value": web.operations.reveal_key("web").reveal(),
        "active_since": told.json()["active_since"],
    }
    assert told.headers["Cache-Control"] == "no-store"
    assert [actor.startswith("token:consumer-") for actor in _reads(web)] == [True, False]


def test_the_key_is_had_as_text_and_as_a_line_of_a_dotenv_file(web: Served, application: httpx.Client) -> None:
    value = _read(application).json()["value"]
    assert _read(application, format="text").text == value
    line = web.folder / "line.env"
    line.write_text(_read(application, format="dotenv").text, encoding="utf-8")
    assert dotenv_values(line) == {"OPENROUTER_API_KEY": value}
    assert _read(application, format="xml").status_code == 422


def test_who_holds_the_key_is_told_so_without_a_reading(web: Served, application: httpx.Client) -> None:
    tag = _read(application).headers["ETag"]
    before = _reads(web)
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = _read(application, tag=held)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert _reads(web) == before
    assert _read(application, tag='"other"').status_code == 200


def test_who_waits_is_answered_as_soon_as_the_next_key_is_in_service(web: Served, application: httpx.Client) -> None:
    first = _read(application)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_read, application, tag=first.headers["ETag"], wait=30)
        time.sleep(0.3)
        assert not waiting.done()
        web.operations.rotate("web")
        web.until_version("web", 2)
        began_s = time.monotonic()
        told = waiting.result(PATIENCE_S).json()
    assert told["version"] == 2
    assert time.monotonic() - began_s < AT_ONCE_S
    assert told["value"] != first.json()["value"]


def test_who_waits_in_vain_is_told_that_nothing_changed(web: Served, application: httpx.Client) -> None:
    tag, reads = _read(application).headers["ETag"], len(_reads(web))
    began_s = time.monotonic()
    assert _read(application, tag=tag, wait=1).status_code == 304
    assert 1 <= time.monotonic() - began_s < 1 + AT_ONCE_S
    assert len(_reads(web)) == reads
    assert _read(application, tag=tag, wait=61).status_code == 422


def test_an_application_may_wait_for_the_first_key(web: Served) -> None:
    web.connect()
    web.work.rest()
    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(web.rotation)
        while not web.operations.list_rotations():
            pass
        application = web.client("consumer", "web")
        assert _read(application).status_code == 404
        waiting = pool.submit(_read, application, wait=30)
        time.sleep(0.1)
        web.work.go_on()
        assert waiting.result(PATIENCE_S).json()["version"] == 1
        made.result(PATIENCE_S)


def test_an_undone_rotation_is_news_too(web: Served, application: httpx.Client) -> None:
    first = _read(application)
    web.operations.rotate("web")
    web.until_version("web", 2)
    second = _read(application, tag=first.headers["ETag"], wait=5)
    web.operations.undo("web")
    third = _read(application, tag=second.headers["ETag"], wait=20)
    assert (third.json()["version"], third.json()["value"]) == (1, first.json()["value"])


def test_a_consumer_learns_nothing_of_other_rotations(web: Served, application: httpx.Client) -> None:
    web.rotation("other")
    answers = [_read(application, name) for name in ("other", "never-was")]
    told = [{k: v for k, v in a.json().items() if k != "reqId"} for a in answers]
    assert [a.status_code for a in answers] == [403, 403]
    assert told[0] == told[1]
    for role in ("viewer", "operator"):
        assert _read(web.client(role)).status_code == 403
    assert _read(web.client()).status_code == 403
    admin = web.client("admin")
    assert (_read(admin, "other").status_code, _read(admin, "never-was").status_code) == (200, 404)


def test_a_later_rotation_of_the_same_name_is_not_meant(web: Served, application: httpx.Client) -> None:
    web.operations.delete_rotation("web", Removal.REVOKE_KEYS)
    while web.operations.list_rotations():
        pass
    web.rotation("web")
    assert _read(application).status_code == 403


def test_a_token_that_ends_while_it_waits_gets_no_key(web: Served, application: httpx.Client) -> None:
    tag = _read(application).headers["ETag"]
    (token,) = (t for t in web.operations.list_tokens() if t.role == "consumer")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_read, application, tag=tag, wait=30)
        time.sleep(0.3)
        web.operations.revoke_token(token.name)
        web.operations.rotate("web")
        assert waiting.result(PATIENCE_S).status_code == 403


def test_too_many_waiters_are_sent_away(
    web: Served, application: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "MOST", 3)
    monkeypatch.setattr(news, "MOST_OF_ONE", 2)
    tag, others = _read(application).headers["ETag"], web.client("consumer", "web")
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(_read, application, tag=tag, wait=3) for _ in range(2)]
        time.sleep(0.3)
        refused = _read(application, tag=tag, wait=3)
        waiting.append(pool.submit(_read, others, tag=tag, wait=3))
        time.sleep(0.3)
        full = _read(others, tag=tag, wait=3)
        assert [w.result(PATIENCE_S).status_code for w in waiting] == [304, 304, 304]
    assert (refused.status_code, full.status_code) == (429, 503)
    assert refused.headers["Retry-After"]
    assert full.headers["Retry-After"]
    assert _read(others, tag=tag, wait=1).status_code == 304


def test_who_hangs_up_leaves_its_place(web: Served, application: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MOST", 1)
    tag = _read(application).headers["ETag"]
    with pytest.raises(httpx.ReadTimeout):
        application.get(URL.format("web"), params={"wait": 30}, headers={"If-None-Match": tag}, timeout=0.3)
    time.sleep(0.1)
    assert _read(application, tag=tag, wait=1).status_code == 304


def test_waiting_holds_no_thread_and_asks_twice_a_second(web: Served, application: httpx.Client) -> None:
    tag = _read(application).headers["ETag"]
    asked: list[set[str]] = []
    look = web.rotator.store.current_keys.of
    web.rotator.store.current_keys.of = lambda ids: asked.append(set(ids)) or look(ids)  # type: ignore[method-assign,func-returns-value,assignment]  # counts
    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(_read, application, tag=tag, wait=2) for _ in range(60)]
        time.sleep(0.5)
        began_s = time.monotonic()
        assert application.get("/healthz").status_code == 200
        assert time.monotonic() - began_s < AT_ONCE_S
        assert {w.result(PATIENCE_S).status_code for w in waiting} == {304}
    assert 1 <= len(asked) <= 8
    assert {len(ids) for ids in asked} == {1}


def test_a_server_that_ends_lets_everybody_go(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=PATIENCE_S) as application:
        with served(tmp_path) as web:
            web.connect()
            web.rotation()
            application.base_url = httpx.URL(web.url)
            application.headers["Authorization"] = f"Bearer {web.token('consumer', 'web')}"
            tag = _read(application).headers["ETag"]
            waiting = pool.submit(_read, application, tag=tag, wait=60)
            time.sleep(0.3)
            began_s = time.monotonic()
        assert waiting.result(PATIENCE_S).status_code == 304
        assert time.monotonic() - began_s < PATIENCE_S / 2
