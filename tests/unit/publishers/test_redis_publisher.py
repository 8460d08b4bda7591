"""The redis publisher: its URL, its error table, and what it says when the line goes dead."""

from __future__ import annotations

import hashlib
import inspect
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from tasks.publishers._places.redis.faults import FAULTS, asked, translated
from tasks.publishers._places.redis.target import RedisOptions
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


NEEDED = ["+ping", "+select", "+get", "+getrange", "+set", "+publish", "+evalsha", "+script|load"]


def opened(target: str) -> StoredPublisher:
    return open_publisher("redis", Secret(target))


# --- the URL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("rediss://cache#k", "redis:rediss://cache:6379/0#k"),
        ("redis://cache?plaintext=yes#k", "redis:redis://cache:6379/0#k"),
        ("redis://localhost#k", "redis:redis://localhost:6379/0#k"),
        ("rediss://cache:7000/3#k", "redis:rediss://cache:7000/3#k"),
        ("rediss://u:hush@cache/0?ca_file=/etc/ca.pem#k", "redis:rediss://cache:6379/0#k"),
        ("redis://:hush@[::1]:7000#app:key", "redis:redis://[::1]:7000/0#app:key"),
        ("unix:///run/redis.sock?db=2#k", "redis:unix:///run/redis.sock?db=2#k"),
        ("unix://u:hush@/run/redis.sock#k", "redis:unix:///run/redis.sock?db=0#k"),
        ("rediss://cache#{app}:k}", "redis:rediss://cache:6379/0#{app}:k}"),
        ("rediss://cache#a%23b%20c", "redis:rediss://cache:6379/0#a#b c"),
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
        "redis://u:hush@cache/0#k",
        "redis://u:hush@10.0.0.1/0?plaintext=no#k",
        "rediss://u:hush@a..b/0#k",
        f"rediss://u:hush@{'h' * 64}/0#k",
        "rediss://u:hush@cache/0#a%0Ab",
        "unix:///run/%1B[31mhush?db=0#k",
        "rediss://u:hush@cache/0",
        "rediss://u:hush@cache/0#",
        "redis://#k",
        "unix://#k",
        "http://u:hush@cache/0#k",
        "rediss://u:hush@cache:hush/0#k",
        "rediss://u:hush@cache:0/0#k",
        "rediss://u:hush@cache:99999/0#k",
        "rediss://u:hush@cache/hush#k",
        "rediss://u:hush@cache/-1#k",
        "redis://[hush#k",
        "rediss://u:12#hush@cache/0#k",
        "rediss://u:12#hush@cache",
        "rediss://u:12?hush@cache/0#k",
        "rediss://u:12?hush=@cache/0#k",
        "rediss://cache/0?password=hush#k",
        "rediss://u:hush@cache/0?password_file=/p#k",
        "rediss://cache/0?password_file=hush#k",
        "rediss://u:hush@cache/0?password_env=HUSH#k",
        "rediss://cache/0?password_file=/hush&password_env=HUSH#k",
        "rediss://cache/0?password_env=ROTATOR_HUSH#k",
        "rediss://cache/0?ca_file=hush#k",
        "rediss://u:hush@cache/3?cluster=true#k",
        "rediss://u:hush@cache/?cluster=hush#k",
        "unix://u:hush@/run/redis.sock?cluster=true#k",
        "rediss://u:hush@cache/0#a}b",
        "rediss://u:hush@cache/0#a\nb",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__context__ is None


