"""Whatever OpenRouter (or something in its place) answers, a caller sees a documented value or a known family."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.providers.openrouter.adapter import OpenRouter
from tasks.providers.openrouter.exchange import LONGEST_PAUSE, SHORTEST_PAUSE
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import KeyParameters
from tasks.rotation.ports import CheckResult, MintedKey
from tests.property.effort import effort

BEARER = Secret("sk-or-canary-" + secrets.token_hex(16))
EXPECTED = (RateLimited, Unavailable, OutcomeUnknown, CredentialRejected, Refused, Broken)
OLD, NEW = "0" * 64, "1" * 64

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_times = st.sampled_from(["2026-11-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x"])
_hashes = st.sampled_from([OLD, NEW, "..", "a/b"])
_known_fields = {
    "hash": _hashes, "id": _hashes, "key_hash": _hashes, "guardrail_id": _hashes, "name": st.text(max_size=5),
    "disabled": st.booleans(), "created_at": _times, "expires_at": _times | st.none(), "limit": st.floats() | st.none(),
    "limit_reset": st.sampled_from(["daily", "fortnightly", None]), "include_byok_in_limit": st.booleans(),
    "is_management_key": st.booleans(), "is_provisioning_key": st.booleans(),
    "allowed_api_key_hashes": st.lists(_hashes, max_size=3) | st.none(),
    "api_key_hashes": st.lists(_hashes, max_size=3) | st.none(),
}  # fmt: skip
_nearly = st.fixed_dictionaries({}, optional={name: values | _scalars for name, values in _known_fields.items()})
_fully = st.fixed_dictionaries(_known_fields)
_data = _fully | _nearly | st.lists(_fully | _nearly, max_size=3) | _scalars
_error = st.fixed_dictionaries({"message": st.text(max_size=300) | _scalars}, optional={"code": _scalars})
_documented = st.fixed_dictionaries(
    {"data": _data},
    optional={
        "key": st.text(max_size=30) | _scalars,
        "total_count": st.integers(),
        "deleted": st.booleans(),
        "error": _error,
    },
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _written(value: object) -> bytes:
    """JSON as some server might write it: lone surrogates escaped, ``NaN`` and ``Infinity`` bare."""
    return json.dumps(value, ensure_ascii=True).encode()


bodies = st.one_of(
    st.binary(max_size=60),
    _json.map(_written),
    _documented.map(_written),
    st.fixed_dictionaries({"error": _error}).map(_written),
    st.sampled_from(
        [b"", b"[" * 100_000, b'{"data":' * 5_000, b'{"data": 1' + b"0" * 5_000 + b"}", b'"\\ud800"', b"\xff\xfe"]
    ),
)
_moments = st.sampled_from(
    [
        "9" * 20, "1" + "0" * 9, "0", "0.5", "1.999999999", "-1", "-0", "1e400", "1e3", "nan", "inf", "+5", " 7 ",
        "5, 9", "soon", "Sun, 01 Nov 2026 12:00:30 GMT", "Sunday, 01-Nov-26 12:00:30 GMT", "Sun Nov  1 12:00:30 2026",
        "2026-11-01T12:00:00Z", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359",
        "Thu, 01 Jan 1970 00:00:00 GMT", "1 Jan 99999", "Sun, 31 Feb 2026 25:61:61 GMT",
        "Sun, 01 Nov 2026 12:00:30 +9999999", "99999999999999", "1793534430000", "",
    ]
)  # fmt: skip
_texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": _moments | _texts,
        "Date": _moments | _texts,
        "X-RateLimit-Reset": _moments | _texts,
        "Location": st.sampled_from(
            ["https://elsewhere.test/", "/api/v1/key", "//elsewhere.test", "file:///etc/passwd", "x:y"]
        ),
        "Content-Type": st.sampled_from(["text/html", "application/json; charset=utf-7", "x"]),
        "Content-Encoding": st.sampled_from(["gzip", "br", "deflate", "zstd", "identity", "gzip, gzip", "x", ""]),
        "Content-Length": st.sampled_from(["0", "1", "99999999999"]),
        "Set-Cookie": st.sampled_from(["a=b; Path=/", "=", "a=b; Domain=.test"]),
    },
)
_SUCCESS = (200, 200, 200, 200, 201, 201, 201, 202, 204, 206, 226, 299)
_REDIRECT = (300, 301, 304, 307, 308)
_FAILURE = (400, 401, 402, 403, 404, 405, 408, 409, 410, 418, 422, 425, 429, 499, 500, 502, 503, 504, 520, 599)
statuses = st.sampled_from((*_SUCCESS, *_REDIRECT, *_FAILURE))
answers = st.builds(lambda status, body, head: (status, body, head), statuses, bodies, headers)
scripts = st.lists(answers, min_size=1, max_size=6)


class _Body(httpx.SyncByteStream):
    """Bytes as they come from the wire, not yet undone by whatever encoding is claimed for them."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


