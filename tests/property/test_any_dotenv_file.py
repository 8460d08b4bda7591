"""Whatever a dotenv file holds: every reader sees our key and all else stays byte for byte, or nothing changes.

The dialects are read by those who own them: python-dotenv as applications use it, a POSIX shell that sources the file,
and ``docker --env-file``, whose rules are a line each (Docker's documentation, November 2026).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.rotation.errors import Broken, InvalidInput, OperatorNeeded, OutcomeUnknown, RotatorError, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.property.effort import effort
from tests.property.outcome import raised

NAME = "OPENROUTER_API_KEY"
VALUE = f"sk-or-v1-{secrets.token_hex(32)}"
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="web", secret_name=NAME, version=2, sequence=7, value=Secret(VALUE)
)
STAMP = (
    "# openrouter-rotator: rotation=web version=2 sequence=7 id=r1"
    f" value={hashlib.sha256(VALUE.encode()).hexdigest()[:32]}"
)

# --- lines of every dialect ------------------------------------------------------------------------------------------

_names = st.sampled_from(["A", "B", "_C", "D9", "a.b", "MY_" + NAME, NAME + "_2", "A-B", "Ü", "'Q'"])
_prefixes = st.sampled_from(["", "", "", "export ", "  ", "\t", "export\t", " export  "])
_equals = st.sampled_from(["=", "=", "=", " = ", "= ", " =", "\t=\t"])
_plain = st.text("abcXYZ019_@%+=:,./-", max_size=12)
_inside = st.text("ab #=$\\'\"`{}!\t\n\rü\x0b\u2028", max_size=12)
_values = st.one_of(
    _plain,
    _inside,
    _inside.map(lambda text: "'" + text.replace("'", "") + "'"),
    _inside.map(lambda text: '"' + text.replace('"', '\\"') + '"'),
    st.sampled_from(
        ["${A}", "${A:-x}", "$A", "$(id)", "`id`", "'unclosed", '"unclosed', "a'b'", "", "x" * 70_000, "a\\"]
    ),
)
_comments = st.sampled_from(["", "", "", " # mine", "#mine", " #", "\t# c", " ' # x"])
_assigned = st.builds("{}{}{}{}{}".format, _prefixes, st.just(NAME) | _names, _equals, _values, _comments)
_ours_plainly = st.builds("{}{}{}".format, st.sampled_from(["", "export "]), st.just(NAME + "="), _plain)
_odd = st.sampled_from(
    [
        "", "", "  ", "\t", "# comment", f"#{NAME}=x", NAME, f"export {NAME}", "A", "export A", "= x", "==", "not so!",
        "'", '"', "\x00", "A=\x00", "\x0c", "\ufeff", ": x", "[section]", "key: value", "<<<<<<< HEAD", "set -e",
        "if true; then", "# openrouter-rotator: rotation=other version=1 sequence=9 id=r9", "é" * 40,
        "# openrouter-rotator: rotation=web version=x", "# openrouter-rotator: rotation=web version=1 sequence=6 id=r1",
    ]
)  # fmt: skip
_lines = st.lists(_assigned | _ours_plainly | _odd, max_size=8)
_ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\x0b", "\u2028"])
_mixed = st.lists(st.tuples(_assigned | _odd, _ends), max_size=6).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)
_whole = st.builds(
    lambda mark, lines, end, last: mark + end.join(lines) + last,
    st.sampled_from(["", "", "\ufeff"]),
    _lines,
    _ends,
    st.sampled_from(["", "\n", "\r\n"]),
)
texts = (_whole | _mixed | st.text(max_size=60)).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
contents = (
    texts.map(str.encode)
    | st.binary(max_size=60)
    | st.builds(lambda a, b: a.encode() + b, texts, st.binary(max_size=3))
)

_sane_values = st.one_of(
    _plain,
    st.text("ab #=:,./-ü", max_size=12).map(lambda text: f"'{text}'"),
    st.text("ab #=:,./-ü'", max_size=12).map(lambda text: f'"{text}"'),
)
_sane = st.one_of(
    st.builds(
        "{}{}={}".format, st.sampled_from(["", "export "]), st.sampled_from(["A", "B", "_C", NAME]), _sane_values
    ),
    st.sampled_from(["# comment", "", "  "]),
)
shell_files = st.builds(
    lambda lines, last: "\n".join(lines) + last, st.lists(_sane, max_size=8), st.sampled_from(["", "\n"])
)


# --- the readers -----------------------------------------------------------------------------------------------------


def by_python(path: Path) -> dict[str, str | None]:
    """As applications read it, but that ``${...}`` stays as it is, so that other variables can be compared."""
    return dotenv_values(path, interpolate=False)


def by_shell(path: Path) -> dict[str, str]:
    """As ``set -a; . ./file`` reads it."""
    command = ["sh", "-c", 'set -a; . "$0"; env -0', str(path)]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    found = (line.partition(b"=") for line in done.stdout.split(b"\0") if line)
    return {
        name.decode(): value.decode()
        for name, _, value in found
        if name not in {b"PATH", b"PWD", b"_", b"SHLVL", b"OLDPWD"}
    }


def by_docker(path: Path) -> dict[str, str]:
    """As ``docker run --env-file`` reads it: ``NAME=`` and all the rest of the line, taken literally."""
    lines = path.read_text(encoding="utf-8").removeprefix("\ufeff").split("\n")
    named = (line.lstrip().rstrip("\r").partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name: value for name, equal, value in named if equal}


# --- what must hold --------------------------------------------------------------------------------------------------


def publish(path: Path, publication: Publication = PUBLICATION) -> RotatorError | None:
    """Publish; the error, which must be one of those that a publisher may raise, or None."""
    refusal = raised(RotatorError, lambda: open_publisher("dotenv", Secret(str(path))).publish(publication))
    assert refusal is None or isinstance(refusal, OperatorNeeded | Broken | TryAgain | OutcomeUnknown), refusal
    assert refusal is None or VALUE not in str(refusal)
    return refusal


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A place for a file, made anew by each example."""
    yield tmp_path / ".env"
    assert set(os.listdir(tmp_path)) <= {".env"}, "a draft was left behind"


