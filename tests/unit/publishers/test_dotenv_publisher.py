"""The dotenv publisher: every dialect kept, every reader agrees, and no moment without a key."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from config.secret import Secret
from tasks.publishers import open_publisher, split_publish
from tasks.publishers._places.files import disk
from tasks.publishers._places.files.dotenv_text import edited, held
from tasks.rotation.errors import Broken, Conflict, InvalidInput, OperatorNeeded, OutcomeUnknown, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

NAME = "OPENROUTER_API_KEY"
STAMP = (
    "# openrouter-rotator: rotation=billing version=2 sequence=7 id=r1"
    f" value={hashlib.sha256(b'new-key').hexdigest()[:32]}"
)

PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name=NAME, version=2, sequence=7, value=Secret("new-key")
)


def publish(path: Path, publication: Publication = PUBLICATION, options: str = "") -> None:
    open_publisher("dotenv", Secret(f"{path}{options}")).publish(publication)


def check(path: Path, name: str = NAME) -> None:
    open_publisher("dotenv", Secret(str(path))).check(name)


# --- what the file says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("A=1\n", f"A=1\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("A=1", f"A=1\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("A=1\r\nB=2\r\n", f"A=1\r\nB=2\r\n{STAMP}\r\nOPENROUTER_API_KEY=new-key\r\n"),
        ("\ufeffA=1\n", f"\ufeffA=1\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("OPENROUTER_API_KEY=old\nB=2\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key\nB=2\n"),
        ("\ufeffOPENROUTER_API_KEY=old\n", f"\ufeff{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("A=1\n\n\nOPENROUTER_API_KEY=old", f"A=1\n\n\n{STAMP}\nOPENROUTER_API_KEY=new-key"),
        ("OPENROUTER_API_KEY=old\r\nB=2\r\n", f"{STAMP}\r\nOPENROUTER_API_KEY=new-key\r\nB=2\r\n"),
        ("OPENROUTER_API_KEY='old'\n", f"{STAMP}\nOPENROUTER_API_KEY='new-key'\n"),
        ('OPENROUTER_API_KEY="old"\n', f'{STAMP}\nOPENROUTER_API_KEY="new-key"\n'),
        ('OPENROUTER_API_KEY="o\\"l\nd"\n', f'{STAMP}\nOPENROUTER_API_KEY="new-key"\n'),
        ("export OPENROUTER_API_KEY=old\n", f"{STAMP}\nexport OPENROUTER_API_KEY=new-key\n"),
        ("  export  OPENROUTER_API_KEY=old\n", f"{STAMP}\n  export  OPENROUTER_API_KEY=new-key\n"),
        ("OPENROUTER_API_KEY = old\n", f"{STAMP}\nOPENROUTER_API_KEY = new-key\n"),
        ("'OPENROUTER_API_KEY'=old\n", f"{STAMP}\n'OPENROUTER_API_KEY'=new-key\n"),
        ("OPENROUTER_API_KEY=old # mine\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key # mine\n"),
        ("OPENROUTER_API_KEY=o#l#d # mine\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key # mine\n"),
        ("OPENROUTER_API_KEY='old'#mine\n", f"{STAMP}\nOPENROUTER_API_KEY='new-key' #mine\n"),
        ("OPENROUTER_API_KEY=\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("OPENROUTER_API_KEY= # none yet\n", f"{STAMP}\nOPENROUTER_API_KEY= new-key # none yet\n"),
        ("OPENROUTER_API_KEY\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("export OPENROUTER_API_KEY # x\n", f"{STAMP}\nexport OPENROUTER_API_KEY=new-key # x\n"),
        ("OPENROUTER_API_KEY=${OTHER}\n", f"{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("#OPENROUTER_API_KEY=x\n", f"#OPENROUTER_API_KEY=x\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        ("MY_OPENROUTER_API_KEY=x\n", f"MY_OPENROUTER_API_KEY=x\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
        (
            "OPENROUTER_API_KEY=first\nA=1\nOPENROUTER_API_KEY='last'\n",
            f"OPENROUTER_API_KEY=new-key\nA=1\n{STAMP}\nOPENROUTER_API_KEY='new-key'\n",
        ),
        (
            "OPENROUTER_API_KEY=old\nexport OPENROUTER_API_KEY\n",
            f"OPENROUTER_API_KEY=new-key\n{STAMP}\nexport OPENROUTER_API_KEY=new-key\n",
        ),
        (
            "A='x\nOPENROUTER_API_KEY=inside\n'\nURL=${A}/v1 # c\n",
            f"A='x\nOPENROUTER_API_KEY=inside\n'\nURL=${{A}}/v1 # c\n{STAMP}\nOPENROUTER_API_KEY=new-key\n",
        ),
        ("not an assignment!\nA=1\n", f"not an assignment!\nA=1\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"),
    ],
)
def test_only_the_value_and_the_stamp_change(before: str, after: str) -> None:
    assert edited(before, PUBLICATION) == after
    assert edited(after, PUBLICATION) == after
    assert held(after, NAME, PUBLICATION.value) is Holding.SAME


@pytest.mark.parametrize(
    ("line", "value", "written"),
    [
        ("K=old", "plain/key+1=", "K=plain/key+1="),
        ("K=old", "two words", "K='two words'"),
        ("K=old", "with#hash", "K='with#hash'"),
        ("K=old", "$HOME`id`", "K='$HOME`id`'"),
        ('K="old"', "$HOME", "K='$HOME'"),
        ("K='old'", "it's", 'K="it\'s"'),
        ("K=old", 'back\\slash "quoted"', 'K="back\\\\slash \\"quoted\\""'),
    ],
)
def test_quotes_are_chosen_so_that_applications_and_shells_read_the_same(
    tmp_path: Path, line: str, value: str, written: str
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{line}\n")
    publish(path, replace(PUBLICATION, secret_name="K", value=Secret(value)))
    assert path.read_text().splitlines()[1] == written
    assert dotenv_values(path)["K"] == value
    shell = subprocess.run(["sh", "-c", '. "$0"; printf %s "$K"', path], capture_output=True, text=True, check=True)
    assert shell.stdout == value


@pytest.mark.parametrize("value", ["${HOME}", "it's $HOME"])
def test_a_value_that_no_quoting_carries_is_not_written(value: str) -> None:
    with pytest.raises(Broken):
        edited("", replace(PUBLICATION, value=Secret(value)))


def test_the_stamp_is_a_line_of_its_own_because_docker_takes_the_rest_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    publish(path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert dict(line.split("=", 1) for line in lines) == {"A": "1", NAME: "new-key"}


def test_a_replaced_stamp_leaves_no_trace() -> None:
    first = edited("A=1\n\nOPENROUTER_API_KEY=old\n", replace(PUBLICATION, version=1, sequence=6))
    assert edited(first, PUBLICATION) == f"A=1\n\n{STAMP}\nOPENROUTER_API_KEY=new-key\n"
    assert edited(first, replace(PUBLICATION, sequence=8)).count("openrouter-rotator:") == 1


def test_the_fence_holds_when_the_variable_was_renamed() -> None:
    old_name = edited("", replace(PUBLICATION, secret_name="OLD_NAME"))
    with pytest.raises(Conflict):
        edited(old_name, replace(PUBLICATION, sequence=6))


def test_a_removed_stamp_lifts_the_fence_as_the_remedy_says() -> None:
    text = edited("", PUBLICATION)
    with pytest.raises(Conflict) as refused:
        edited(text, replace(PUBLICATION, sequence=1))
    assert "remove the comment line" in refused.value.remedy
    assert NAME in edited(text.replace(f"{STAMP}\n", ""), replace(PUBLICATION, sequence=1))


@pytest.mark.parametrize("text", ['OPENROUTER_API_KEY="old\n', 'A="open\nOPENROUTER_API_KEY="x" y\n'])
def test_a_variable_in_lines_that_cannot_be_parsed_needs_a_person(text: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    with pytest.raises(OperatorNeeded, match="line 1 mentions"):
        publish(path)
    with pytest.raises(InvalidInput, match="line 1 mentions"):
        check(path)
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["two words", "a\nB", "", "é\u2028"])
def test_a_rotation_name_that_cannot_stand_in_a_comment_is_not_written(name: str) -> None:
    with pytest.raises(Broken):
        edited("", replace(PUBLICATION, rotation_name=name))


def test_read_back_says_same_only_if_all_lines_agree() -> None:
    assert held("K=new-key\nK=other\n", "K", PUBLICATION.value) is Holding.PARTLY
    assert held("K=other\nK=new-key\n", "K", PUBLICATION.value) is Holding.PARTLY
    assert held("K=new-key\nK=new-key\n", "K", PUBLICATION.value) is Holding.SAME
    assert held("K=new-key\nexport K\n", "K", PUBLICATION.value) is Holding.PARTLY
    assert held("K=\nK\n", "K", PUBLICATION.value) is Holding.NOTHING


LINES = st.sampled_from(
    [
        "A=1", "B='two words'", 'C="multi\nline"', "D='x\ny'", "# a comment", "", "  ", "\t", "export E=5", "F=${A}/x",
        "G= # none", "H", "export I", "J=a#b # c", 'K="esc \\" \\\\"', "'L'=6", "M = 7", "A=again",
        "OPENROUTER_API_KEY=o", "OPENROUTER_API_KEY='o'", 'export OPENROUTER_API_KEY="o\np" # c', "OPENROUTER_API_KEY",
        STAMP, "N=ü",
    ]
)  # fmt: skip
WELL_FORMED = st.builds(
    lambda mark, lines, end, last: mark + end.join(line.replace("\n", end) for line in lines) + last,
    st.sampled_from(["", "\ufeff"]),
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r\n"]),
)
ANYTHING = st.text(st.sampled_from("AB=#'\"\\ \t\n\r$K{}\ufeff\x0bexport") | st.characters(codec="utf-8"), max_size=60)


def read_by_applications(text: str) -> dict[str, str | None]:
    with io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8") as file:  # text mode, as open() gives it
        return dotenv_values(stream=file, interpolate=False)


@settings(deadline=None)
@given(WELL_FORMED)
def test_every_other_variable_reads_as_before(text: str) -> None:
    after = edited(text, PUBLICATION)
    assert read_by_applications(after) == read_by_applications(text) | {NAME: "new-key"}
    assert after.count("openrouter-rotator:") == 1
    assert edited(after, PUBLICATION) == after
    assert held(after, NAME, PUBLICATION.value) is Holding.SAME
    later = edited(after, replace(PUBLICATION, sequence=8, value=Secret("newer")))
    assert read_by_applications(later) == read_by_applications(text) | {NAME: "newer"}
    assert later.count("\n") == after.count("\n")


@settings(deadline=None)
@given(ANYTHING)
def test_whatever_the_file_is_it_is_edited_rightly_or_refused(text: str) -> None:
    publication = replace(PUBLICATION, secret_name="K")
    try:
        after = edited(text, publication)
    except OperatorNeeded:
        assume(False)
    assert read_by_applications(after) == read_by_applications(text) | {"K": "new-key"}
    assert edited(after, publication) == after


# --- the file itself ---------------------------------------------------------------------------------------------


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    publish(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600, 0o666])
def test_the_mode_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / ".env"
    path.touch()
    path.chmod(mode)
    publish(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch()
    os.chown(path, 65534, 65533)
    publish(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)


@pytest.mark.skipif(sys.platform != "linux", reason="extended attributes are read on Linux")
def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch()
    try:
        os.setxattr(path, "user.origin", b"handmade")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("this file system has no extended attributes")
    publish(path)
    assert os.getxattr(path, "user.origin") == b"handmade"


def test_a_symbolic_link_is_refused_unless_told_to_follow(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "app.env", tmp_path / ".env"
    real.parent.mkdir()
    real.write_text("A=1\n")
    link.symlink_to(real)
    with pytest.raises(OperatorNeeded, match="symbolic link") as refused:
        publish(link)
    assert "symlink=follow" in refused.value.remedy
    with pytest.raises(InvalidInput, match="symbolic link"):
        check(link)
    assert real.read_text() == "A=1\n"

    publish(link, options="?symlink=follow")
    assert link.is_symlink()
    assert dotenv_values(real)[NAME] == "new-key"


def test_a_hard_link_is_refused_because_the_other_name_would_keep_the_old_key(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    os.link(path, tmp_path / "other")
    with pytest.raises(OperatorNeeded, match="hard links"):
        publish(path)
    assert path.read_text() == "A=1\n"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo"):
        with pytest.raises(OperatorNeeded, match="not a regular file"):
            publish(tmp_path / name)


def test_a_missing_directory_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file or directory") as refused:
        check(tmp_path / "nowhere" / ".env")
    assert "Create the directory" in refused.value.remedy


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """A folder, and rights that root's would hide."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_a_directory_that_cannot_be_written_is_said_at_once() -> None:
    with ordinary_user() as folder:
        (folder / ".env").write_text("A=1\n")
        folder.chmod(0o500)
        with pytest.raises(InvalidInput, match="Permission denied"):
            check(folder / ".env")
        with pytest.raises(OperatorNeeded, match="Permission denied"):
            publish(folder / ".env")
        assert (folder / ".env").read_text() == "A=1\n"
        folder.chmod(0o700)


