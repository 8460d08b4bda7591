"""The yaml publisher: one value changes, and every other byte stays; nothing in the file is run or multiplied."""

from __future__ import annotations

import builtins
import inspect
import itertools
import os
import pkgutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import ruamel.yaml
import yaml

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._places.files import yaml_nodes
from tasks.publishers._places.files.pointer import dotted_fragment, path_of_dotted
from tasks.publishers._places.files.yaml_text import held, without, written
from tasks.rotation.errors import InvalidInput, OperatorNeeded, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

NAME = "OPENROUTER_API_KEY"
VALUE = f"test-key-{token_hex(8)}"
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name=NAME, version=2, sequence=7, value=Secret(VALUE)
)
K = ("K",)


# --- what the file says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("K: old\n", K, 'K: "new"\n'),
        ("K: older-key # mine\nb: 2\n", K, 'K: "new" # mine\nb: 2\n'),
        ("K: 'old'\n", K, "K: 'new'\n"),
        ('K: "old"', K, 'K: "new"'),
        ("K:\n", K, 'K: "new"\n'),
        ("K: # none yet\n\nb: 1\n", K, 'K: "new" # none yet\n\nb: 1\n'),
        ("K: ~\n", K, 'K: "new"\n'),
        ("K: |\n  old\n  lines\n\n# tail\nb: 1\n", K, 'K: "new"\n\n# tail\nb: 1\n'),
        ("K: >-\n  old\n  lines\nb: 1\n", K, 'K: "new"\nb: 1\n'),
        ("K: two\n  lines\nb: 1\n", K, 'K: "new"\nb: 1\n'),
        ("K: &k old\nb: *k\n", K, 'K: &k "new"\nb: *k\n'),
        ("K: &k\nb: *k\n", K, 'K: &k "new"\nb: *k\n'),
        ("a: &a x\nK: *a\n", K, 'a: &a x\nK: "new"\n'),
        ("K: !secret name\nb: !vault x\n", K, 'K: "new"\nb: !vault x\n'),
        ('"K" : old\r\nb: 0o17\r\n', K, '"K" : "new"\r\nb: 0o17\r\n'),
        ("a:\n- x: 1\n-  K:  old\n", ("a", "1", "K"), 'a:\n- x: 1\n-  K:  "new"\n'),
        ("a: [x, y] # c\n", ("a", "1"), 'a: [x, "new"] # c\n'),
        ("a:\n  -\n  - y\n", ("a", "0"), 'a:\n  - "new"\n  - y\n'),
        ("{a: 1, K: old}", K, '{a: 1, K: "new"}'),
        ('{"K":"old"}', K, '{"K":"new"}'),
        ("8080: x\n", ("8080",), '8080: "new"\n'),
        ("? K\n: old\n", K, '? K\n: "new"\n'),
        ("%YAML 1.1\n---\nK: old\n...\n", K, '%YAML 1.1\n---\nK: "new"\n...\n'),
        ("\ufeffK: old\n", K, '\ufeffK: "new"\n'),
    ],
)
def test_a_value_is_replaced_where_it_stands(before: str, path: tuple[str, ...], after: str) -> None:
    assert written(before, path, "new") == after
    assert written(after, path, "new") == after
    assert held(after, path) == "new"


def test_a_plain_value_stays_plain_if_every_reader_takes_it_for_a_text() -> None:
    assert written("K: older-key\n", K, "newer-key_1") == "K: newer-key_1\n"
    for word in ("false", "null", "123456", "1e1000", "a: b", "x #y", "*alias", "- item", "new "):
        after = written("K: older-key\n", K, word)
        assert yaml.safe_load(after) == ruamel.yaml.YAML(typ="safe").load(after) == {"K": word}


