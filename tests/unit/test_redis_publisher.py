"""The redis publisher: its URL, its error table, and what it says when the line goes dead."""

from __future__ import annotations

import inspect
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis, exceptions
from redis.crc import key_slot

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.publishers._redis_faults import FAULTS, asked, translated
from tasks.publishers.redis import RedisOptions
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret("new-key")
)


def opened(target: str) -> StoredPublisher:
    return open_publisher("redis", Secret(target))


# --- the URL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("redis://cache#k", "redis:redis://cache:6379/0#k"),
        ("redis://cache:7000/3#k", "redis:redis://cache:7000/3#k"),
        ("rediss://u:hush@cache/0?ca_file=/etc/ca.pem#k", "redis:rediss://cache:6379/0#k"),
        ("redis://:hush@[::1]:7000#app:key", "redis:redis://[::1]:7000/0#app:key"),
        ("unix:///run/redis.sock?db=2#k", "redis:unix:///run/redis.sock?db=2#k"),
        ("unix://u:hush@/run/redis.sock#k", "redis:unix:///run/redis.sock?db=0#k"),
        ("redis://cache#{app}:k}", "redis:redis://cache:6379/0#{app}:k}"),
        ("redis://cache#a%23b%20c", "redis:redis://cache:6379/0#a#b c"),
    ],
)
def test_the_label_says_where_without_credentials(target: str, label: str) -> None:
    assert opened(target).label == label
    assert split_publish(f"redis:{target}") == ("redis", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "//u:hush@cache/0#k",
        "cache",
        "redis://u:hush@cache/0",
        "redis://u:hush@cache/0#",
        "redis://#k",
        "unix://#k",
        "http://u:hush@cache/0#k",
        "redis://u:hush@cache:hush/0#k",
        "redis://u:hush@cache:0/0#k",
        "redis://u:hush@cache:99999/0#k",
        "redis://u:hush@cache/hush#k",
        "redis://u:hush@cache/-1#k",
        "redis://[hush#k",
        "redis://u:12#hush@cache/0#k",
        "redis://u:12#hush@cache",
        "redis://u:12?hush@cache/0#k",
        "redis://u:12?hush=@cache/0#k",
        "redis://cache/0?password=hush#k",
        "redis://u:hush@cache/0?password_file=/p#k",
        "redis://cache/0?password_file=hush#k",
        "redis://u:hush@cache/0#a}b",
        "redis://u:hush@cache/0#a\nb",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


@settings(deadline=None)
@given(st.text(st.sampled_from("ab:{}") | st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_the_stamp_lives_in_the_slot_of_the_key(key: str) -> None:
    try:
        options = RedisOptions(scheme="redis", host="h", port=1, socket="", key=key, username=None, password=None)
    except ValueError:
        assert "}" in key
        return
    assert key_slot(options.stamp_key.encode()) == key_slot(key.encode())
    assert options.stamp_key != key


def test_the_password_is_read_from_its_file_for_each_call(redis_url: str, tmp_path: Path) -> None:
    user, first, second = f"test-{token_hex(4)}", token_hex(8), token_hex(8)
    file = tmp_path / "password"
    place = redis_url.partition("://")[2].rpartition("@")[2]
    publisher = opened(f"redis://{user}@{place}?password_file={file}#test:{token_hex(8)}")
    with Redis.from_url(redis_url) as owner:
        owner.acl_setuser(user, enabled=True, passwords=[f"+{first}"], commands=["+get", "+select"], keys=["*"])
        try:
            with pytest.raises(OperatorNeeded, match="password file"):
                publisher.read_back("NAME", PUBLICATION.value)
            file.write_text(f"{second}\n")
            with pytest.raises(CredentialRejected) as refused:
                publisher.read_back("NAME", PUBLICATION.value)
            assert second not in str(refused.value)
            file.write_text(f"{first}\n")
            assert publisher.read_back("NAME", PUBLICATION.value) is Holding.NOTHING
            file.write_bytes(b"\xff")
            with pytest.raises(OperatorNeeded, match="UTF-8"):
                publisher.read_back("NAME", PUBLICATION.value)
        finally:
            owner.acl_deluser(user)


# --- what stands in the server -----------------------------------------------------------------------------------


@pytest.fixture
def key(redis_url: str) -> Iterator[str]:
    name = f"test:{token_hex(8)}"
    yield name
    with Redis.from_url(redis_url) as owner:
        owner.delete(name, f"{{{name}}}:rotation")


def test_the_version_is_announced_once_and_the_value_never(redis_url: str, key: str) -> None:
    publisher = opened(f"{redis_url}#{key}")
    with Redis.from_url(redis_url) as owner, owner.pubsub() as listener:
        listener.subscribe(f"{key}:rotated")
        listener.get_message(timeout=5)
        publisher.publish(PUBLICATION)
        publisher.publish(PUBLICATION)
        publisher.publish(replace(PUBLICATION, sequence=8))
        publisher.publish(replace(PUBLICATION, sequence=9, version=3, value=Secret("newer")))
        publisher.check("NAME")
        owner.publish(f"{key}:rotated", "end")
        heard = iter(lambda: listener.get_message(timeout=5)["data"], b"end")
        assert [json.loads(message) for message in heard] == [
            {"rotation": "billing", "version": 2},
            {"rotation": "billing", "version": 3},
        ]


def test_the_stamp_says_what_the_key_holds(redis_url: str, key: str) -> None:
    opened(f"{redis_url}#{key}").publish(PUBLICATION)
    with Redis.from_url(redis_url) as owner:
        stamp = owner.get(f"{{{key}}}:rotation")
    assert json.loads(stamp) == {"rotation": "billing", "version": 2, "sequence": 7, "id": "r1"}


def test_an_expiry_is_dropped_because_a_key_that_vanishes_is_a_gap(redis_url: str, key: str) -> None:
    with Redis.from_url(redis_url) as owner:
        owner.set(key, "old", ex=60)
        opened(f"{redis_url}#{key}").publish(PUBLICATION)
        assert owner.ttl(key) == -1


@pytest.mark.parametrize("intruder", ["not json", "7", '"text"'])
def test_a_stamp_that_is_not_ours_is_left_alone(redis_url: str, key: str, intruder: str) -> None:
    with Redis.from_url(redis_url) as owner:
        owner.set(f"{{{key}}}:rotation", intruder)
        with pytest.raises(Conflict, match="is not ours"):
            opened(f"{redis_url}#{key}").publish(PUBLICATION)
        assert owner.get(f"{{{key}}}:rotation") == intruder.encode()
        assert owner.get(key) is None


@pytest.mark.parametrize("lacking", ["+publish", "+set", "+get", "+evalsha", "channel", "stamp"])
def test_a_lacking_right_is_found_by_check_and_costs_nothing_when_publishing(
    redis_url: str, key: str, lacking: str
) -> None:
    user, password = f"test-{token_hex(4)}", token_hex(8)
    place = redis_url.partition("://")[2].rpartition("@")[2]
    publisher = opened(f"redis://{user}:{password}@{place}#{key}")
    rights = {"+ping", "+select", "+get", "+set", "+publish", "+evalsha", "+script|load", "+acl|whoami", "+acl|dryrun"}
    with Redis.from_url(redis_url) as owner:
        owner.set(key, "old")
        owner.acl_setuser(
            user,
            enabled=True,
            passwords=[f"+{password}"],
            commands=sorted(rights - {lacking}),
            keys=[key] if lacking == "stamp" else [key, f"{{{key}}}:rotation"],
            channels=[] if lacking == "channel" else [f"{key}:rotated"],
            reset=True,
        )
        try:
            with pytest.raises(OperatorNeeded) as refused:
                publisher.check("NAME")
            assert "Allow" in refused.value.remedy
            with pytest.raises(OperatorNeeded):
                publisher.publish(PUBLICATION)
            assert owner.get(key) == b"old"
        finally:
            owner.acl_deluser(user)


def test_a_key_of_another_type_is_left_alone(redis_url: str, key: str) -> None:
    publisher = opened(f"{redis_url}#{key}")
    with Redis.from_url(redis_url) as owner:
        owner.hset(key, "a", "b")
        with pytest.raises(Refused, match="not a string"):
            publisher.check("NAME")
        with pytest.raises(Refused, match="not a string"):
            publisher.publish(PUBLICATION)
        assert owner.hgetall(key) == {b"a": b"b"}


# --- when it fails -----------------------------------------------------------------------------------------------


def test_every_exception_of_the_library_has_its_family() -> None:
    raised_by_library = {
        kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)
    }
    assert raised_by_library == set(FAULTS)


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (exceptions.AuthenticationError("invalid password"), CredentialRejected),
        (exceptions.NoPermissionError("no"), OperatorNeeded),
        (exceptions.ReadOnlyError("replica"), OperatorNeeded),
        (exceptions.OutOfMemoryError("full"), OperatorNeeded),
        (exceptions.BusyLoadingError("loading"), Unavailable),
        (exceptions.MaxConnectionsError("too many"), Unavailable),
        (exceptions.MovedError("7 10.0.0.1:6379"), OperatorNeeded),
        (exceptions.ClusterDownError("down"), TryAgain),
        (exceptions.TimeoutError("no answer"), OutcomeUnknown),
        (exceptions.ConnectionError("closed"), OutcomeUnknown),
    ],
)
def test_what_an_error_behind_a_sent_value_means(error: Exception, family: type[Exception]) -> None:
    assert type(translated(error, "redis:here", changes=True)) is family