_script: list[tuple[int, bytes, dict[str, str]]] = []


def _answer(_request: httpx.Request) -> httpx.Response:
    """The answers in turn, then the last one for ever."""
    status, body, head = _script.pop(0) if len(_script) > 1 else _script[0]
    return httpx.Response(status, stream=_Body(body), headers=head)


PROVIDER = OpenRouter("https://openrouter.test/api/v1", transport=httpx.MockTransport(_answer))
"""One for all: it remembers nothing between calls, and making one takes longer than a call."""


def _provider(script: list[tuple[int, bytes, dict[str, str]]]) -> OpenRouter:
    _script[:] = script
    return PROVIDER


def _calls(provider: OpenRouter) -> dict[str, Callable[[], Any]]:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    return {
        "describe": lambda: provider.describe_caller(BEARER),
        "list": lambda: list(provider.list_keys(BEARER, workspace_id=None)),
        "get": lambda: provider.get_key(BEARER, OLD),
        "disable": lambda: provider.set_disabled(BEARER, OLD, disabled=True),
        "delete": lambda: provider.delete_key(BEARER, OLD),
        "create": lambda: provider.create_key(BEARER, KeyParameters("k"), name="k #1", expires_at=moment),
        "carry": lambda: provider.carry_bindings(BEARER, old_hash=OLD, new_hash=NEW, workspace_id=None),
        "drop": lambda: provider.drop_bindings(BEARER, old_hash=OLD, workspace_id=None),
        "enable": lambda: provider.set_disabled(BEARER, OLD, disabled=False),
        "bound": lambda: provider.binds_keys(BEARER, workspace_id=None),
    }


def test_every_question_of_the_adapter_is_asked_here() -> None:
    asked = {"check", "close"} | {"describe_caller", "list_keys", "get_key", "set_disabled", "delete_key", "create_key"}
    asked |= {"carry_bindings", "drop_bindings", "binds_keys"}
    offered = {name for name in vars(OpenRouter) if not name.startswith("_") and callable(getattr(OpenRouter, name))}
    assert offered == asked


@effort(150)
@given(script=scripts)
def test_no_answer_raises_anything_outside_the_families(script: list[tuple[int, bytes, dict[str, str]]]) -> None:
    for name in _calls(_provider(script)):
        try:
            _calls(_provider(script))[name]()
        except RotatorError as error:
            _is_fit_to_raise(error)


def _is_fit_to_raise(error: RotatorError) -> None:
    assert type(error) in EXPECTED
    assert error.__context__ is None
    assert BEARER.reveal() not in str(error)
    assert str(error).encode()
    if isinstance(error, TryAgain) and error.retry_after is not None:
        assert SHORTEST_PAUSE <= error.retry_after <= LONGEST_PAUSE


@effort(150)
@given(script=scripts)
def test_a_check_answers_and_never_raises(script: list[tuple[int, bytes, dict[str, str]]]) -> None:
    result = _provider(script).check(BEARER)
    assert isinstance(result, CheckResult)
    assert BEARER.reveal() not in result.message + result.remedy
    assert result.message
    (result.message + result.remedy).encode()


@effort(300)
@given(answer=answers)
def test_a_create_that_was_answered_is_a_key_a_refusal_or_unknown(answer: tuple[int, bytes, dict[str, str]]) -> None:
    """``Unavailable`` promises that nothing was sent, so no answer may turn into it."""
    status = answer[0]
    try:
        minted = _calls(_provider([answer]))["create"]()
    except (RateLimited, CredentialRejected, Refused):
        assert 400 <= status <= 499
    except OutcomeUnknown:
        pass
    else:
        assert isinstance(minted, MintedKey)
        assert 200 <= status <= 299
        assert minted.key.reveal().isprintable()
        assert not any(char.isspace() for char in minted.key.reveal())


@effort(300)
@given(answer=answers)
def test_a_key_is_gone_only_in_openrouters_own_words(answer: tuple[int, bytes, dict[str, str]]) -> None:
    status, body, _ = answer
    for name, gone in (("get", None), ("disable", False)):
        try:
            result = _calls(_provider([answer]))[name]()
        except RotatorError:
            continue
        if result is gone:
            assert status == 404
            assert isinstance(json.loads(body)["error"]["message"], str)