@pytest.mark.parametrize(
    "value", ["it's", 'say "x"', "back\\slash", "ü€\U0001f600", "%{a}", "&a", "!t", "=", "<<", "#"]
)
@pytest.mark.parametrize("before", ["K: old\n", "K: 'old'\n", 'K: "old"\n', "{K: old}\n", "a: 1\n"])
def test_whatever_the_value_is_readers_get_it(before: str, value: str) -> None:
    assert yaml.safe_load(written(before, K, value))["K"] == value


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("a: 1\n", K, 'a: 1\nK: "new"\n'),
        ("a: 1", K, 'a: 1\nK: "new"'),
        ("a: 1\r\nb: 2", K, 'a: 1\r\nb: 2\r\nK: "new"'),
        ("a: 1 # c\n# tail\n", K, 'a: 1 # c\nK: "new"\n# tail\n'),
        ("a: 1\r\nb: 2\r\n", K, 'a: 1\r\nb: 2\r\nK: "new"\r\n'),
        ("a:\n- 1\n- 2\n\n# end\n", K, 'a:\n- 1\n- 2\nK: "new"\n\n# end\n'),
        ("a: |\n  text\n", K, 'a: |\n  text\nK: "new"\n'),
        ("a: |+\n  text\n\n\n", K, 'K: "new"\na: |+\n  text\n\n\n'),
        ("a: |\n  text", K, 'K: "new"\na: |\n  text'),
        ("a: [1,\n 2] # c\n", K, 'a: [1,\n 2] # c\nK: "new"\n'),
        ("a:\n    b: 1\n    # c\nd: 2\n", ("a", "K"), 'a:\n    b: 1\n    K: "new"\n    # c\nd: 2\n'),
        ("a:\n  - b: 1\n  - b: 2\n", ("a", "1", "K"), 'a:\n  - b: 1\n  - b: 2\n    K: "new"\n'),
        ("a: &d {k: 1}\nb:\n  <<: *d\n", ("b", "k"), 'a: &d {k: 1}\nb:\n  <<: *d\n  k: "new"\n'),
        ("{}", K, '{K: "new"}'),
        ("{a: 1}", K, '{a: 1, K: "new"}'),
        ("{a: 1,}", K, '{a: 1, K: "new",}'),
        ('{"a": 1}', K, '{"a": 1, "K": "new"}'),
        ("{\n  a: 1,\n  b: 2 # c\n}\n", K, '{\n  a: 1,\n  b: 2,\n  K: "new" # c\n}\n'),
        ("a: 1\n...\n", K, 'a: 1\nK: "new"\n...\n'),
        ("a: 1\n", ("no",), 'a: 1\n"no": "new"\n'),
        ("a: 1\n", ("x.y/z",), 'a: 1\n"x.y/z": "new"\n'),
        ("# only a comment\n", K, '# only a comment\nK: "new"\n'),
        ("---\n", K, '---\nK: "new"\n'),
    ],
)
def test_a_missing_key_becomes_the_last_and_goes_without_a_trace(
    before: str, path: tuple[str, ...], after: str
) -> None:
    assert written(before, path, "new") == after
    assert held(after, path) == "new"
    assert without(after, path) == before


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("a: 1\n", ("b", "c", "K"), 'a: 1\nb:\n  c:\n    K: "new"\n'),
        ("a: {}\n", ("a", "b", "K"), 'a: {b: {K: "new"}}\n'),
        ("", ("a", "K"), 'a:\n  K: "new"\n'),
        ("# c", K, '# c\nK: "new"\n'),
    ],
)
def test_missing_mappings_are_made(before: str, path: tuple[str, ...], after: str) -> None:
    assert written(before, path, "new") == after


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("K: v\n", K, "{}\n"),
        ("# c\nK: v # mine\nb: 1\n", K, "# c\nb: 1\n"),
        ("a:\n  K: v # c\nb: 1\n", ("a", "K"), "a:\n  {} # c\nb: 1\n"),
        ("- K: v\n  b: 1\n", ("0", "K"), "- b: 1\n"),
        ("- K: v # c\n  # about b\n  b: 1\n", ("0", "K"), "-  # c\n  # about b\n  b: 1\n"),
        ("- K: v\n", ("0", "K"), "- {}\n"),
        ("- x\n- v # c\n", ("1",), "- x\n- null # c\n"),
        ("{K: v, b: 1}", K, "{b: 1}"),
        ("{a: 1, K: v, b: 1}", K, "{a: 1, b: 1}"),
        ("{a: 1, # about K\n K: v}", K, "{a: 1, # about K\n }"),
        ("{K: v, # about K\n b: 1}", K, "{ # about K\n b: 1}"),
        ("a: 1\n", K, "a: 1\n"),
        ("a: text\n", ("a", "K"), "a: text\n"),
        ("", K, ""),
    ],
)
def test_a_key_is_taken_out_and_the_comments_of_others_stay(before: str, path: tuple[str, ...], after: str) -> None:
    assert without(before, path) == after
    assert held(after, path) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("K: v\n", "v"),
        ("K: 'it''s'\n", "it's"),
        ('K: "a\\u0062c"\n', "abc"),
        ("K: |\n  v\n", "v\n"),
        ("K: ''\n", None),
        ("K:\n", None),
        ("K: null\n", None),
        ("K: 'null'\n", "null"),
        ("k: v\n", None),
        ("- K\n", None),
        ("text\n", None),
        ("K: {a: x}\n", "{a: x}"),
        ("a: &a v\nK: *a\n", "*a"),
    ],
)
def test_what_it_holds_is_what_readers_see(text: str, value: str | None) -> None:
    assert held(text, K) == value


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ("K: 1\nK: 2\n", K, "twice"),
        ("a:\n  - {b: 1, 'b': 2}\n", K, "twice"),
        ("a: 1\n---\nb: 2\n", K, "more than one document"),
        ("K: {a: 1}\n", K, "ends at a mapping"),
        ("K: [1]\n", K, "ends at a list"),
        ("a: text\n", ("a", "K"), "leads through a value"),
        ("a:\n", ("a", "K"), "leads through a value"),
        ("a: &d {k: 1}\nb: *d\n", ("b", "k"), "an alias"),
        ("text\n", K, "leads through a value"),
        ("- x\n", K, "item that the list does not have"),
        ("- x\n", ("1",), "item that the list does not have"),
        ("a: 1\n", ("b", "0", "K"), "could be a name or an index"),
        ("", ("0",), "could be a name or an index"),
        ("? a\n: b\n", K, "without changing what else"),
        ("---\n...\n", K, "without changing what else"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, path: tuple[str, ...], why: str) -> None:
    with pytest.raises(OperatorNeeded, match=why):
        written(text, path, "new")


