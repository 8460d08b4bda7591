"""A secret is shown by nothing but ``reveal``."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from secrets import token_hex

import pytest

from config.secret import MASK, Secret

TEXT = f"canary-{token_hex(8)}"

SHOWN: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda s: f"{s}",
    "f-string with repr": lambda s: f"{s!r}",
    "f-string with a width": lambda s: f"{s:>40}",
    "percent": lambda s: "%s %r" % (s, s),  # noqa: UP031 - the logging module formats so
    "format": lambda s: format(s, "<30"),
    "inside a list": lambda s: str([s]),
    "as a key of a mapping": lambda s: str({s: s}),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_nothing_that_shows_an_object_shows_the_text(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert MASK in shown


def test_reveal_gives_the_text() -> None:
    assert Secret(TEXT).reveal() == TEXT


def test_it_compares_by_text_and_only_with_its_kind() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT)}) == 1


def test_text_that_is_no_unicode_still_compares() -> None:
    """Bytes of the environment that are not UTF-8 arrive as lone surrogates."""
    assert Secret("\udcff") == Secret("\udcff")
    assert Secret("\udcff") != Secret(TEXT)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_refuses_to_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="must not be pickled") as refused:
        pickle.dumps(Secret(TEXT), protocol)
    assert TEXT not in "".join(traceback.format_exception(refused.value))


def test_it_refuses_to_become_json() -> None:
    with pytest.raises(TypeError) as refused:
        json.dumps({"key": Secret(TEXT)})
    assert TEXT not in str(refused.value)


def test_a_copy_is_the_secret_itself() -> None:
    @dataclass
    class Holder:
        key: Secret

    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret
    assert TEXT not in str(asdict(Holder(secret)))


def test_an_empty_secret_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        Secret("")


def test_it_takes_no_new_attributes() -> None:
    with pytest.raises(AttributeError):
        Secret(TEXT).text = TEXT  # type: ignore[attr-defined]  # the point of the test
