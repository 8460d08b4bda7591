"""What a withdrawal takes out of a dotenv file: our variable and our line, and nothing else."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
from dotenv import dotenv_values
from hypothesis import assume, given
from hypothesis import strategies as st

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._places.files.dotenv_text import edited, withdrawn
from tasks.rotation.errors import InvalidInput, OperatorNeeded
from tasks.rotation.ports import Publication
from tests.property.effort import effort

NAME = "OPENROUTER_API_KEY"
VALUE = f"test-key-{token_hex(8)}"
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name=NAME, version=2, sequence=7, value=Secret(VALUE)
)
STAMP = "# openrouter-rotator: rotation=billing version=2 sequence=7 id=r1"
OLDER = "# openrouter-rotator: rotation=billing version=1 sequence=5 id=r1"
THEIRS = "# openrouter-rotator: rotation=search version=1 sequence=1 id=r2"
OURS = f"{STAMP}\n{NAME}={VALUE}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OURS, ""),
        (f"A=1\n{OURS}", "A=1\n"),
        (f"A=1\n{OURS}B=2", "A=1\nB=2"),
        (f"\ufeff{OURS}B=2\n", "\ufeffB=2\n"),
        (f"A=1\n\n\n{STAMP}\n\n{NAME}={VALUE}\n\nB=2\n", "A=1\n\n\n\n\nB=2\n"),
        (f"A=1\r\n{STAMP}\r\nexport {NAME}='{VALUE}' # mine\r\nB=2\r\n", "A=1\r\nB=2\r\n"),
        (f"{STAMP}\n# a person's comment\n{NAME}={VALUE}\n", "# a person's comment\n"),
        (f"{NAME}={VALUE}\nA=1\n{OURS}", "A=1\n"),
        (f"{NAME}=theirs\nA=1\n{OURS}", f"{NAME}=theirs\nA=1\n"),
        (
            f"# c\nA='x\n{NAME}=inside\n'\n{OURS}not an assignment!\n",
            f"# c\nA='x\n{NAME}=inside\n'\nnot an assignment!\n",
        ),
        (f"{STAMP}\nA=1\n{NAME}={VALUE}\n", "A=1\n"),  # somebody sorted the file
        (f"{STAMP}\nA=1\n", "A=1\n"),  # somebody took the variable away
    ],
)
def test_the_variable_and_our_line_go_and_all_else_stays(before: str, after: str) -> None:
    assert withdrawn(before, PUBLICATION) == after
    assert withdrawn(after, PUBLICATION) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{NAME}={VALUE}\n", f"{NAME}={VALUE}\n"),  # no line of ours: a person's
        (f"{STAMP}\n{NAME}=changed-by-hand\n", f"{NAME}=changed-by-hand\n"),
        (f"{STAMP}\n{NAME}=\n", f"{NAME}=\n"),
        (f"{THEIRS}\n{NAME}=theirs\n", f"{THEIRS}\n{NAME}=theirs\n"),
        (f"{STAMP}\nA=1\n{THEIRS}\n{NAME}={VALUE}\n", f"A=1\n{THEIRS}\n{NAME}={VALUE}\n"),
        (f"{THEIRS}\nTHEIRS=1\n{OURS}", f"{THEIRS}\nTHEIRS=1\n"),
        (f"{OLDER}\n{NAME}=changed-by-hand\n", f"{NAME}=changed-by-hand\n"),
        (f"{OLDER} value={'0' * 32}\n{NAME}=changed-by-hand\n", f"{NAME}=changed-by-hand\n"),
        (OURS.replace("sequence=7", "sequence=8"), OURS.replace("sequence=7", "sequence=8")),
    ],
)
def test_what_somebody_else_put_there_stays(before: str, after: str) -> None:
    assert withdrawn(before, PUBLICATION) == after


def test_an_earlier_version_of_the_rotation_goes_too() -> None:
    earlier = edited("A=1\n", replace(PUBLICATION, version=1, sequence=5, value=Secret("earlier")))
    assert withdrawn(earlier, PUBLICATION) == "A=1\n"


def test_a_variable_in_lines_that_cannot_be_parsed_needs_a_person() -> None:
    with pytest.raises(OperatorNeeded, match="line 1 mentions"):
        withdrawn(f'{NAME}="old\n{OURS}', PUBLICATION)


LINES = st.sampled_from(
    [
        "A=1", "B='two words'", 'C="multi\nline"', "# a comment", "", "  ", "export E=5", "F=${A}/x", "H", "J=a#b # c",
        THEIRS, "K=ü", "not so!", f"MY_{NAME}=1", "A=again",
    ]
)  # fmt: skip
FILES = st.builds(
    lambda mark, lines, end: mark + "".join(line.replace("\n", end) + end for line in lines),
    st.sampled_from(["", "\ufeff"]),
    st.lists(LINES, max_size=10),
    st.sampled_from(["\n", "\r\n"]),
)


@effort(150)
@given(FILES)
def test_what_was_appended_and_withdrawn_leaves_the_file_byte_for_byte(text: str) -> None:
    assert withdrawn(edited(text, PUBLICATION), PUBLICATION) == text


ANYTHING = st.text(st.sampled_from("AB=#'\"\\ \t\n\r$K{}\ufeff\x0bexport") | st.characters(codec="utf-8"), max_size=60)


def read_by_applications(text: str) -> dict[str, str | None]:
    with io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8") as file:
        return dotenv_values(stream=file, interpolate=False)


@effort(150)
@given(ANYTHING)
def test_whatever_the_file_is_the_others_read_as_before_or_it_is_refused(text: str) -> None:
    publication = replace(PUBLICATION, secret_name="K")
    try:
        with_ours = edited(text, publication)
        after = withdrawn(with_ours, publication)
    except OperatorNeeded:
        assume(False)
    expected = read_by_applications(with_ours)
    del expected["K"]
    assert read_by_applications(after) == expected


def withdraw(path: Path, publication: Publication = PUBLICATION) -> None:
    open_publisher("dotenv", Secret(str(path))).withdraw(publication)


def test_a_file_that_is_not_there_holds_nothing_to_withdraw(tmp_path: Path) -> None:
    withdraw(tmp_path / ".env")
    assert os.listdir(tmp_path) == []


def test_a_file_that_does_not_hold_it_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"A=1\n{THEIRS}\n{NAME}=theirs\n")
    before = path.stat()
    withdraw(path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_mode_and_link_are_kept(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(OURS)
    (tmp_path / "real").chmod(0o640)
    (tmp_path / ".env").symlink_to("real")
    with pytest.raises(OperatorNeeded, match="symbolic link"):
        withdraw(tmp_path / ".env")
    open_publisher("dotenv", Secret(f"{tmp_path}/.env?symlink=follow")).withdraw(PUBLICATION)
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_bytes() == b""
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_a_name_that_is_no_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--secret-name"):
        withdraw(tmp_path / ".env", replace(PUBLICATION, secret_name="A-B"))