def test_a_value_that_an_alias_stands_for_is_not_taken_away() -> None:
    with pytest.raises(OperatorNeeded, match="alias"):
        without("K: &k v\nb: *k\n", K)
    with pytest.raises(OperatorNeeded, match="alias"):
        without("&k K: v\nb: *k\n", K)
    assert without("K: &k v\nb: 1\n", K) == "b: 1\n"


BROKEN = [
    "K: 'open\n", "K: \"open\n", "a: b: c\n", "{a: 1", "[", "\t- a\n", "K: @x\n", "K: `x\n", "a: *\n", "\x00",
    "&a &b c", "!<", '"\\UFFFFFFFF": 1', "%YAML 9.9\n---\na: 1\n", "%YAML x\n---\n", "%" * 5000, "]", ",",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_not_yaml_is_refused_untouched_and_not_quoted(tmp_path: Path, text: str) -> None:
    path, marker = tmp_path / "app.yaml", token_hex(8)
    path.write_text(f"# {marker}\n{text}" if not text.startswith("%") else text, encoding="utf-8")
    os.utime(path, (1, 1))
    before = path.read_bytes()
    publisher = open_publisher("yaml", Secret(str(path)))
    with pytest.raises(OperatorNeeded, match="not YAML") as refused:
        publisher.publish(replace(PUBLICATION, secret_name="K"))
    assert refused.value.__context__ is None
    assert marker not in str(refused.value)
    with pytest.raises(InvalidInput, match="not YAML"):
        publisher.check("K")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["app.yaml"]


def test_the_line_of_a_fault_is_told() -> None:
    with pytest.raises(OperatorNeeded, match="see line 3"):
        written("a: 1\nb: 2\nc: d: e\n", K, "new")


def faults_of_the_library() -> Iterator[type[Exception]]:
    for module in pkgutil.iter_modules(ruamel.yaml.__path__):
        if module.name not in {"cyaml", "clibz", "configobjwalker"}:  # need what is not installed
            for _, found in inspect.getmembers(import_module(f"ruamel.yaml.{module.name}"), inspect.isclass):
                if issubclass(found, Exception) and found.__module__.startswith("ruamel."):
                    yield found


FAULTS: list[type[Exception]] = [*dict.fromkeys(faults_of_the_library()), OverflowError, IndexError, RecursionError]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_library_is_one_of_ours(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(self: object, text: str) -> Iterator[Any]:
        raise fault.__new__(fault, "the content")
        yield

    monkeypatch.setattr(ruamel.yaml.YAML, "parse", parse)
    with pytest.raises(OperatorNeeded, match="not YAML") as refused:
        written("K: x\n", K, "new")
    assert refused.value.__context__ is None


# --- hostile documents -------------------------------------------------------------------------------------------


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_a_billion_laughs_are_not_laughed() -> None:
    begun = time.process_time()
    assert written(LAUGHS, K, "new") == f'{LAUGHS}K: "new"\n'
    assert time.process_time() - begun < 2


def test_an_alias_to_what_it_stands_in_does_no_harm() -> None:
    assert written("a: &a [*a]\n", K, "new") == 'a: &a [*a]\nK: "new"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200, "nested more than 64 deep"),
        ("{a: " * 10_000, "nested more than 64 deep"),
        ("- " * 10_000, "nested more than 64 deep"),
        ("[\n" * 10_000, "nested more than 64 deep"),
        ("? " * 10_000, "nested more than 64 deep"),
        ("a: " + "x" * 300_000, "larger than 256 KiB"),
        ("a: [" + "1, " * 1_200 + "]", "more than 1000 values"),
    ],
)
def test_what_is_out_of_bounds_is_refused(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "MOST_VALUES", 1_000)
    with pytest.raises(OperatorNeeded, match=why):
        written(text, K, "new")