@effort(300)
@given(content=contents)
@example(content=b"A='x'" + b"y" * 200_000)
@example(content=b"\xff\xfeA\x00=\x001\x00")
def test_a_file_says_our_key_to_python_and_all_else_as_before_or_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusal = publish(path)
    if refusal is not None:
        assert isinstance(refusal, OperatorNeeded)
        assert path.read_bytes() == content
        return
    after = path.read_bytes()
    path.write_bytes(content)
    before = by_python(path)
    path.write_bytes(after)
    assert by_python(path) == before | {NAME: VALUE}
    publisher = open_publisher("dotenv", Secret(str(path)))
    assert publisher.read_back(NAME, PUBLICATION.value) is Holding.SAME
    assert publish(path) is None
    assert path.read_bytes() == after, "a second publication of the same changed something"


@effort(150)
@given(content=contents)
def test_what_is_not_ours_stays_byte_for_byte(path: Path, content: bytes) -> None:
    """Where the file did not know the variable, it is what it was, with two lines behind it."""
    path.write_bytes(content)
    if publish(path) is not None or NAME.encode() in content or b"openrouter-rotator:" in content:
        return
    end = rb"(\r\n|\n|\r)"
    added = end + b"?" + re.escape(STAMP.encode()) + end + re.escape(f"{NAME}={VALUE}".encode()) + end
    assert path.read_bytes().startswith(content)
    assert re.fullmatch(added, path.read_bytes()[len(content) :])


