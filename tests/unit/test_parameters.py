"""What a key may be, by OpenRouter's rules; and how a person is told what is wrong."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import KeyParameters, KeyVersion, LimitReset, Reason, VersionState
from tasks.rotation.parameters import (
    MARKER,
    name_at_openrouter,
    validated_description,
    validated_label,
    validated_parameters,
    validated_slug,
)


def _validated(**given: Any) -> KeyParameters:
    nothing = {
        "key_name": "web",
        "limit_usd": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "workspace_id": None,
        "expires_after": None,
    }
    return validated_parameters(**(nothing | given))


def test_a_name_is_all_that_is_needed() -> None:
    assert _validated(key_name="  web  ") == KeyParameters("web")


def test_everything_is_kept() -> None:
    workspace = uuid.uuid4()
    parameters = _validated(
        key_name="x" * 100,
        limit_usd=0.01,
        limit_reset="weekly",
        include_byok_in_limit=True,
        workspace_id=str(workspace).upper(),
        expires_after=timedelta(minutes=1),
    )
    assert parameters == KeyParameters("x" * 100, 0.01, LimitReset.WEEKLY, True, str(workspace), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        ({"key_name": "  "}, "--key-name", "empty"),
        ({"key_name": "x" * 101}, "--key-name", "too long"),
        ({"key_name": "a\nb"}, "--key-name", "not printable"),
        ({"limit_usd": 0.0}, "--limit", "0.0 is not a spending limit"),
        ({"limit_usd": -1.0}, "--limit", "-1.0"),
        ({"limit_usd": float("nan")}, "--limit", "nan"),
        ({"limit_usd": float("inf")}, "--limit", "inf"),
        ({"limit_usd": 1.0, "limit_reset": "hourly"}, "--limit-reset", "'hourly' is not known"),
        ({"limit_reset": "daily"}, "--limit-reset", "no limit to reset"),
        ({"workspace_id": "default"}, "--workspace-id", "'default' is not a UUID"),
        ({"expires_after": timedelta(seconds=59)}, "--expires-after", "a minute at least"),
    ],
)
def test_what_openrouter_would_refuse_is_refused_with_a_remedy(given: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        _validated(**given)
    assert refused.value.field == field
    assert refused.value.remedy
    assert str(refused.value) == f"{field}: {refused.value.problem} {refused.value.remedy}"


@pytest.mark.parametrize("name", ["a", "web-frontend", "a1-2-b", "x" * 64])
def test_a_slug_is_a_name(name: str) -> None:
    assert validated_slug("NAME", name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "Web", "a--b", "-a", "a-", "a b", "a\n", "ä"])
def test_anything_else_is_none(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a name"):
        validated_slug("NAME", name)


def test_a_description_is_trimmed_and_blank_is_none() -> None:
    assert validated_description("  of the shop ") == "of the shop"
    assert validated_description("  ") is None
    assert validated_description(None) is None
    assert validated_description("x" * 256) == "x" * 256
    with pytest.raises(InvalidInput, match="257 characters"):
        validated_description("x" * 257)
    with pytest.raises(InvalidInput, match="cannot be printed"):
        validated_description("of\nthe shop")


def test_a_label_is_trimmed_and_blank_is_none() -> None:
    assert validated_label("projectId", " shop ") == "shop"
    assert validated_label("projectId", " ") is None
    assert validated_label("projectId", "x" * 4, most=4) == "x" * 4
    for wrong in ("x" * 5, "a\tb"):
        with pytest.raises(InvalidInput, match="projectId: it is too long or has characters that cannot be printed"):
            validated_label("projectId", wrong, most=4)


def test_a_name_at_openrouter_tells_whose_and_which_and_is_found_again() -> None:
    version = KeyVersion("v", "r", 12, VersionState.CREATING, Reason.MANUAL, "a")
    name = name_at_openrouter(KeyParameters("web #7-0123456789ab"), version, "ba9876543210")
    assert name == "web #7-0123456789ab #12-ba9876543210"
    found = MARKER.search(name)
    assert found is not None
    assert (found["number"], found["marker"]) == ("12", "ba9876543210")


@pytest.mark.parametrize("name", ["web", "web #1", "web #1-0123", "web #1-0123456789AB", "web #1-0123456789ab "])
def test_other_names_are_not_taken_for_ours(name: str) -> None:
    assert MARKER.search(name) is None
