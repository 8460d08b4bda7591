"""Whatever somebody calls a thing: it is taken, and then means one thing for good, or refused by its field's name."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.operations.rotations import secret_name_of
from tasks.publishers import kinds, open_publisher, split_publish
from tasks.publishers._places.files.dotenv_text import _STAMP, edited
from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import KeyVersion, LimitReset, Reason, VersionState
from tasks.rotation.parameters import (
    MARKER,
    name_at_openrouter,
    validated_description,
    validated_parameters,
    validated_slug,
)
from tasks.rotation.ports import Publication
from tasks.safe_task import is_slug
from tests.property.effort import effort
from tests.property.outcome import raised

CANARY = f"canary{secrets.token_hex(8)}"

anything = st.text(max_size=80) | st.text("aZ0-_ .\n\t\x1b\u202e\u2028#:/{}é", max_size=70)
numbers = st.floats() | st.integers().map(float) | st.sampled_from([0.0, -0.0, 5e-324, 1.7e308])


def refused(ask: Callable[[], object], *, field: str) -> bool:
    """Whether it is refused, in which case the error names its field and says what to do."""
    refusal = raised(InvalidInput, ask)
    if refusal is None:
        return False
    assert refusal.field == field
    assert refusal.message.startswith(f"{field}: ")
    assert refusal.remedy
    assert str(refusal).isprintable()
    return True


@effort(300)
@given(anything | st.from_regex(r"\A[a-z0-9-]{1,66}\Z"))
def test_a_name_of_ours_is_one_for_a_task_too_or_refused(text: str) -> None:
    assert refused(lambda: validated_slug("NAME", text), field="NAME") is not is_slug(text)
    if is_slug(text):
        file = edited("", Publication("r1", text, "NAME", 1, 1, Secret("value")))
        assert _STAMP.fullmatch(file.partition("\n")[0]), "a name that could not stand above a variable"


@effort(300)
@given(anything | st.text(max_size=400))
def test_a_description_is_one_line_or_none_or_refused(text: str) -> None:
    if not refused(lambda: validated_description(text), field="--description"):
        described = validated_description(text)
        assert described is None or (described == text.strip() and described.isprintable() and len(described) <= 256)


@effort(300)
@given(anything, st.integers(0, 10**9), st.from_regex(r"\A[0-9a-f]{12}\Z"))
def test_whatever_a_key_is_called_its_mark_is_found_again(text: str, number: int, marker: str) -> None:
    def made() -> object:
        return validated_parameters(key_name=text, **PLAIN)  # type: ignore[arg-type]  # mypy sees one type for all

    if refused(made, field="--key-name"):
        return
    parameters = validated_parameters(key_name=text, **PLAIN)  # type: ignore[arg-type]  # the same
    version = KeyVersion("v", "r", number, VersionState.CREATING, Reason.MANUAL, "test", marker=marker)
    found = MARKER.search(name_at_openrouter(parameters, version, marker))
    assert found is not None
    assert (int(found["number"]), found["marker"]) == (number, marker)


PLAIN = {
    "limit_usd": None,
    "limit_reset": None,
    "include_byok_in_limit": False,
    "workspace_id": None,
    "expires_after": None,
}


@effort(300)
@given(numbers | st.none(), st.none() | st.sampled_from([*LimitReset, "hourly", "", "DAILY", "daily\n"]) | anything)
def test_a_limit_is_a_sum_of_money_and_its_refill_is_known(limit: float | None, reset: str | None) -> None:
    wanted = {**PLAIN, "key_name": "k", "limit_usd": limit, "limit_reset": reset}
    refusal = raised(InvalidInput, lambda: validated_parameters(**wanted))  # type: ignore[arg-type]  # the same
    if refusal is not None:
        assert refusal.field in {"--limit", "--limit-reset"}
        assert str(refusal).isprintable()
        return
    made = validated_parameters(**wanted)  # type: ignore[arg-type]  # mypy sees one type for all
    assert made.limit_usd is None or (math.isfinite(made.limit_usd) and made.limit_usd > 0)
    assert made.limit_reset is None or made.limit_usd is not None


@effort(300)
@given(anything | st.uuids().map(str) | st.uuids().map(lambda found: found.urn))
def test_a_workspace_is_a_uuid_in_its_plain_form_or_refused(text: str) -> None:
    wanted = {**PLAIN, "key_name": "k", "workspace_id": text}
    if refused(lambda: validated_parameters(**wanted), field="--workspace-id"):  # type: ignore[arg-type]  # the same
        return
    once = validated_parameters(**wanted).workspace_id  # type: ignore[arg-type]  # mypy sees one type for all
    assert once is not None
    assert validated_parameters(**{**wanted, "workspace_id": once}).workspace_id == once  # type: ignore[arg-type]  # same


@effort(100)
@given(st.timedeltas())
def test_a_life_is_a_minute_at_least(span: timedelta) -> None:
    wanted = {**PLAIN, "key_name": "k", "expires_after": span}
    short = refused(lambda: validated_parameters(**wanted), field="--expires-after")  # type: ignore[arg-type]  # the same
    assert short is (span < timedelta(minutes=1))


@effort(400)
@given(
    anything | st.sampled_from(["PATH", "path ", "ld_preload", "PYTHONPATH", "IFS", "rotator_x", "OPENROUTER_API_KEY"])
)
def test_a_secret_name_is_a_harmless_variable_that_every_destination_takes(text: str) -> None:
    if refused(lambda: secret_name_of(text), field="--secret-name"):
        return
    name = secret_name_of(text)
    assert secret_name_of(name) == name
    assert name.isascii()
    assert name.isidentifier()
    assert not name.upper().startswith(("LD_", "DYLD_", "ROTATOR_", "PYTHON"))
    assert name.upper() not in {"PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV"}


# --- destinations ----------------------------------------------------------------------------------------------------

_hosts = st.sampled_from(
    ["h", "[::1]", "[::", "127.0.0.1", "h:99999", "h:0", "h:-1", "h:x", "", "℀", "a" * 300, "ü", "h:٣"]
)
_logins = st.sampled_from(
    ["", f"u:{CANARY}@", f":{CANARY}@", f"{CANARY}@", f"u:[{CANARY}@", f"u:{CANARY}%zz@", f"{CANARY}#@"]
)
_tails = st.sampled_from(
    [
        "#k", "#", "", "/0#k", "/x#k", "/-1#k", "/99999999999999999999#k", f"/0#{CANARY}@x", "?db=1#k",
        "?password_file=/x#k", f"?password_file={CANARY}#k", f"?token={CANARY}#k", f"/{CANARY}#k", "#{a}b", "#a}b",
        "#%00", "#%0a", "#\udcff", "#k#k", "/0?db=2#k", "?ca_file=relative#k", "?password_file=#k", "#" + "k" * 5000,
        "?db=1&db=2#k", "#%ff",
    ]
)  # fmt: skip
_schemes = st.sampled_from(["redis://", "rediss://", "unix://", "unix:///s", "http://", "//", "", "REDIS://", "redis:"])
_redis = st.builds("{}{}{}{}".format, _schemes, _logins, _hosts, _tails)
_dotenv = st.sampled_from(
    [
        "x.env", "/x.env", "~/x", "~nobody/x", "~nosuchuser/x", "x?symlink=follow", "x?symlink=maybe",
        f"x?token={CANARY}", "x/", "?", "", "x\n", "x?symlink=follow&symlink=refuse", "x?", "..", ".", "/", "x\0",
        "\udcff", "a" * 5000, "x?=", "x?symlink",
    ]
)  # fmt: skip
_targets = st.one_of(_redis, _dotenv, anything)
_kinds = st.sampled_from([*kinds(), "dotenv ", "DOTENV", "_file", "_checks", "", "..", "os", "a.b"]) | anything


@effort(800)
@given(_kinds, _targets)
def test_a_destination_is_one_that_opens_again_or_refused_without_a_word_of_it(kind: str, target: str) -> None:
    refusal = raised(InvalidInput, lambda: split_publish(f"{kind}:{target}"))
    if refusal is not None:
        assert refusal.field == "--publish"
        assert CANARY not in f"{refusal}{refusal.__context__!r}"
        assert str(refusal).isprintable()
        return
    found, stored = split_publish(f"{kind}:{target}")
    again = open_publisher(found, stored)
    assert again.target == stored
    assert again.label.startswith(f"{found}:")
    assert found == "dotenv" or CANARY not in again.label or CANARY not in _credentials_of(target)


def _credentials_of(target: str) -> str:
    """What stands before an ``@`` of a URL: the rest is a place and may be shown, as may all of a path."""
    return target.rpartition("@")[0]


@pytest.mark.parametrize("kind", kinds())
@effort(50)
@given(target=_targets)
def test_a_destination_says_the_same_from_anywhere(kind: str, target: str) -> None:
    """What is stored does not depend on the working directory: a path in it is absolute."""
    try:
        _, stored = split_publish(f"{kind}:{target}")
    except InvalidInput:
        return
    assert split_publish(f"{kind}:{stored.reveal()}")[1] == stored == Secret(stored.reveal())
