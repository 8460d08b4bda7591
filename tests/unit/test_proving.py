"""What a new key says of itself is compared with what was asked, before anyone depends on it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tasks.rotation.model import KeyParameters, KeyVersion, LimitReset, Reason, VersionState
from tasks.rotation.ports import CallerFacts
from tasks.rotation.proving import objections
from tests.steered.clock import START

HERE, THERE = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
ASKED = KeyParameters("web", 5.0, LimitReset.DAILY, True, HERE)
VERSION = KeyVersion("v", "r", 1, VersionState.CREATED, Reason.MANUAL, "a", expires_at=START)
FACTS = CallerFacts(False, 5.0, "daily", True, START, HERE)


def test_a_key_that_is_as_asked_meets_no_objection() -> None:
    assert objections(FACTS, ASKED, VERSION) == ""


@pytest.mark.parametrize(
    ("told", "objection"),
    [
        ({"is_management_key": True}, "the key is a management key"),
        ({"limit_usd": 6.0}, "limit is 6.0 instead of 5.0"),
        ({"limit_usd": None}, "limit is None instead of 5.0"),
        ({"limit_reset": "weekly"}, "limit reset is weekly instead of daily"),
        ({"include_byok_in_limit": False}, "BYOK in limit is False instead of True"),
        ({"workspace_id": THERE}, f"workspace is {THERE} instead of {HERE}"),
        ({"expires_at": None}, "expiry is None instead of 2026-03-02"),
        ({"expires_at": START + timedelta(seconds=3)}, "expiry is 2026-03-02 12:00:03"),
        ({"limit_usd": 6.0, "limit_reset": None}, "instead of 5.0, limit reset is None"),
    ],
)
def test_each_difference_is_named(told: dict[str, Any], objection: str) -> None:
    assert objection in objections(replace(FACTS, **told), ASKED, VERSION)


def test_a_key_that_is_not_accepted_cannot_say_anything() -> None:
    assert objections(None, ASKED, VERSION) == "the provider does not accept the key"


@pytest.mark.parametrize(
    ("told", "asked", "version"),
    [
        ({"expires_at": START + timedelta(seconds=2)}, {}, {}),
        ({"expires_at": None}, {}, {"expires_at": None}),
        ({"workspace_id": None}, {}, {}),
        ({"workspace_id": THERE}, {"workspace_id": None}, {}),
        ({"limit_usd": 1.0}, {}, {"reviving": True}),
    ],
    ids=["rounded", "no expiry", "a silent provider", "any workspace", "a key that comes back"],
)
def test_what_is_no_difference(told: dict[str, Any], asked: dict[str, Any], version: dict[str, Any]) -> None:
    assert objections(replace(FACTS, **told), replace(ASKED, **asked), replace(VERSION, **version)) == ""


def test_a_management_key_never_comes_back() -> None:
    facts = replace(FACTS, is_management_key=True)
    assert objections(facts, ASKED, replace(VERSION, reviving=True)) == "the key is a management key"