_one_line = st.sampled_from(
    ["A=1", "export B='x y' # c", 'C="a#b"', "# c", "", "D = 4", "no assignment!", "E=${A}", "é=ü", "F"]
)
_ours = st.builds("{}{}".format, st.sampled_from(["", "export ", "  "]), st.just(f"{NAME}=")).flatmap(
    lambda left: st.tuples(st.just(left), _plain)
)


@effort(300)
@given(
    lines=st.lists(_one_line | _ours, min_size=2, max_size=8), end=st.sampled_from(["\n", "\r\n"]), ended=st.booleans()
)
def test_only_our_values_change_and_one_stamp_is_added(
    path: Path, lines: list[str | tuple[str, str]], end: str, ended: bool
) -> None:
    """The expected file is made line by line, by an oracle that knows no parser."""
    last = end if ended else ""
    path.write_bytes((end.join("".join(line) for line in lines) + last).encode())
    expected = [line if isinstance(line, str) else f"{line[0]}{VALUE}" for line in lines]
    places = [index for index, line in enumerate(lines) if not isinstance(line, str)]
    if places:
        expected.insert(places[-1], STAMP)
    else:
        blank_end = not ended and lines[-1] == ""  # then the line before it has ended the file
        expected, last = [*expected[: -1 if blank_end else None], STAMP, f"{NAME}={VALUE}"], end
    assert publish(path) is None
    assert path.read_bytes().decode() == end.join(expected) + last


@effort(40)
@given(text=shell_files)
def test_python_shells_and_docker_see_the_same_key(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    shell, docker = by_shell(path), by_docker(path)
    assert publish(path) is None
    assert by_shell(path) == shell | {NAME: VALUE}
    assert by_python(path)[NAME] == VALUE
    assert {name: value for name, value in by_docker(path).items() if name.removeprefix("export ") != NAME} == {
        name: value for name, value in docker.items() if name.removeprefix("export ") != NAME
    }


@effort(100)
@given(value=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40), text=shell_files)
def test_any_key_that_can_be_written_reads_the_same_in_python(path: Path, value: str, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    refusal = publish(path, replace(PUBLICATION, value=Secret(value)))
    if refusal is None:
        assert by_python(path)[NAME] == value
        assert dotenv_values(path)[NAME] == value
    else:
        assert isinstance(refusal, Broken)
        assert path.read_text(encoding="utf-8") == text


@effort(100)
@given(content=contents, name=st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z"))
def test_any_variable_may_be_ours(path: Path, content: bytes, name: str) -> None:
    path.write_bytes(content)
    if publish(path, replace(PUBLICATION, secret_name=name)) is None:
        assert by_python(path)[name] == VALUE
    else:
        assert path.read_bytes() == content


@effort(100)
@given(content=contents)
def test_a_check_says_what_a_publication_would_and_changes_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    checked = raised(InvalidInput, lambda: open_publisher("dotenv", Secret(str(path))).check(NAME))
    assert path.read_bytes() == content
    if checked is not None:
        assert publish(path) is not None


@effort(150)
@given(
    content=texts,
    call=st.sampled_from(["fsync", "fchmod", "replace"]),
    nth=st.integers(1, 2),
    number=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EINTR, errno.EDQUOT]),
)
def test_a_write_that_fails_anywhere_leaves_the_old_file_or_the_new_one_whole(
    path: Path, content: str, call: str, nth: int, number: int
) -> None:
    path.write_bytes(content.encode())
    if publish(path) is not None:
        return
    new = path.read_bytes()
    path.write_bytes(content.encode())
    calls, real = [0], getattr(os, call)

    def failing(*arguments: object, **named: object) -> object:
        calls[0] += 1
        if calls[0] == nth:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **named)

    with patch.object(os, call, failing):
        refusal = publish(path)
    if calls[0] < nth or content.encode() == new:
        return
    assert refusal is not None
    confirmed_late = call == "fsync" and nth == 2
    assert isinstance(refusal, OutcomeUnknown) is confirmed_late
    assert path.read_bytes() == (new if confirmed_late else content.encode())
