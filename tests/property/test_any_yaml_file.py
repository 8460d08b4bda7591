"""Whatever YAML a file holds: every reader sees our key, and all else means what it did, comments too, or nothing
changes. PyYAML, which the product does not use, is the reader."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._places.files.yaml_text import held, without, written
from tasks.rotation.errors import OperatorNeeded, RotatorError
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.property.effort import effort
from tests.property.outcome import raised

VALUE = f"test-key-{secrets.token_hex(16)}"

# --- documents as people write them ----------------------------------------------------------------------------------

_scalars = st.sampled_from(
    [
        "1", "text", "two words", "'single'", '"dou\\u0062le"', "", "~", "true", "1.10", "0o17", "2030-01-01",
        "!!str 5", "!own x", "[1, 'a', {b: c}]", "{}", "[]", "{x: 1, y: }", "|\n{i}  block\n{i}  lines", "*x",
        ">-\n{i}  folded\n\n{i}  more", "|+\n{i}  kept\n\n", "plain\n{i}  on\n{i}  lines", '"on\n{i}  lines"',
        "&x anchored", "ü \U0001f600", "a#b",
    ]
)  # fmt: skip
_names = st.sampled_from(["a", "b", "c", "K", "'K'", "two words", '"q"', "0", "ü", "a.b", "null"])
_comments = st.sampled_from(["", "", "", " # c", "  # K: x", "\n{i}# own line", "\n\n\n{i}# after blanks", "\n"])


def _lines(pairs: list[tuple[str, str, str]], indent: str) -> str:
    return "".join(f"{indent}{name}: {value}{_behind(value, c)}\n".replace("{i}", indent) for name, value, c in pairs)


def _behind(value: str, comment: str) -> str:
    """Behind the last line of a block, on that line, '#' begins no comment."""
    return "" if value[:1] in {"|", ">"} and not comment.startswith("\n") else comment


_pairs = st.lists(
    st.tuples(_names, _scalars, _comments), min_size=1, max_size=4, unique_by=lambda pair: pair[0].strip("'")
)


@st.composite
def _documents(draw: st.DrawFn) -> str:
    head = draw(st.sampled_from(["", "", "# head\n", "---\n", "%YAML 1.1\n---\n", "\ufeff", "---\n\n# c\n"]))
    anchors = "x: &x 1\n" if draw(st.booleans()) else ""
    text = anchors + _lines(draw(_pairs), "")
    step = draw(st.sampled_from(["  ", "    ", " "]))
    for name in draw(st.lists(st.sampled_from(["m", "n"]), unique=True, max_size=2)):
        text += f"{name}:{draw(st.sampled_from(['', ' # c', ' &' + name, ' !own']))}\n" + _lines(draw(_pairs), step)
    if draw(st.booleans()):
        items = draw(st.lists(_pairs, min_size=1, max_size=2))
        text += "l:\n" + "".join(f"{step}- {_lines(pairs, step + '  ').lstrip(' ')}" for pairs in items)
    tail = draw(st.sampled_from(["", "", "# tail\n", "...\n", "\n\n"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = head + text + tail
    return (text[:-1] if draw(st.booleans()) else text).replace("\n", end)


_flow = st.sampled_from(
    [
        "{}",
        "{a: 1}",
        "{a: 1,}",
        '{"a": 1, "m": {"K": 2}}',
        "{\n  a: 1, # c\n  b: [1,\n 2]\n}\n",
        "[{K: 1}, 2]",
        "{a, b}",
    ]
)
documents = _documents() | _flow
paths = st.sampled_from(
    [("K",), ("a",), ("m", "K"), ("m", "a"), ("m", "new"), ("l", "0", "K"), ("l", "0", "a"), ("l", "1", "new"),
     ("l", "1"), ("new", "er"), ("a.b",), ("two words",), ("ü",), ("0",), ("x",), ("a", "1"), ("null",)]
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Takes any tag for what stands behind it."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.tag, node.value
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return loader.construct_mapping(node) if isinstance(node, yaml.MappingNode) else None


_Loader.add_multi_constructor("!", _untagged)


def parsed(text: str) -> Any:
    """The values, as PyYAML has them; assumes that it can read the text at all."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError):
        assume(False)


