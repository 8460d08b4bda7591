"""The json publisher: one member changes, and every other byte stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._places.files.json_text import held, without, written
from tasks.publishers._places.files.pointer import path_of_pointer, pointer, pointer_fragment
from tasks.rotation.errors import InvalidInput, OperatorNeeded
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
        ('{"K":"old"}', K, '{"K":"new"}'),
        ('{"K": null}', K, '{"K": "new"}'),
        ('{"K" : false , "a":1e400}', K, '{"K" : "new" , "a":1e400}'),
        ('{"a":"\\u00e4\\/","\\u004b":"old"}\n\n', K, '{"a":"\\u00e4\\/","\\u004b":"new"}\n\n'),
        ('\ufeff{"K":"old"}', K, '\ufeff{"K":"new"}'),
        ('{\r\n\t"a": 1234567890123456.10,\t"K": ""\r\n}', K, '{\r\n\t"a": 1234567890123456.10,\t"K": "new"\r\n}'),
        ('{"a":[{"K":1},{"K":2}]}', ("a", "1", "K"), '{"a":[{"K":1},{"K":"new"}]}'),
        ('["x", "y"]', ("1",), '["x", "new"]'),
        ('{"a/b":{"~":{"":"old"}}}', ("a/b", "~", ""), '{"a/b":{"~":{"":"new"}}}'),
        ('{"0":{"K":"old"}}', ("0", "K"), '{"0":{"K":"new"}}'),
    ],
)  # fmt: skip
def test_a_value_is_replaced_where_it_stands(before: str, path: tuple[str, ...], after: str) -> None:
    assert written(before, path, "new") == after
    assert written(after, path, "new") == after
    assert held(after, path) == "new"


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("{}", K, '{"K": "new"}'),
        ("{}\n", K, '{"K": "new"}\n'),
        ('{"a":1}', K, '{"a":1,"K":"new"}'),
        ('{"a": 1}', K, '{"a": 1, "K": "new"}'),
        ('{ "a" : 1 }', K, '{ "a" : 1, "K" : "new" }'),
        ('{\n  "a": 1,\n  "b": {}\n}\n', K, '{\n  "a": 1,\n  "b": {},\n  "K": "new"\n}\n'),
        ('{\n  "a": 1,\n  "b": {}\n}\n', ("b", "K"), '{\n  "a": 1,\n  "b": {"K": "new"}\n}\n'),
        ('{\r\n\t"a": 1\r\n}', K, '{\r\n\t"a": 1,\r\n\t"K": "new"\r\n}'),
        ('{"a": {"b": [1, {"c": 2}]}}', ("a", "b", "1", "K"), '{"a": {"b": [1, {"c": 2, "K": "new"}]}}'),
        ('{"a": 1}', ("b", "c", "K"), '{"a": 1, "b": {"c": {"K": "new"}}}'),
        ('{"ports": {"80": 1}}', ("ports", "8080"), '{"ports": {"80": 1, "8080": "new"}}'),
        ('{"a": 1}', ('ü"',), '{"a": 1, "ü\\"": "new"}'),
    ],
)
def test_a_missing_member_becomes_the_last_and_looks_like_its_neighbours(
    before: str, path: tuple[str, ...], after: str
) -> None:
    assert written(before, path, "new") == after
    assert held(after, path) == "new"
    if len(path) == 1 or path[0] in json.loads(before):
        assert without(after, path) == before


@pytest.mark.parametrize("nothing", [None, "", " \n\t\r\n"])
def test_where_there_is_no_document_one_is_made(nothing: str | None) -> None:
    assert written(nothing, K, "new") == '{\n  "K": "new"\n}\n'
    assert written(nothing, ("a", "K"), "new") == '{\n  "a": {\n    "K": "new"\n  }\n}\n'
    assert held(nothing, K) is None


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ('{"K": "v"}', K, "{}"),
        ('{ "K": "v" }', K, "{}"),
        ('{"K": "v", "a": 1}', K, '{"a": 1}'),
        ('{"a": 1, "K": "v", "b": 2}', K, '{"a": 1, "b": 2}'),
        ('{\n  "K": "v",\n  "b": 2\n}', K, '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "K": "v"\n}', K, '{\n  "a": 1\n}'),
        ('{"a": ["x", "v", "y"]}', ("a", "1"), '{"a": ["x", null, "y"]}'),
        ('\ufeff{"K": "v"}\n', K, "\ufeff{}\n"),
        ('{"a": 1}', K, '{"a": 1}'),
        ('{"a": 1}', ("a", "K"), '{"a": 1}'),
        ("[]", ("0",), "[]"),
    ],
)
def test_a_member_is_taken_out_with_its_comma(before: str, path: tuple[str, ...], after: str) -> None:
    assert without(before, path) == after
    assert held(after, path) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"K": "a\\u0062c"}', "abc"),
        ('{"K": "\\ud83d\\ude00"}', "\U0001f600"),
        ('{"K": "\\ud800"}', "\ud800"),
        ('{"K": ""}', None),
        ('{"K": null}', None),
        ('{"k": "x"}', None),
        ('"K"', None),
        ('["K"]', None),
        ('{"K": 5}', "5"),
        ('{"K": {"a": "x"}}', '{"a": "x"}'),
    ],
)
def test_what_it_holds_is_what_readers_see(text: str, value: str | None) -> None:
    assert held(text, K) == value


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "K=1", "{", '{"K": "x"', '{"K": "x",}', "{'K': 1}", '{"K": NaN}', '{"K": -Infinity}', '{"K": 01}', '{"K": 1.}',
        '{"K": "a\nb"}', '{"K": "\\x41"}', '{"K": 1} {"K": 2}', '{"a": 1} // c', "/* c */ {}", '{"K" "x"}', "\x00",
        "\xa0", "\ufeff\ufeff{}", "nul", "# yaml",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_untouched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "app.json"
    path.write_text(text, encoding="utf-8", newline="")
    os.utime(path, (1, 1))
    publisher = open_publisher("json", Secret(str(path)))
    with pytest.raises(OperatorNeeded, match="not JSON") as refused:
        publisher.publish(replace(PUBLICATION, secret_name="K"))
    assert refused.value.__context__ is None  # the foreign error holds the content
    with pytest.raises(InvalidInput, match="not JSON"):
        publisher.check("K")
    assert path.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["app.json"]


@pytest.mark.parametrize("text", ['{"K": 1, "K": 2}', '{"a": {"b": 1, "\\u0062": 2}}', '{"a": [{"b": 1, "b": 1}]}'])
def test_a_name_that_stands_twice_is_refused(text: str) -> None:
    asks: tuple[Callable[[], object], ...] = (
        lambda: written(text, K, "new"),
        lambda: without(text, K),
        lambda: held(text, K),
    )
    for ask in asks:
        with pytest.raises(OperatorNeeded, match="twice"):
            ask()


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ('{"K": {"a": 1}}', K, "ends at an object"),
        ('{"K": []}', K, "ends at a list"),
        ('{"a": "text"}', ("a", "K"), "leads through a value"),
        ('{"a": null}', ("a", "K"), "leads through a value"),
        ('"text"', K, "leads through a value"),
        ("[]", K, "item that the list does not have"),
        ('["x"]', ("1",), "item that the list does not have"),
        ('["x"]', ("-",), "item that the list does not have"),
        ('["x"]', ("00",), "item that the list does not have"),
        ("{}", ("a", "0", "K"), "could be a name or an index"),
        ("{}", ("a", "-"), "could be a name or an index"),
        ("", ("0", "K"), "could be a name or an index"),
    ],
)
def test_a_path_that_does_not_fit_is_refused(text: str, path: tuple[str, ...], why: str) -> None:
    with pytest.raises(OperatorNeeded, match=why):
        written(text, path, "new")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 50_000 + "]" * 50_000])
def test_a_hostile_depth_is_refused(text: str) -> None:
    with pytest.raises(OperatorNeeded, match=r"nested too deeply|not JSON"):
        written(text, K, "new")


def test_a_number_of_any_length_stays() -> None:
    text = f'{{"a": {"9" * 10_000}, "K": "old"}}'
    assert written(text, K, "new") == text.replace("old", "new")


# --- how the place is named --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fragment", "path"),
    [
        ("/a", ("a",)),
        ("/a/b/0", ("a", "b", "0")),
        ("/", ("",)),
        ("/a~1b/~0/~01", ("a/b", "~", "~1")),
        ("/a%2Fb", ("a", "b")),
        ("/c%25d/e%3Ff/g%23h", ("c%d", "e?f", "g#h")),
        ("/%C3%BC/ü", ("ü", "ü")),
        ("/a b", ("a b",)),
    ],
)
def test_a_pointer_is_read_as_rfc_6901_writes_it(fragment: str, path: tuple[str, ...]) -> None:
    assert path_of_pointer(fragment) == path
    assert path_of_pointer(pointer_fragment(path)) == path


def test_a_pointer_in_the_companion_is_not_percent_encoded() -> None:
    assert pointer(("a/b", "~", "c%d")) == "/a~1b/~0/c%d"


@pytest.mark.parametrize(
    "fragment",
    ["", "a", "a/b", "/~", "/~2", "/a~", "/%", "/%zz", "/%ff", "/a%0Ab", "/a\tb", "/a?symlink=follow", "/a#b"],
)
def test_what_is_no_pointer_is_refused_and_not_repeated(fragment: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        open_publisher("json", Secret(f"/srv/secret-name.json#{fragment}"))
    assert "secret-name" not in str(refused.value)


@pytest.mark.parametrize(
    "target", ["#/a", "/", "/srv/#/a", "?symlink=follow#/a", "/a?symlink=perhaps#/a", "/a?mode=0600"]
)
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish"):
        open_publisher("json", Secret(target))


def test_two_spellings_of_one_place_have_one_label() -> None:
    spellings = ["/srv/a.json#/%61/%25~1", "//srv/./a.json?symlink=refuse#/a/%25~1"]
    assert {open_publisher("json", Secret(text)).label for text in spellings} == {"json:/srv/a.json#/a/%25~1"}


def test_without_a_pointer_each_secret_has_a_member_of_its_own(tmp_path: Path) -> None:
    publisher = open_publisher("json", Secret(f"{tmp_path}/app.json"))
    assert publisher.holds_variables
    assert not open_publisher("json", Secret(f"{tmp_path}/app.json#/a")).holds_variables
    publisher.publish(PUBLICATION)
    publisher.publish(replace(PUBLICATION, rotation_id="r2", secret_name="OTHER"))
    assert json.loads((tmp_path / "app.json").read_text()) == {NAME: VALUE, "OTHER": VALUE}
    assert publisher.read_back("OTHER", PUBLICATION.value) is Holding.SAME
