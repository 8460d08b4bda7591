"""The file publisher: the whole file is the key, and no other file is mistaken for one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from secrets import token_hex

import pytest

from config.secret import Secret
from tasks.publishers import open_publisher, split_publish
from tasks.rotation.errors import InvalidInput, OperatorNeeded
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

NAME = "OPENROUTER_API_KEY"
VALUE = f"test-key-{token_hex(8)}"
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name=NAME, version=2, sequence=7, value=Secret(VALUE)
)


def publish(path: Path, options: str = "") -> None:
    open_publisher("file", Secret(f"{path}{options}")).publish(PUBLICATION)


@pytest.mark.parametrize(
    ("options", "content", "mode"),
    [
        ("", VALUE, 0o600),
        ("?newline=no", VALUE, 0o600),
        ("?newline=yes", f"{VALUE}\n", 0o600),
        ("?mode=0640", VALUE, 0o640),
        ("?mode=444", VALUE, 0o444),
        ("?newline=yes&mode=0644", f"{VALUE}\n", 0o644),
    ],
)
def test_a_new_file_is_the_key_and_as_the_options_say(tmp_path: Path, options: str, content: str, mode: int) -> None:
    path = tmp_path / "key"
    publish(path, options)
    assert path.read_text() == content
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / ".key.rotation").stat().st_mode) == mode


def test_the_mode_of_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    publish(path, "?mode=0600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("before", ["", "old", "old\n", "old\r\n", "two words", VALUE])
@pytest.mark.parametrize(("options", "after"), [("", VALUE), ("?newline=yes", f"{VALUE}\n")])
def test_whatever_line_was_there_is_replaced(tmp_path: Path, before: str, options: str, after: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(before.encode())
    publish(path, options)
    assert path.read_bytes() == after.encode()


@pytest.mark.parametrize(
    "content", [b"A=1\nB=2\n", b"root:x:0:0\ndaemon:x:1:1\n", b"\x7fELF\x00", b"a\x1bb", b"\xff\xfe"]
)
def test_what_is_no_key_file_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "app.env"
    path.write_bytes(content)
    os.utime(path, (1, 1))
    with pytest.raises(InvalidInput):
        open_publisher("file", Secret(str(path))).check(NAME)
    with pytest.raises(OperatorNeeded) as refused:
        publish(path)
    assert refused.value.__context__ is None or content not in refused.value.__context__.args
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["app.env"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a\nb\n", b"theirs"])
def test_a_withdrawal_leaves_whatever_somebody_else_made_of_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    publish(path)
    path.write_bytes(content)
    os.utime(path, (1, 1))
    open_publisher("file", Secret(str(path))).withdraw(PUBLICATION)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize(
    ("content", "holding"),
    [
        (VALUE, Holding.SAME),
        (f"{VALUE}\n", Holding.SAME),
        (f"{VALUE}\r\n", Holding.SAME),
        (f" {VALUE}", Holding.OTHER),
        (f"{VALUE}\nand more", Holding.OTHER),
        ("", Holding.NOTHING),
        ("\n", Holding.NOTHING),
    ],
)
def test_line_ends_behind_the_key_are_not_looked_at(tmp_path: Path, content: str, holding: Holding) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    assert open_publisher("file", Secret(f"{tmp_path}/key")).read_back(NAME, PUBLICATION.value) is holding


def test_there_is_room_for_one_rotation() -> None:
    assert not open_publisher("file", Secret("/run/app/key")).holds_variables


def test_options_survive_storing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind, target = split_publish("file:key?mode=640&newline=yes&symlink=follow")
    assert set(target.reveal().partition("?")[2].split("&")) == {"mode=640", "newline=yes", "symlink=follow"}
    assert open_publisher(kind, target).label == f"file:{tmp_path}/key"


@pytest.mark.parametrize(
    "target",
    [
        "/", "?mode=0600", "/key?mode=0777", "/key?mode=0660", "/key?mode=0200", "/key?mode=rw", "/key?mode=",
        "/key?mode=4600", "/key?newline=maybe", "/key?newline", "/key#x", "/a\nb",
    ],
)  # fmt: skip
def test_a_target_that_makes_no_sense_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish"):
        open_publisher("file", Secret(target))