@settings(deadline=None)
@given(st.text(st.sampled_from("ab:{}") | st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_the_stamp_lives_in_the_slot_of_the_key(key: str) -> None:
    try:
        options = RedisOptions(scheme="rediss", host="h", port=1, socket="", key=key, username=None, password=None)
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
        owner.acl_setuser(user, enabled=True, passwords=[f"+{first}"], commands=["+getrange", "+select"], keys=["*"])
        try:
            with pytest.raises(OperatorNeeded, match="cannot be read"):
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


def test_the_password_may_be_a_variable(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user, password = f"test-{token_hex(4)}", token_hex(8)
    place = redis_url.partition("://")[2].rpartition("@")[2]
    publisher = opened(f"redis://{user}@{place}?password_env=REDIS_PASSWORD_OF_TEST#test:{token_hex(8)}")
    with Redis.from_url(redis_url) as owner:
        owner.acl_setuser(user, enabled=True, passwords=[f"+{password}"], commands=["+getrange", "+select"], keys=["*"])
        try:
            with pytest.raises(OperatorNeeded, match="REDIS_PASSWORD_OF_TEST"):
                publisher.read_back("NAME", PUBLICATION.value)
            monkeypatch.setenv("REDIS_PASSWORD_OF_TEST", password)
            assert publisher.read_back("NAME", PUBLICATION.value) is Holding.NOTHING
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
    digest = hashlib.sha1(b"new-key").hexdigest()
    assert json.loads(stamp) == {"rotation": "billing", "version": 2, "sequence": 7, "id": "r1", "sha1": digest}


def test_an_expiry_is_dropped_because_a_key_that_vanishes_is_a_gap(redis_url: str, key: str) -> None:
    with Redis.from_url(redis_url) as owner:
        owner.set(key, "old", ex=60)
        for _ in range(2):
            opened(f"{redis_url}#{key}").publish(PUBLICATION)
            assert owner.ttl(key) == owner.ttl(f"{{{key}}}:rotation") == -1
            owner.expire(key, 60)
            owner.expire(f"{{{key}}}:rotation", 60)


@pytest.mark.parametrize("intruder", ["not json", "7", '"text"', '{"id": "r2", "sequence": 1}'])
def test_a_stamp_that_is_not_ours_is_left_alone(redis_url: str, key: str, intruder: str) -> None:
    with Redis.from_url(redis_url) as owner:
        owner.set(f"{{{key}}}:rotation", intruder)
        with pytest.raises(Conflict, match="is not ours"):
            opened(f"{redis_url}#{key}").publish(PUBLICATION)
        assert owner.get(f"{{{key}}}:rotation") == intruder.encode()
        assert owner.get(key) is None


@pytest.mark.parametrize("lacking", ["+publish", "+set", "+get", "+getrange", "+evalsha", "channel", "stamp"])
def test_a_lacking_right_is_found_by_check_and_costs_nothing_when_publishing(
    redis_url: str, key: str, lacking: str
) -> None:
    user, password = f"test-{token_hex(4)}", token_hex(8)
    place = redis_url.partition("://")[2].rpartition("@")[2]
    publisher = opened(f"redis://{user}:{password}@{place}#{key}")
    rights = {"+acl|whoami", "+acl|dryrun", *NEEDED}
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
            if lacking != "+getrange":  # it is for reading back
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


# --- taking it away ----------------------------------------------------------------------------------------------


def test_a_withdrawal_takes_key_and_stamp_and_tells_nobody(redis_url: str, key: str) -> None:
    publisher = opened(f"{redis_url}#{key}")
    publisher.publish(PUBLICATION)
    with Redis.from_url(redis_url) as owner, owner.pubsub() as listener:
        listener.subscribe(f"{key}:rotated")
        listener.get_message(timeout=5)
        publisher.withdraw(replace(PUBLICATION, sequence=8, version=3, value=Secret("newer")))
        assert owner.exists(key, f"{{{key}}}:rotation") == 0
        owner.publish(f"{key}:rotated", "end")
        assert listener.get_message(timeout=5)["data"] == b"end"


@pytest.mark.parametrize("note", [{}, {"sha1": "0" * 40}, {"sha1": 7}])
@pytest.mark.parametrize("value", ["theirs", "new-key"])
def test_a_withdrawal_leaves_a_value_that_somebody_else_set(
    redis_url: str, key: str, value: str, note: dict[str, object]
) -> None:
    """By the fingerprint in the stamp; where that does not tell, only the publication's own value is ours."""
    with Redis.from_url(redis_url, decode_responses=True) as owner:
        owner.set(key, value)
        owner.set(f"{{{key}}}:rotation", json.dumps({"id": "r1", "sequence": 7, "version": 2, **note}))
        opened(f"{redis_url}#{key}").withdraw(PUBLICATION)
        assert owner.get(key) == ("theirs" if value == "theirs" else None)
        assert owner.get(f"{{{key}}}:rotation") is None


@pytest.mark.parametrize(
    "stamp",
    [
        None,
        "not json",
        "7",
        '{"id": "r1", "sequence": 8}',
        '{"id": "r2", "sequence": 1}',
        '{"sequence": 1}',
    ],
)
def test_a_withdrawal_leaves_what_is_newer_or_not_ours(redis_url: str, key: str, stamp: str | None) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as owner:
        owner.set(key, "theirs")
        if stamp is not None:
            owner.set(f"{{{key}}}:rotation", stamp)
        opened(f"{redis_url}#{key}").withdraw(PUBLICATION)
        assert owner.get(key) == "theirs"
        assert owner.get(f"{{{key}}}:rotation") == stamp


def test_a_withdrawal_leaves_a_key_of_another_type(redis_url: str, key: str) -> None:
    publisher = opened(f"{redis_url}#{key}")
    publisher.publish(PUBLICATION)
    with Redis.from_url(redis_url) as owner:
        owner.delete(key)
        owner.hset(key, "a", "b")
        with pytest.raises(Refused, match="not a string"):
            publisher.withdraw(PUBLICATION)
        assert owner.hgetall(key) == {b"a": b"b"}


def test_a_user_who_may_not_delete_may_publish_and_is_told_when_withdrawing(redis_url: str, key: str) -> None:
    user, password = f"test-{token_hex(4)}", token_hex(8)
    place = redis_url.partition("://")[2].rpartition("@")[2]
    publisher = opened(f"redis://{user}:{password}@{place}#{key}")
    with Redis.from_url(redis_url) as owner:
        owner.acl_setuser(
            user,
            enabled=True,
            passwords=[f"+{password}"],
            commands=NEEDED,
            keys=[key, f"{{{key}}}:rotation"],
            channels=[f"{key}:rotated"],
        )
        try:
            publisher.check("NAME")
            publisher.publish(PUBLICATION)
            with pytest.raises(OperatorNeeded) as refused:
                publisher.withdraw(PUBLICATION)
            assert "+del" in refused.value.remedy
            assert owner.get(key) == b"new-key"
            assert owner.exists(f"{{{key}}}:rotation")
        finally:
            owner.acl_deluser(user)


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


class TalkativeServer(socketserver.StreamRequestHandler):
    """Announces an answer that no key is, and sends it as slowly, or as fast, as it likes."""

    pause_s: ClassVar[float]
    """0: as fast as it is taken."""

    def handle(self) -> None:
        with suppress(OSError):
            while header := self.rfile.readline():
                words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(int(header[1:]))]
                if words[0].upper() in {b"GETRANGE", b"EVALSHA"}:
                    self.talk()
                self.wfile.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")

    def talk(self) -> None:
        self.wfile.write(b"$500000000\r\n")
        ends_at_s = time.monotonic() + 10
        while time.monotonic() < ends_at_s:
            self.wfile.write(b"x" * (1 if self.pause_s else 65536))
            time.sleep(self.pause_s)


@pytest.mark.parametrize("pause_s", [0.02, 0])
def test_no_server_holds_us_or_fills_our_memory(monkeypatch: pytest.MonkeyPatch, pause_s: float) -> None:
    monkeypatch.setattr("tasks.publishers._places.redis.bounded.LASTS_S", 0.5 if pause_s else 10)
    handler = type("Handler", (TalkativeServer,), {"pause_s": pause_s})
    with served(handler) as url:
        began = time.monotonic()
        with pytest.raises(Unavailable if pause_s else OperatorNeeded):
            opened(url).read_back("NAME", PUBLICATION.value)
        with pytest.raises(OutcomeUnknown):
            opened(url).publish(PUBLICATION)
        assert time.monotonic() - began < 5


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
    with served(type("Handler", (DyingServer,), {"deadly": deadly_command})) as url:
        yield url


@contextmanager
def served(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
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
        with pytest.raises(OutcomeUnknown, match="safe"):
            opened(url).withdraw(PUBLICATION)
        with pytest.raises(Unavailable):  # asks only, so nothing can have happened
            opened(url).check("NAME")