def test_a_file_that_cannot_be_read_is_said_at_once() -> None:
    with ordinary_user() as folder:
        (folder / ".env").touch(mode=0o000)
        with pytest.raises(InvalidInput, match="Permission denied"):
            check(folder / ".env")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_whose_owner_cannot_be_kept_is_left_alone() -> None:
    with ordinary_user() as folder:
        path = folder / ".env"
        os.seteuid(0)
        path.touch(mode=0o644)
        os.seteuid(65534)
        with pytest.raises(InvalidInput, match="not permitted") as refused:
            check(path)
        assert "own the file" in refused.value.remedy
        with pytest.raises(OperatorNeeded):
            publish(path)
        assert os.listdir(folder) == [".env"]


def test_a_file_that_is_not_utf8_is_left_alone_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("A=geheim-ü\n".encode("latin-1"))
    with pytest.raises(OperatorNeeded, match="not UTF-8") as refused:
        publish(path)
    assert refused.value.__context__ is None
    assert path.read_bytes() == "A=geheim-ü\n".encode("latin-1")


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "É", "A\n"])
def test_a_secret_name_that_is_no_variable_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="--secret-name"):
        check(tmp_path / ".env", name)
    with pytest.raises(InvalidInput, match="--secret-name"):
        publish(tmp_path / ".env", replace(PUBLICATION, secret_name=name))
    assert os.listdir(tmp_path) == []