def comments(text: str) -> list[str]:
    """What stands behind '#', wherever a scanner sees a comment; no test document has one inside a value."""
    return [found[1] for line in text.splitlines() if (found := re.search(r"(?:^|\s)#(.*)", line))]


def put(document: Any, path: tuple[str, ...], value: str) -> Any:
    """The document with the value at the path, by one that knows no text."""
    if not path:
        return value
    name, rest = path[0], path[1:]
    if isinstance(document, list):
        return [put(v, rest, value) if str(i) == name else v for i, v in enumerate(document)]
    known = next((key for key in document or {} if str(_spelled(key)) == name), name)
    return {**(document or {}), known: put((document or {}).get(known, {}), rest, value)}


def exists(document: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        pairs = enumerate(document) if isinstance(document, list) else (document or {}).items()
        found = [value for key, value in pairs if str(_spelled(key)) == name]
        if not found:
            return False
        document = found[0]
    return True


def _spelled(key: object) -> object:
    return "null" if key is None else key


# --- what must hold --------------------------------------------------------------------------------------------------


@effort(150)
@given(text=documents, path=paths)
@example(text="a: |+\n  kept\n\n", path=("K",))
def test_all_else_means_the_same_and_comments_stay_or_nothing_changes(text: str, path: tuple[str, ...]) -> None:
    before = parsed(text)
    try:
        after = written(text, path, VALUE)
    except OperatorNeeded:
        assume(False)
    expected = put(before, path, VALUE)
    if f"&{path[-1]}" not in text and "&x" not in text:  # an alias to the value follows it
        assert parsed(after) == expected
    assert comments(after) == comments(text)
    assert held(after, path) == VALUE
    assert written(after, path, VALUE) == after
    assert after.count(VALUE) == 1
    head, tail = after.split(VALUE)
    starts = [i for i in range(len(text) + 1) if head.startswith(text[:i])]
    ends = [i for i in range(len(text) + 1) if tail.endswith(text[i:])]
    if exists(before, path):
        assert len(text) - starts[-1] - (len(text) - ends[0]) <= 40  # no more than the longest of our old values
    else:
        assert set(starts) & set(ends)


@effort(100)
@given(text=documents, path=paths)
def test_what_is_taken_out_again_leaves_the_others_as_they_were(text: str, path: tuple[str, ...]) -> None:
    before = parsed(text)
    try:
        between = written(text, path, VALUE)
        after = without(between, path)
    except OperatorNeeded:
        assume(False)
    assert held(after, path) is None
    assert VALUE not in after
    others = "\n".join(line for line in between.splitlines() if VALUE not in line)
    assert comments(after) in (comments(between), comments(others))
    if isinstance(before, dict) and len(path) == 1 and path[0] not in {str(_spelled(key)) for key in before}:
        assert parsed(after) == before
        assert after == text


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "app.yaml"
    assert set(os.listdir(tmp_path)) <= {"app.yaml", ".app.yaml.rotation"}, "a draft was left behind"


_soup = st.text(st.sampled_from("Kab01:-?[]{},&*!|>'\"%@` \t\n\r#.~\\<=\ufeff\x85\u2028ü"), max_size=40)


@effort(80)
@given(content=documents.map(str.encode) | _soup.map(str.encode) | st.binary(max_size=30))
@example(content=b'"\\UFFFFFFFF": 1')
def test_a_file_says_our_key_or_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1, 1))
    path.with_name(".app.yaml.rotation").unlink(missing_ok=True)
    publisher = open_publisher("yaml", Secret(f"{path}#K"))
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
    assert publisher.read_back("K", publication.value) is Holding.SAME
    after = path.read_bytes()
    publisher.publish(publication)
    assert path.read_bytes() == after
    if raised(OperatorNeeded, lambda: publisher.withdraw(publication)) is None:
        assert VALUE.encode() not in path.read_bytes()
