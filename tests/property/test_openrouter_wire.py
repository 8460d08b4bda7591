"""Whatever comes over the wire in OpenRouter's place, lying or endless: the outcome is a value or a known family."""

from __future__ import annotations

import gzip
import itertools
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.providers.openrouter import paging
from tasks.providers.openrouter.adapter import OpenRouter
from tasks.providers.openrouter.client import LARGEST_ANSWER, Timeouts
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import KeyParameters
from tasks.rotation.ports import MintedKey, RemoteKey
from tests.property.effort import effort
from tests.property.outcome import raised

BEARER = Secret("sk-or-canary-" + secrets.token_hex(16))
OLD, NEW = "0" * 64, "1" * 64
FEW_PAGES = 12
PATIENCE = Timeouts(connect_s=2, read_s=0.5, write_s=2, pool_s=2, total_s=2)

# --- lists that do not end -------------------------------------------------------------------------------------------


def _key(key_hash: str) -> dict[str, object]:
    return {
        "hash": key_hash,
        "name": "k",
        "disabled": False,
        "created_at": "2026-11-01T00:00:00Z",
        "limit": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
    }


_hashes = st.integers(0, 30).map(lambda number: f"h{number}")
pages = st.lists(st.lists(_hashes, max_size=15), min_size=1, max_size=8)