def test_reading_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "LONGEST_S", -1.0)
    with pytest.raises(TryAgain, match="could not be read within"):
        written("a: 1\n", K, "new")


@pytest.mark.parametrize("edit", [lambda: written("a: 1\n", K, "new"), lambda: without("a: 1\nK: x\n", K)])
def test_reading_what_came_of_an_edit_takes_of_the_same_time(
    monkeypatch: pytest.MonkeyPatch, edit: Callable[[], str]
) -> None:
    """Each event takes a second here: one reading is done in time, and the second one is not."""
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(yaml_nodes, "LONGEST_S", 14.0)
    with pytest.raises(TryAgain, match="could not be read within"):
        edit()


def test_no_tag_is_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    text = f'a: !!python/object/apply:os.system ["touch {touched}"]\nb: !!python/name:os.system\nc: !!int x\n'
    assert written(text, K, "new") == f'{text}K: "new"\n'
    assert not touched.exists()


def test_a_missing_client_is_said_whatever_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.yaml").write_text("a: 1\n")
    real = builtins.__import__

    def refusing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("ruamel"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refusing)
    asks: tuple[Callable[[], object], ...] = (
        lambda: open_publisher("yaml", Secret(f"{tmp_path}/app.yaml")).publish(PUBLICATION),
        lambda: open_publisher("yaml", Secret(f"{tmp_path}/nowhere/app.yaml")).check(NAME),
    )
    for ask in asks:
        with pytest.raises(OperatorNeeded, match="not installed") as refused:
            ask()
        assert "openrouter-rotator[yaml]" in refused.value.remedy


# --- how the place is named --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "path"),
    [
        ("a", ("a",)),
        ("a.b.0", ("a", "b", "0")),
        ("app%2Ekubernetes%2Eio/name.x", ("app.kubernetes.io/name", "x")),
        ("c%25d.e%3Ff.g%23h", ("c%d", "e?f", "g#h")),
        ("a b.ü", ("a b", "ü")),
    ],
)
def test_names_are_joined_by_dots(fragment: str, path: tuple[str, ...]) -> None:
    assert path_of_dotted(fragment) == path
    assert dotted_fragment(path) == fragment


@pytest.mark.parametrize(
    "fragment", ["", ".", "a.", ".a", "a..b", "%", "a%zz", "%ff", "a%0Ab", "a?symlink=follow", "a#b"]
)
def test_what_is_no_path_is_refused_and_not_repeated(fragment: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        open_publisher("yaml", Secret(f"/srv/secret-name.yaml#{fragment}"))
    assert "secret-name" not in str(refused.value)


def test_without_a_path_each_secret_has_a_key_of_its_own(tmp_path: Path) -> None:
    publisher = open_publisher("yaml", Secret(f"{tmp_path}/app.yaml"))
    assert publisher.holds_variables
    assert not open_publisher("yaml", Secret(f"{tmp_path}/app.yaml#a")).holds_variables
    publisher.publish(PUBLICATION)
    publisher.publish(replace(PUBLICATION, rotation_id="r2", secret_name="OTHER"))
    assert yaml.safe_load((tmp_path / "app.yaml").read_text()) == {NAME: VALUE, "OTHER": VALUE}
    assert publisher.read_back("OTHER", PUBLICATION.value) is Holding.SAME
