"""Nothing that looks like a key gets through, whichever way it came into a line."""

from __future__ import annotations

import secrets

import pytest
from pydantic import BaseModel, ValidationError

from config.redaction import describe, format_traceback, redact, redact_value
from config.secret import Secret

TEXT = secrets.token_hex(24)
LEAKS = (
    f"sk-or-v1-{TEXT}",
    f"emulator-{TEXT}",
    f"Authorization: Bearer {TEXT}",
    f"{{'authorization': 'Bearer {TEXT}'}}",
    f"Basic {TEXT}",
    f"redis://user:{TEXT}@host:6379/0",
    f"postgresql+psycopg://rotator:{TEXT}@db/rotator",
)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.replace(TEXT, "TEXT"))
def test_what_looks_like_a_key_is_masked_and_the_rest_stays(leak: str) -> None:
    shown = redact(f"before {leak} after")
    assert TEXT not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    "plain", ["rotation prod-web advanced", "https://openrouter.ai/api/v1/keys", "emulator-started"]
)
def test_ordinary_text_is_left_alone(plain: str) -> None:
    assert redact(plain) == plain


@pytest.mark.parametrize(
    "value",
    [
        {"password": TEXT},
        {"a": [{"b": f"Bearer {TEXT}"}]},
        (f"sk-or-v1-{TEXT}",),
        Secret(TEXT),
        [Secret(TEXT)],
        ValueError(f"sk-or-v1-{TEXT}"),
    ],
)
def test_fields_are_searched_to_the_bottom(value: object) -> None:
    assert TEXT not in str(redact_value(value))


def test_numbers_and_flags_stay_what_they_are() -> None:
    assert redact_value({"n": 1, "f": 1.5, "b": True, "none": None}) == {"n": 1, "f": 1.5, "b": True, "none": None}


class _Model(BaseModel):
    number: int


def test_messages_of_libraries_that_quote_values_are_withheld() -> None:
    with pytest.raises(ValidationError) as caught:
        _Model.model_validate({"number": TEXT})
    assert TEXT in str(caught.value)
    assert TEXT not in describe(caught.value)
    assert "ValidationError" in describe(caught.value)


def test_a_traceback_shows_places_and_causes_but_no_local_variables() -> None:
    def fail() -> None:
        held = TEXT
        raise RuntimeError("inner") from ValueError(f"sk-or-v1-{held}")

    with pytest.raises(RuntimeError) as caught:
        fail()
    shown = format_traceback(caught.value)
    assert TEXT not in shown
    assert "ValueError" in shown
    assert "which led to:" in shown
    assert "RuntimeError: inner" in shown
    assert "test_redaction.py" in shown


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("one"), ValueError("two")
    first.__cause__, second.__cause__ = second, first
    assert format_traceback(first).count("ValueError") == 2


def test_every_member_of_a_group_is_shown() -> None:
    group = ExceptionGroup("both", [ValueError("one"), KeyError("two")])
    shown = format_traceback(group)
    assert "ValueError: one" in shown
    assert "KeyError" in shown
