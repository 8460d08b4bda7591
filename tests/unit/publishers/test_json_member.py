"""One member of a JSON object is changed, and the text of the others is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.publishers._places.aws.json_member import read_object, with_member, without_member

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


@given(OBJECTS, st.text(), st.text(), st.sampled_from([None, 2]), st.booleans())
def test_the_member_is_set_and_everything_else_stays(
    known: dict[str, object], name: str, value: str, indent: int | None, to_ascii: bool
) -> None:
    text = json.dumps(known, indent=indent, ensure_ascii=to_ascii)
    assert list(json.loads(with_member(text, name, value)).items()) == list({**known, name: value}.items())
    rest = {other: kept for other, kept in known.items() if other != name}
    assert list(json.loads(without_member(text, name)).items()) == list(rest.items())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{"K": "v"}'),
        ('  { "K" : [1] }  ', '{"K": "v"}'),
        ('{"a":1.0e400,"K":0,"b" :\t"\\u00e9"}', '{"a":1.0e400, "K": "v", "b" :\t"\\u00e9"}'),
        ('{"a": 1, "a": 2}', '{"a": 2, "K": "v"}'),
        ('{"\\u004b": 1}', '{"K": "v"}'),
    ],
)
def test_what_is_not_ours_stays_as_it_was_written(before: str, after: str) -> None:
    assert with_member(before, "K", "v") == after


@pytest.mark.parametrize("text", ["", "null", "[]", '"{}"', "{} {}", '{"a"}', "{", "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_object_is_none(text: str) -> None:
    assert read_object(text) is None
