"""Whatever JSON a file holds: every reader sees our key, and all else stays byte for byte, or nothing changes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._places.files.json_text import held, without, written
from tasks.rotation.errors import OperatorNeeded, RotatorError
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.property.effort import effort
from tests.property.outcome import raised

VALUE = f"test-key-{secrets.token_hex(16)}"

# --- documents as people and programs write them ---------------------------------------------------------------------

_blanks = st.text(" \t\n\r", max_size=3)
_numbers = st.sampled_from(["0", "-0", "1.10", "1E+400", "12345678901234567890123", "-0.0e-7", "9" * 60])
_plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
_strings = st.one_of(
    _plain.map(lambda text: json.dumps(text, ensure_ascii=False)),
    _plain.map(json.dumps),
    st.sampled_from(['"\\u0041\\/\\b"', '"\\ud83d\\ude00"', '"\\ud800"', '"{\\"a\\": [1,"', '"//"', '"\x7f"']),
)
_names = st.sampled_from(['"a"', '"b"', '"c"', '"K"', '"\\u004b"', '""', '"0"', '"-"', '"a/b"', '"~"', '"ü"'])
_leaves = _numbers | _strings | st.sampled_from(["true", "false", "null"])


def _joined(opening: str, parts: list[str], closing: str, blank: str) -> str:
    return f"{opening}{blank}{f'{blank},{blank}'.join(parts)}{closing}"


def _inside(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(_names, _blanks, _blanks, values), max_size=4, unique_by=lambda m: json.loads(m[0]))
    objects = st.builds(
        lambda parts, blank: _joined("{", [f"{n}{a}:{b}{v}" for n, a, b, v in parts], f"{blank}}}", blank),
        members,
        _blanks,
    )
    lists = st.builds(lambda parts, blank: _joined("[", parts, "]", blank), st.lists(values, max_size=3), _blanks)
    return objects | lists


_values = st.recursive(_leaves, _inside, max_leaves=12)
documents = st.builds("{}{}{}{}".format, st.sampled_from(["", "", "\ufeff"]), _blanks, _values, _blanks)
paths = st.lists(st.sampled_from(["K", "a", "b", "", "0", "1", "-", "a/b", "~", "ü", "new"]), min_size=1, max_size=4)


class Kept(str):
    """A number as it is written."""

    __slots__ = ()


def parsed(text: str) -> Any:
    return json.loads(text.removeprefix("\ufeff"), parse_int=Kept, parse_float=Kept)


def put(document: Any, path: tuple[str, ...], value: str) -> Any:
    """The document with the value at the path, by one that knows no text."""
    if not path:
        return value
    name, *rest = path
    if isinstance(document, list):
        return [put(v, tuple(rest), value) if str(i) == name else v for i, v in enumerate(document)]
    return {**document, name: put(document.get(name, {}), tuple(rest), value)}


# --- what must hold --------------------------------------------------------------------------------------------------


@effort(150)
@given(text=documents, path=paths.map(tuple))
@example(text='{"a":1}', path=("K",))
@example(text="{ \n}", path=("a", "b"))
def test_all_else_stays_byte_for_byte_or_nothing_changes(text: str, path: tuple[str, ...]) -> None:
    try:
        after = written(text, path, VALUE)
    except OperatorNeeded:
        assume(False)
    assert parsed(after) == put(parsed(text), path, VALUE)
    assert held(after, path) == VALUE
    assert written(after, path, VALUE) == after
    head, tail = after.split(f'"{VALUE}"')
    if exists(parsed(text), path):
        old = text[len(head) : len(text) - len(tail)]
        assert text == head + old + tail
        assert not isinstance(json.loads(old), dict | list)
    else:
        assert any(head.startswith(text[:i]) and tail.endswith(text[i:]) for i in range(len(text) + 1))


def exists(document: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if isinstance(document, list) and name.isdigit() and str(int(name)) == name and int(name) < len(document):
            document = document[int(name)]
        elif isinstance(document, dict) and name in document:
            document = document[name]
        else:
            return False
    return True


@effort(100)
@given(text=documents, path=paths.map(tuple))
def test_what_is_taken_out_again_leaves_the_others_as_they_were(text: str, path: tuple[str, ...]) -> None:
    try:
        after = without(written(text, path, VALUE), path)
    except OperatorNeeded:
        assume(False)
    assert held(after, path) is None
    assert VALUE not in after
    appended = isinstance(parsed(text), dict) and parsed(text) and len(path) == 1 and path[0] not in parsed(text)
    if appended:
        assert after == text


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "app.json"
    assert set(os.listdir(tmp_path)) <= {"app.json", ".app.json.rotation"}, "a draft was left behind"


@effort(150)
@given(
    content=documents.map(str.encode)
    | st.binary(max_size=40)
    | st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace"))
)
def test_a_file_says_our_key_or_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1, 1))
    path.with_name(".app.json.rotation").unlink(missing_ok=True)
    publisher = open_publisher("json", Secret(f"{path}#/K"))
    publication = Publication("r1", "web", "K", 2, 7, Secret(VALUE))
    checked = raised(RotatorError, lambda: publisher.check("K"))
    assert path.read_bytes() == content
    refusal = raised(RotatorError, lambda: publisher.publish(publication))
    assert (checked is None) is (refusal is None)
    if refusal is not None:
        assert isinstance(refusal, OperatorNeeded)
        assert path.read_bytes() == content
        assert VALUE not in str(refusal)
        return
    assert json.loads(path.read_bytes().decode().removeprefix("\ufeff"))["K"] == VALUE
    assert publisher.read_back("K", publication.value) is Holding.SAME
    publisher.withdraw(publication)
    assert VALUE.encode() not in path.read_bytes()