# --- the target --------------------------------------------------------------------------------------------------


def test_a_relative_path_is_stored_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind, target = split_publish("dotenv:conf/.env?symlink=follow")
    assert (kind, target) == ("dotenv", Secret(f"{tmp_path}/conf/.env?symlink=follow"))
    assert open_publisher(kind, target).label == f"dotenv:{tmp_path}/conf/.env"


@pytest.mark.parametrize(
    "target", ["/", "/srv/", "?symlink=follow", "/a?symlink=perhaps", "/a?path=/b", "/a?x", "/a\nb"]
)
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish"):
        open_publisher("dotenv", Secret(target))


# --- other writers, crashes, readers -----------------------------------------------------------------------------


@pytest.fixture
def between_look_and_rename(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Runs something at the moment when the draft is written and the file not yet looked at again."""

    def install(intrude: Callable[[], None]) -> None:
        dress = disk._dress

        def dress_then_intrude(descriptor: int, like: disk.Found | None, mode: int) -> None:
            dress(descriptor, like, mode)
            intrude()

        monkeypatch.setattr(disk, "_dress", dress_then_intrude)

    return install


def in_another_process(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


APPEND_BY_RENAME = """
import os, sys
path = sys.argv[1]
text = open(path).read() if os.path.exists(path) else ""
with open(path + ".theirs", "w") as file:
    file.write(text + "THEIRS=1\\n")
os.replace(path + ".theirs", path)
"""

APPEND_IN_PLACE = "import sys; open(sys.argv[1], 'a').write('THEIRS=1\\n')"


@pytest.mark.parametrize("program", [APPEND_BY_RENAME, APPEND_IN_PLACE])
@pytest.mark.parametrize("content", [None, "A=1\n"])
def test_what_another_process_writes_meanwhile_is_kept(
    tmp_path: Path,
    between_look_and_rename: Callable[[Callable[[], None]], None],
    program: str,
    content: str | None,
) -> None:
    path = tmp_path / ".env"
    if content:
        path.write_text(content)
    turns = iter([True])
    between_look_and_rename(lambda: in_another_process(program, path).check_returncode() if next(turns, 0) else None)
    publish(path)
    assert dotenv_values(path) == ({"A": "1"} if content else {}) | {"THEIRS": "1", NAME: "new-key"}


def test_a_file_that_never_rests_is_left_to_its_writer(
    tmp_path: Path, between_look_and_rename: Callable[[Callable[[], None]], None]
) -> None:
    path = tmp_path / ".env"

    def append() -> None:
        with path.open("a") as file:
            file.write("THEIRS=1\n")

    between_look_and_rename(append)
    with pytest.raises(TryAgain, match="changed the file 5 times"):
        publish(path)
    assert path.read_text() == 5 * "THEIRS=1\n"
    assert os.listdir(tmp_path) == [".env"]


CRASH_BEFORE_RENAME = """
import os, signal, sys
os.replace = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.rotation.ports import Publication
publication = Publication("r1", "billing", sys.argv[2], 2, 7, Secret("new-key"))
open_publisher("dotenv", Secret(sys.argv[1])).publish(publication)
"""


def test_a_crash_before_the_rename_leaves_the_old_file_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{NAME}=old\n")
    died = in_another_process(CRASH_BEFORE_RENAME, path, NAME)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert path.read_text() == f"{NAME}=old\n"
    assert len(os.listdir(tmp_path)) == 2

    publish(path)
    assert os.listdir(tmp_path) == [".env"]
    assert dotenv_values(path)[NAME] == "new-key"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    monkeypatch.setattr(os, "fsync", fails_with(errno.ENOSPC))
    with pytest.raises(OperatorNeeded, match="No space left") as refused:
        publish(path)
    assert "Free some space" in refused.value.remedy
    assert path.read_text() == "A=1\n"
    assert os.listdir(tmp_path) == [".env"]


def test_a_rename_that_the_disk_does_not_confirm_is_not_called_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def confirm_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            fails_with(errno.EIO)()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", confirm_files_only)
    with pytest.raises(OutcomeUnknown):
        publish(tmp_path / ".env")


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO])
def test_a_passing_fault_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", fails_with(number))
    with pytest.raises(TryAgain):
        publish(tmp_path / ".env")


def fails_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_worker_that_hangs_with_the_lock_does_not_hang_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LOCK_WAIT_S", 0.0)
    holder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(TryAgain, match="lock"):
            publish(tmp_path / ".env")
    finally:
        os.close(holder)
    publish(tmp_path / ".env")


PUBLISH_OFTEN = """
import sys
from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
publisher = open_publisher("dotenv", Secret(sys.argv[1]))
name = sys.argv[2]
for turn in range(1, 31):
    value = Secret(f"{name}-{turn}")
    publisher.publish(Publication(name, name, name, turn, turn, value))
    assert publisher.read_back(name, value) is Holding.SAME, turn
"""


def test_rotations_that_share_a_file_lose_nothing_and_readers_never_miss_a_key(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("ONE=ONE-0\nTWO=TWO-0\nA='kept'\n")
    workers = [
        subprocess.Popen([sys.executable, "-c", PUBLISH_OFTEN, str(path), name], stderr=subprocess.PIPE, text=True)
        for name in ("ONE", "TWO")
    ]
    seen: list[dict[str, str | None]] = []
    over = threading.Event()

    def read_without_pause() -> None:
        while not over.is_set():
            seen.append(dotenv_values(path))

    reader = threading.Thread(target=read_without_pause)
    reader.start()
    try:
        faults = [worker.communicate(timeout=60)[1] for worker in workers]
    finally:
        over.set()
        reader.join()
    assert faults == ["", ""]
    assert dotenv_values(path) == {"ONE": "ONE-30", "TWO": "TWO-30", "A": "kept"}
    possible = {name: {f"{name}-{turn}" for turn in range(31)} for name in ("ONE", "TWO")}
    assert all(
        read["A"] == "kept" and read["ONE"] in possible["ONE"] and read["TWO"] in possible["TWO"] for read in seen
    )
    assert len({read["ONE"] for read in seen}) > 2  # it did look while they worked
