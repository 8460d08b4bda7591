"""Waiting for a login that may hang: what came of it, how long, and how many at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from secrets import token_hex

import pytest

from config.logging import _is_heard
from tasks.publishers._shared.patience import patiently
from tasks.rotation.errors import Unavailable


def asked(who: str, call: Callable[[], object], within_s: float = 5) -> object:
    return patiently("kind:here", who, call, within_s=within_s)()


def test_what_came_of_it_is_given_or_raised() -> None:
    assert asked("a", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        asked("a", lambda: 1 / 0)


def test_one_that_hangs_keeps_out_others_of_its_sort_until_it_ends() -> None:
    who, going, ended = token_hex(8), threading.Event(), threading.Event()

    def hang() -> None:
        going.wait(20)
        ended.set()

    with pytest.raises(Unavailable, match=r"kind:here: .*longer than 0\.05 s"):
        asked(who, hang, 0.05)
    before = threading.active_count()
    with pytest.raises(Unavailable, match="an earlier attempt"):
        asked(who, hang, 0.05)
    assert threading.active_count() == before
    assert asked("another", lambda: 7) == 7
    going.set()
    assert ended.wait(20)
    while threading.active_count() == before:
        threading.Event().wait(0.01)
    assert asked(who, lambda: 7) == 7


def test_what_is_logged_meanwhile_is_dropped() -> None:
    """Kubernetes' client logs what a program wrote to standard error."""
    heard: list[bool] = []
    record = logging.makeLogRecord({"msg": "exec: process returned 1"})
    asked("a", lambda: heard.append(bool(_is_heard(record))))
    assert heard == [False]
    assert _is_heard(record)