@pytest.mark.parametrize("kind", sorted(FAULTS, key=str))
def test_no_foreign_error_is_repeated_or_chained(kind: type[Exception]) -> None:
    """A server that lacks a command answers with its arguments, the key among them."""
    error = kind.__new__(kind)
    error.args = ("ERR unknown command 'EVALSHA', with args beginning with: 'canary'",)

    def fail() -> None:
        raise error

    with pytest.raises(FAULTS[kind].family) as caught:
        asked(fail, "redis:here")
    assert str(caught.value).startswith("redis:here: ")
    assert caught.value.__context__ is None
    if kind is not exceptions.ConnectionError:  # made by the client, of host, port and the system's reason
        assert "canary" not in str(caught.value)


def test_a_server_that_is_not_there_can_be_tried_again() -> None:
    publisher = opened("redis://127.0.0.1:1/0#k")
    with pytest.raises(Unavailable, match="refused"):
        publisher.publish(PUBLICATION)
    with pytest.raises(Unavailable):
        publisher.check("NAME")


class DyingServer(socketserver.StreamRequestHandler):
    """Answers each command, until the one that kills the connection before its answer."""

    deadly: ClassVar[bytes]

    def handle(self) -> None:
        while header := self.rfile.readline():
            words = []
            for _ in range(int(header[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            if words[0].upper() == self.deadly:
                return
            self.wfile.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")


@contextmanager
def dying_server(deadly_command: bytes) -> Iterator[str]:
    handler = type("Handler", (DyingServer,), {"deadly": deadly_command})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0#k"
        finally:
            server.shutdown()
            thread.join()


def test_a_connection_lost_before_the_value_was_sent_changed_nothing() -> None:
    with dying_server(b"PING") as url, pytest.raises(TryAgain):
        opened(url).publish(PUBLICATION)


def test_an_answer_lost_after_the_value_was_sent_leaves_the_outcome_unknown() -> None:
    with dying_server(b"EVALSHA") as url:
        with pytest.raises(OutcomeUnknown, match="safe") as unknown:
            opened(url).publish(PUBLICATION)
        assert "new-key" not in str(unknown.value)
        with pytest.raises(Unavailable):  # asks only, so nothing can have happened
            opened(url).check("NAME")