def _asked_for(answers: Callable[[int], dict[str, object]]) -> tuple[OpenRouter, list[str]]:
    """A provider whose every answer is made from how many there were before, and what it was asked."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=answers(len(asked) - 1))

    return OpenRouter("https://openrouter.test/api/v1", transport=httpx.MockTransport(handler)), asked


@effort(150)
@given(shown=pages, again=st.booleans())
def test_a_list_with_repetitions_is_each_key_once_and_ends(shown: list[list[str]], again: bool) -> None:
    """Whether the pages come round again or end in an empty one."""

    def page(number: int) -> dict[str, object]:
        keys = shown[number % len(shown)] if again or number < len(shown) else []
        return {"data": [_key(one) for one in keys]}

    provider, asked = _asked_for(page)
    found = [key.key_hash for key in provider.list_keys(BEARER, workspace_id=None)]
    assert len(found) == len(set(found))
    upto = len(asked)
    assert found == list(dict.fromkeys(itertools.chain.from_iterable(shown[n % len(shown)] for n in range(upto - 1))))
    assert upto <= len(shown) + 1


@effort(30)
@given(size=st.integers(1, 40), workspace=st.none() | st.just("00000000-0000-4000-8000-000000000000"))
def test_a_list_that_never_ends_is_broken_after_so_many_pages(size: int, workspace: str | None) -> None:
    def page(number: int) -> dict[str, object]:
        return {"data": [_key(f"p{number}k{place}") for place in range(size)]}

    provider, asked = _asked_for(page)
    with patch.object(paging, "MOST_PAGES", FEW_PAGES):
        assert raised(Broken, lambda: list(provider.list_keys(BEARER, workspace_id=workspace))) is not None
    assert len(asked) == FEW_PAGES
    offsets = [int(httpx.URL(url).params["offset"]) for url in asked]
    assert offsets == sorted(set(offsets)), "the same page was asked for twice"


@effort(100)
@given(
    total=st.integers(-5, 10**12),
    shown=st.lists(st.lists(st.integers(0, 12), max_size=6), min_size=1, max_size=5),
    old_is_in=st.booleans(),
)
def test_bindings_whose_total_lies_come_to_an_end(total: int, shown: list[list[int]], old_is_in: bool) -> None:
    def page(number: int) -> dict[str, object]:
        items: list[dict[str, object]] = [
            {
                "id": f"i{one}",
                "key_hash": OLD if old_is_in and one == 0 else f"h{one}",
                "guardrail_id": f"g{one}",
                "allowed_api_key_hashes": [OLD] if old_is_in and one == 0 else [f"h{one}"],
                "api_key_hashes": None,
            }
            for one in shown[number % len(shown)]
        ]
        return {"data": items, "total_count": total}

    provider, asked = _asked_for(page)
    with patch.object(paging, "MOST_PAGES", FEW_PAGES):
        for ask in (
            lambda: provider.binds_keys(BEARER, workspace_id=None),
            lambda: provider.carry_bindings(BEARER, old_hash=OLD, new_hash=NEW, workspace_id=None),
            lambda: provider.drop_bindings(BEARER, old_hash=OLD, workspace_id=None),
        ):
            failure = raised(RotatorError, ask)
            assert failure is None or isinstance(failure, Broken | Unavailable | OutcomeUnknown | Refused)
    assert len(asked) <= 20 * FEW_PAGES


# --- bytes that lie --------------------------------------------------------------------------------------------------


class LyingServer:
    """Answers every connection with the bytes that were set, then closes it: what it says of their length is theirs."""

    def __init__(self) -> None:
        self.answer = b""
        self.heard = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(2)
                if connection.recv(65_536):
                    self.heard += 1
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def server() -> Iterator[LyingServer]:
    made = LyingServer()
    yield made
    made.close()


CREATED = json.dumps({"data": _key(NEW), "key": "sk-or-new"}).encode()
_status_lines = st.sampled_from(
    [
        "HTTP/1.1 200 OK", "HTTP/1.1 201 Created", "HTTP/1.1 201", "HTTP/1.0 201 Created", "HTTP/1.1 204 No",
        "HTTP/2 201 x", "HTTP/1.1 100 Continue", "HTTP/1.1 102 x", "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 301 Moved", "HTTP/1.1 404 No", "HTTP/1.1 429 Slow", "HTTP/1.1 503 x", "HTTP/1.1 999 x",
        "HTTP/1.1 0 x", "HTTP/1.1 2e2 x", "ICY 200 OK", "", "\0", "220 smtp", "HTTP/1.1 400 x", "HTTP/1.1 401 x",
        "HTTP/1.1 201 \xff\xfe",
    ]
)  # fmt: skip
_header_lines = st.lists(
    st.sampled_from(
        [
            "Content-Length: 5", "Content-Length: 0", "Content-Length: -1", "Content-Length: 99999999",
            "Content-Length: x", f"Content-Length: {len(CREATED)}", "Transfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked", "Connection: close", "Transfer-Encoding: x", "Content-Encoding: gzip",
            "Content-Encoding: br", "Content-Encoding: identity", "no colon", " folded: x",
            "Location: http://127.0.0.1:1/", "X: " + "y" * 70_000, "Retry-After: 1", "Date: x", "Upgrade: h2c",
            ": empty", "X\0Y: z", "Content-Type: application/json",
        ]
    ),
    max_size=4,
)  # fmt: skip
_chunks = st.sampled_from(
    [
        b"%x\r\n" % len(CREATED) + CREATED + b"\r\n0\r\n\r\n",
        b"%x\r\n" % len(CREATED) + CREATED,
        b"5\r\n{}",
        b"ffffffffffffffff\r\n{}",
        b"-1\r\n{}\r\n0\r\n\r\n",
        b"zz\r\n",
        b"0\r\n\r\n",
        b"1" * 5_000,
    ]
)
_bomb = gzip.compress(b"0" * (8 * LARGEST_ANSWER), mtime=0)
_bodies = st.one_of(
    st.just(CREATED),
    st.just(CREATED[:-5]),
    st.sampled_from([gzip.compress(CREATED, mtime=0), _bomb, b"\x1f\x8b junk", b"", b"x" * (LARGEST_ANSWER + 1)]),
    _chunks,
    st.binary(max_size=40),
)


def _raw(status: str, head: list[str], blank: str, body: bytes) -> bytes:
    return "\r\n".join([status, *head]).encode("latin-1") + blank.encode() + body


raw_answers = st.builds(_raw, _status_lines, _header_lines, st.sampled_from(["\r\n\r\n", "\n\n", "\r\n", ""]), _bodies)


@effort(120)
@given(answer=raw_answers | st.binary(max_size=60))
def test_a_create_is_never_called_undone_because_of_what_came_back(server: LyingServer, answer: bytes) -> None:
    """It was sent, so it is a key, a refusal in so many words, or unknown: never "nothing was sent"."""
    server.answer, heard = answer, server.heard
    provider = OpenRouter(f"http://127.0.0.1:{server.port}/api/v1", timeouts=PATIENCE)
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    made: list[MintedKey] = []

    def create() -> None:
        made.append(provider.create_key(BEARER, KeyParameters("k"), name="k #1", expires_at=moment))

    failure = raised(RotatorError, create)
    provider.close()
    assert server.heard == heard + 1, "it was repeated, or not sent"
    if made:
        assert made[0].key.reveal() == "sk-or-new"
    else:
        assert isinstance(failure, OutcomeUnknown | RateLimited | CredentialRejected | Refused)
        assert isinstance(failure, OutcomeUnknown) or b" 4" in answer[:13]
        assert failure.__context__ is None
        assert BEARER.reveal() not in str(failure)


@effort(60)
@given(answer=raw_answers | st.binary(max_size=60))
def test_a_look_at_a_key_ends_in_a_value_or_a_family(server: LyingServer, answer: bytes) -> None:
    server.answer = answer
    provider = OpenRouter(f"http://127.0.0.1:{server.port}/api/v1", timeouts=PATIENCE)
    found: list[Any] = []
    failure = raised(RotatorError, lambda: found.append(provider.get_key(BEARER, OLD)))
    provider.close()
    assert failure is None or isinstance(failure, Unavailable | RateLimited | CredentialRejected | Refused | Broken)
    assert failure is not None or isinstance(found[0], RemoteKey)
