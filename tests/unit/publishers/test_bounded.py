"""The adapter below the cloud vendors' clients: what it sends, what it takes, and for how long."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest
import requests

from tasks.publishers._places.cloud import bounded
from tasks.publishers._places.cloud.bounded import (
    Bounded,
    Lost,
    OutOfTime,
    Redirected,
    SentBefore,
    Stopped,
    TooLarge,
    Unreached,
    Untrusted,
    bounded_session,
    hushed,
)
from tasks.publishers._places.cloud.faults import STOPPED, waiting_time
from tests.contract.places._cloud import Answer, Asked, Cloud, running_cloud

HOST = "test.googleapis.com"
URL = f"https://{HOST}/v1/x"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


@pytest.fixture
def answering(cloud: Cloud) -> Iterator[Callable[[Answer], Cloud]]:
    said = [Answer()]

    def answer(asked: Asked) -> Answer:
        return said[0]

    def saying(answer: Answer) -> Cloud:
        said[0] = answer
        return cloud

    cloud.asked.clear()
    with cloud.entered(HOST, answer):
        yield saying


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with bounded_session(Bounded()) as session:
        yield session


Answering = Callable[[Answer], Cloud]


def test_an_answer_is_whole(answering: Answering, session: requests.Session) -> None:
    content = gzip.compress(b'{"a": "b"}')
    answering(Answer(body=content, headers={"Content-Encoding": "gzip"}))
    answer = session.get(URL)
    assert answer.json() == {"a": "b"}
    assert answer.raw.read() == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_where_an_answer_points_to(
    answering: Answering, session: requests.Session, status: int
) -> None:
    cloud = answering(Answer(status, headers={"Location": "https://evil.googleapis.com/"}))
    with pytest.raises(Redirected):
        session.post(URL, data=b"x")
    assert [asked.host for asked in cloud.asked] == [HOST]


def test_an_answer_that_is_too_large_is_not_read(answering: Answering, session: requests.Session) -> None:
    answering(Answer(body=b"x" * (bounded.LARGEST + 1)))
    with pytest.raises(TooLarge):
        session.get(URL)


def test_an_answer_that_unfolds_too_far_is_not_read(answering: Answering, session: requests.Session) -> None:
    answering(Answer(body=gzip.compress(bytes(4 * bounded.LARGEST)), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(TooLarge):
        session.get(URL)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(dropped=True),
        Answer(body=b"cut", headers={"Content-Length": "100"}),
        Answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_that_breaks_off_is_lost(
    answering: Answering, session: requests.Session, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "TIMEOUT_S", 0.2)
    answering(answer)
    with pytest.raises(Lost):
        session.get(URL)


@pytest.mark.parametrize("answer", [Answer(503), Answer(429), Answer(408), Answer(dropped=True)])
def test_what_failed_is_not_sent_again(answering: Answering, session: requests.Session, answer: Answer) -> None:
    cloud = answering(answer)
    with suppress(Lost):
        session.get(URL)
    for _ in range(2):
        with pytest.raises(SentBefore):
            session.get(URL)
    assert len(cloud.asked) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_what_was_answered_may_be_sent_again(answering: Answering, session: requests.Session, status: int) -> None:
    cloud = answering(Answer(status))
    assert [session.get(URL).status_code for _ in range(2)] == [status, status]
    assert len(cloud.asked) == 2


def test_an_outage_is_remembered_but_not_that_of_a_metadata_service(answering: Answering) -> None:
    answering(Answer(503))
    adapter = Bounded()
    with bounded_session(adapter) as session:
        session.get("http://metadata.google.internal/")
        assert not adapter.outage
        session.get(URL)
        assert adapter.outage


def test_a_call_has_a_budget(answering: Answering) -> None:
    cloud = answering(Answer())
    with bounded_session(Bounded(budget_s=0)) as session, pytest.raises(OutOfTime):
        session.get(URL)
    assert not cloud.asked


def test_a_budget_ends_an_answer_that_drips() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ended.wait(0.02):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        begun = monotonic()
        try:
            with bounded_session(Bounded(budget_s=0.2)) as session, pytest.raises(Lost):
                session.get(f"http://127.0.0.1:{server.getsockname()[1]}/")
        finally:
            ended.set()
            thread.join()
        assert monotonic() - begun < 2


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with bounded_session(Bounded()) as session, pytest.raises(Lost):
            session.get(url, timeout=60)


def test_what_a_client_asks_for_may_be_shorter() -> None:
    assert bounded._at_most(None, 5) == (5, 5)
    assert bounded._at_most(60, 5) == (5, 5)
    assert bounded._at_most((1, 300), 5) == (1, 5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://nowhere.invalid/"])
def test_a_server_that_is_not_there_was_not_reached(url: str, session: requests.Session) -> None:
    with pytest.raises(Unreached):
        session.get(url)


def test_a_proxy_that_is_not_there_was_not_reached(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with pytest.raises(Unreached):
        session.get(URL)


def test_a_proxy_that_does_not_get_through_reached_nobody(
    answering: Answering, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = answering(Answer())
    monkeypatch.setattr(cloud, "tunnels", False)
    with pytest.raises(Unreached):
        session.post(URL)
    assert not cloud.asked


def test_a_stranger_with_the_right_name_is_not_trusted(
    answering: Answering, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = answering(Answer())
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(Untrusted):
        session.get(URL)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(Untrusted):
        session.post(URL)
    assert not cloud.asked


def test_a_stranger_with_another_name_is_not_trusted(answering: Answering, session: requests.Session) -> None:
    answering(Answer())
    with pytest.raises(Untrusted):
        session.get("https://elsewhere.example/")


def test_no_password_is_fetched_from_netrc(
    answering: Answering, session: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = answering(Answer())
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login someone password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    session.get(URL, headers={"Authorization": "Bearer token"})
    assert cloud.asked[0].headers["authorization"] == "Bearer token"


def test_nothing_hangs_on_what_is_raised(answering: Answering, session: requests.Session) -> None:
    """The foreign error would hold the request: its credential, and the value."""
    answering(Answer(dropped=True))
    with pytest.raises(Lost) as lost:
        session.post(URL, data=b"value")
    assert (lost.value.__cause__, lost.value.__context__, lost.value.args) == (None, None, ())


def test_every_ending_has_its_words() -> None:
    assert set(Stopped.__subclasses__()) == set(STOPPED)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), (" 7 ", 7), ("99999", 3600), ("9" * 5000, None), ("soon", None), (None, None)]
)
def test_a_sensible_wait_is_heeded(header: str | None, seconds: int | None) -> None:
    waiting = waiting_time(header)
    assert (waiting and waiting.total_seconds()) == seconds


def test_a_hushed_logger_still_warns(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a.library.of.a.test")
    logger.setLevel(logging.DEBUG)
    hushed(logger.name)
    logger.info("value")
    logger.warning("trouble")
    assert caplog.messages == ["trouble"]
