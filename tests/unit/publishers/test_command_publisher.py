"""The command publisher: whom it trusts, what a program is told, and what its end and its words mean."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import psutil
import pytest

from config.secret import MASK, Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.publishers._places.program import run
from tasks.publishers._places.program.faults import CHANGING, EXITS, STARTS, not_started, shown
from tasks.rotation.errors import (
    Broken,
    Conflict,
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places.command import EXAMPLE, written

KEY = Secret(f"sk-or-v1-{token_hex(32)}")
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=KEY
)

Making = Callable[..., StoredPublisher]


@pytest.fixture
def program(tmp_path: Path) -> Making:
    """Make a program of these lines of shell, and open it."""

    def make(lines: str, options: str = "", *, shell: str = "#!/bin/sh") -> StoredPublisher:
        path = written(tmp_path / "publish-key", f"{shell}\n{lines.replace('FOLDER', str(tmp_path))}\n")
        return open_publisher("command", Secret(f"{path}?{options}" if options else str(path)))

    return make


def asked(place: StoredPublisher, action: str) -> object:
    calls: dict[str, Callable[[], object]] = {
        "publish": lambda: place.publish(PUBLICATION),
        "read-back": lambda: place.read_back("NAME", KEY),
        "check": lambda: place.check("NAME"),
        "withdraw": lambda: place.withdraw(PUBLICATION),
    }
    return calls[action]()


ACTIONS = ("publish", "read-back", "check", "withdraw")


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("/srv/publish", "command:/srv/publish"),
        ("/srv/publish?read_back=value&timeout_s=2.5", "command:/srv/publish"),
        ("/srv/publish?place=the%20staging&read_back=none", "command:/srv/publish?place=the staging"),
        ("/srv//publish", "command:/srv/publish"),
        ("/srv/publish --what -c", "command:/srv/publish --what -c"),  # there are no arguments: that is its name
    ],
)
def test_the_label_says_which_program_and_place(target: str, label: str) -> None:
    assert open_publisher("command", Secret(target)).label == label
    assert split_publish(f"command:{target}") == ("command", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "./hush",
        "~/hush",
        "/srv/../hush",
        "//srv/hush",
        "/srv/hush/",
        "/srv/hush\n",
        "/srv/\0hush",
        "?read_back=value",
        "/srv/hush?read_back=hush",
        "/srv/hush?timeout_s=0",
        "/srv/hush?timeout_s=26",
        "/srv/hush?timeout_s=nan",
        "/srv/hush?timeout_s=hush",
        "/srv/hush?place=%00hush",
        f"/srv/hush?place={'hush' * 26}",
        "/srv/hush?arguments=hush",
        "/srv/hush?path=/hush",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        open_publisher("command", Secret(target))
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


# --- whom it trusts ----------------------------------------------------------------------------------------------


def unsafe_file(folder: Path, path: Path) -> Path:
    path.chmod(0o775)
    return path


def unsafe_folder(folder: Path, path: Path) -> Path:
    folder.chmod(0o777)
    return path


def sticky_folder(folder: Path, path: Path) -> Path:
    folder.chmod(0o1777)
    return path


def unsafe_parent(folder: Path, path: Path) -> Path:
    inner = folder / "inner"
    inner.mkdir()
    folder.chmod(0o775)
    return path.rename(inner / path.name)


def unsafe_behind_a_link(folder: Path, path: Path) -> Path:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o775)
    path.symlink_to(path.rename(elsewhere / path.name))
    return path


def unsafe_far_behind_a_link(folder: Path, path: Path) -> Path:
    inner = folder / "elsewhere" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o777)
    path.symlink_to(path.rename(inner / path.name))
    return path


def unsafe_link(folder: Path, path: Path) -> Path:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (elsewhere / "link").symlink_to(path)
    return elsewhere / "link"


def not_executable(folder: Path, path: Path) -> Path:
    path.chmod(0o644)
    return path


def missing(folder: Path, path: Path) -> Path:
    path.unlink()
    return path


def a_folder(folder: Path, path: Path) -> Path:
    return folder


def a_pipe(folder: Path, path: Path) -> Path:
    path.unlink()
    os.mkfifo(path, 0o755)
    return path


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (unsafe_file, "it is writable"),
        (unsafe_folder, "its folder is writable"),
        (sticky_folder, "its folder is writable"),
        (unsafe_parent, "a folder above it is writable"),
        (unsafe_behind_a_link, "its folder is writable"),
        (unsafe_far_behind_a_link, "a folder above it is writable"),
        (unsafe_link, "a folder above it is writable"),
        (not_executable, "it is not executable"),
        (missing, "it cannot be looked at"),
        (a_folder, "it is not a regular file"),
        (a_pipe, "it is not a regular file"),
    ],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_what_others_could_have_written_is_never_run(
    tmp_path: Path, spoil: Callable[[Path, Path], Path], fault: str, action: str
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    path = spoil(folder, written(folder / "publish-key", f"#!/bin/sh\ntouch {tmp_path}/ran\n"))
    with pytest.raises(OperatorNeeded, match=fault) as refused:
        asked(open_publisher("command", Secret(str(path))), action)
    assert str(path) in refused.value.message
    assert "chmod" in refused.value.remedy
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("what", ["it", "its folder"])
def test_what_belongs_to_another_user_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    path = written(folder / "publish-key", "#!/bin/sh\n")
    if os.geteuid() == 0:
        os.chown(path if what == "it" else folder, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        what = "it"
    with pytest.raises(OperatorNeeded, match=f"{what} belongs to another user"):
        open_publisher("command", Secret(str(path))).check("NAME")


def test_a_link_to_a_program_in_a_safe_folder_is_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "publish-key", "#!/bin/sh\n")
    (tmp_path / "link").symlink_to(path)
    open_publisher("command", Secret(f"{tmp_path}/link")).check("NAME")


# --- what it is told ---------------------------------------------------------------------------------------------


def test_the_key_is_the_standard_input_and_nowhere_else(program: Making, tmp_path: Path) -> None:
    looks = 'cat >FOLDER/given; env >FOLDER/env; tr "\\0" "\\n" </proc/$$/cmdline >FOLDER/argv'
    program(looks).publish(PUBLICATION)
    assert (tmp_path / "given").read_text() == KEY.reveal()
    assert (tmp_path / "argv").read_text().split("\n") == ["/bin/sh", f"{tmp_path}/publish-key", "publish", ""]
    assert KEY.reveal() not in (tmp_path / "env").read_text()


@pytest.mark.parametrize("action", ["check", "read-back", "withdraw"])
def test_only_publishing_is_given_the_key(program: Making, tmp_path: Path, action: str) -> None:
    asked(program("cat >FOLDER/given; env >>FOLDER/given"), action)
    assert KEY.reveal() not in (tmp_path / "given").read_text()


def test_the_environment_is_what_was_promised(program: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in {"PATH", "HOME"}:
            monkeypatch.delenv(name)
    for name in ("ROTATOR_MASTER_KEY", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "PYTHONPATH", "ENV", "ROTATION_X"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    place = program("env >FOLDER/env.$1", "place=staging&read_back=value")
    for action in ACTIONS:
        asked(place, action)
        lines = (tmp_path / f"env.{action}").read_text().splitlines()
        told = dict(line.split("=", 1) for line in lines if not line.startswith(("PWD=", "SHLVL=", "_=", "OLDPWD=")))
        about_version = {"ROTATION_ID": "r1", "ROTATION_NAME": "billing", "ROTATION_VERSION": "2"}
        assert told == {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "TZ": "Asia/Tokyo",
            "ROTATION_ACTION": action,
            "ROTATION_SECRET_NAME": "NAME",
            "ROTATION_PLACE": "staging",
            "ROTATION_READ_BACK": "value",
            **({**about_version, "ROTATION_SEQUENCE": "7"} if action in CHANGING else {}),
        }


def test_a_program_finds_its_commands_where_we_have_no_path(
    program: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PATH")
    program("env >FOLDER/env", shell="#!/usr/bin/env sh").publish(PUBLICATION)
    assert f"PATH={os.defpath}\n" in (tmp_path / "env").read_text()


def test_it_begins_in_the_root_with_a_narrow_umask_a_session_of_its_own_and_no_descriptor_of_ours(
    program: Making, tmp_path: Path
) -> None:
    with open(tmp_path / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        program("(pwd; umask; ps -o sid= -p $$ | tr -d ' '; echo $$; ls /proc/self/fd) >FOLDER/facts").check("NAME")
    folder, umask, session, own, *descriptors = (tmp_path / "facts").read_text().split()
    assert (folder, umask, session) == ("/", "0077", own)
    assert descriptors == ["0", "1", "2", "3"]  # the last is the folder that ls reads


def test_a_program_that_does_not_read_its_input_is_believed(program: Making) -> None:
    for _ in range(20):
        program("exec <&-; exit 0").publish(PUBLICATION)


def test_a_key_that_no_pipe_would_take_is_not_handed_over(program: Making, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="longer"):
        program("touch FOLDER/ran").publish(replace(PUBLICATION, value=Secret("k" * 4097)))
    assert not (tmp_path / "ran").exists()
    program("cat >FOLDER/given").publish(replace(PUBLICATION, value=Secret("k" * 4096)))
    assert (tmp_path / "given").read_text() == "k" * 4096


def test_nothing_stays_open(program: Making) -> None:
    place = program("exit 0")
    place.check("NAME")
    before = os.listdir("/proc/self/fd")
    for action in ACTIONS:
        asked(place, action)
    with pytest.raises(RotatorError):
        asked(program("exit 1"), "publish")
    assert os.listdir("/proc/self/fd") == before


# --- what its end means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "action", "family"),
    [
        (75, "publish", TryAgain),
        (75, "read-back", TryAgain),
        (75, "check", TryAgain),
        (75, "withdraw", TryAgain),
        (77, "publish", OperatorNeeded),
        (77, "check", OperatorNeeded),
        (78, "publish", OperatorNeeded),
        (64, "publish", InvalidInput),
        (64, "check", InvalidInput),
        (64, "withdraw", Refused),
        (3, "publish", Conflict),
        (3, "read-back", OperatorNeeded),
        (3, "check", OperatorNeeded),
        (1, "publish", OperatorNeeded),
        (69, "publish", OperatorNeeded),
        (127, "read-back", OperatorNeeded),
        (255, "withdraw", OperatorNeeded),
    ],
)
def test_what_an_exit_code_means(program: Making, code: int, action: str, family: type[RotatorError]) -> None:
    with pytest.raises(RotatorError) as failed:
        asked(program(f"echo because >&2; exit {code}"), action)
    assert type(failed.value) is family
    assert "command:/" in str(failed.value)
    assert "because" in str(failed.value) or family is Conflict


def test_the_codes_with_a_meaning_are_those_of_sysexits() -> None:
    assert set(EXITS) == {os.EX_USAGE, os.EX_TEMPFAIL, os.EX_NOPERM, os.EX_CONFIG}


def test_a_newer_publication_is_no_obstacle_to_withdrawing(program: Making) -> None:
    program("exit 3").withdraw(PUBLICATION)


def test_the_late_are_told_how_to_begin_anew(program: Making) -> None:
    with pytest.raises(Conflict, match=r"newer publication of rotation billing than version 2 \(sequence 7\)") as late:
        program("exit 3").publish(PUBLICATION)
    assert "backup" in late.value.remedy


@pytest.mark.parametrize(
    ("action", "family"),
    [("publish", OutcomeUnknown), ("withdraw", OutcomeUnknown), ("check", Unavailable), ("read-back", Unavailable)],
)
@pytest.mark.parametrize("end", ["kill -9 $$", "kill -15 $$", "sleep 1000"])
def test_an_end_that_it_did_not_choose_leaves_a_change_unknown(
    program: Making, action: str, family: type[RotatorError], end: str
) -> None:
    with pytest.raises(RotatorError, match=r"killed|signal") as failed:
        asked(program(end, "timeout_s=0.3" if end.startswith("sleep") else ""), action)
    assert type(failed.value) is family


def test_what_it_started_is_killed_with_it(program: Making, tmp_path: Path) -> None:
    began = time.monotonic()
    lines = "sleep 1000 & echo $! >FOLDER/child; (trap '' HUP TERM INT; sleep 1000) & echo $! >>FOLDER/child; wait"
    with pytest.raises(OutcomeUnknown):
        program(lines, "timeout_s=1").publish(PUBLICATION)
    assert time.monotonic() - began < 10
    children = [int(pid) for pid in (tmp_path / "child").read_text().split()]
    assert len(children) == 2
    gone_by = time.monotonic() + 5
    while any(map(lives, children)) and time.monotonic() < gone_by:
        time.sleep(0.01)
    assert not any(map(lives, children))


@pytest.mark.parametrize("error", [PermissionError, ProcessLookupError])
def test_one_that_we_may_not_kill_may_have_published(
    program: Making, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """Such as one that is setuid."""

    def refused(group: int, number: int) -> None:
        os.kill(group, number)  # for the test's end
        raise error

    monkeypatch.setattr(os, "killpg", refused)
    with pytest.raises(OutcomeUnknown):
        program("exec sleep 1000", "timeout_s=0.3").publish(PUBLICATION)


def test_one_that_we_cannot_listen_to_any_more_may_have_published(
    program: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: object) -> tuple[bytes, bytes]:
        raise OSError(errno.EMFILE, "no more")

    monkeypatch.setattr(run, "_heard", deaf)
    with pytest.raises(OutcomeUnknown):
        program("exec sleep 1000", "timeout_s=0.3").publish(PUBLICATION)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_whoever_interrupts_us_ends_the_program_too(
    program: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> tuple[bytes, bytes]:
        give_up_at = time.monotonic() + 10
        while not (tmp_path / "pid").exists() and time.monotonic() < give_up_at:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_heard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        program("echo $$ >FOLDER/new; mv FOLDER/new FOLDER/pid; exec sleep 1000").publish(PUBLICATION)
    assert not lives(int((tmp_path / "pid").read_text()))


def test_what_it_leaves_running_is_not_waited_for(program: Making, tmp_path: Path) -> None:
    began = time.monotonic()
    program("sleep 20 & echo $! >FOLDER/pid; exit 0").publish(PUBLICATION)
    assert time.monotonic() - began < 10
    left = int((tmp_path / "pid").read_text())
    assert lives(left)
    os.kill(left, signal.SIGKILL)


def test_its_last_words_are_heard_although_something_is_left_running(program: Making, tmp_path: Path) -> None:
    place = program("sleep 20 & echo $! >FOLDER/pid; sleep 0.2; printf %s last-word; exit 0", "read_back=value")
    assert place.read_back("NAME", Secret("last-word")) is Holding.SAME
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_one_that_closed_its_mouth_is_still_waited_for(program: Making) -> None:
    with pytest.raises(OperatorNeeded, match="exit code 9"):
        program("exec >&- 2>&-; sleep 0.3; exit 9").publish(PUBLICATION)
    with pytest.raises(OutcomeUnknown):
        program("exec >&- 2>&-; sleep 1000", "timeout_s=0.3").publish(PUBLICATION)


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_one_that_talks_much_is_not_stopped_and_one_that_never_ends_is(program: Making, stream: str) -> None:
    program(f"head -c 5000000 /dev/zero {stream}").publish(PUBLICATION)
    with pytest.raises(OutcomeUnknown) as endless:
        program(f"exec yes {KEY.reveal()} {stream}", "timeout_s=0.3").publish(PUBLICATION)
    assert len(str(endless.value)) < 1000
    assert KEY.reveal() not in str(endless.value)


def test_of_endless_talk_only_so_much_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "talks", "#!/bin/sh\nhead -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2\n")
    ended = run.run(path, "check", given=b"", environment={"PATH": os.defpath}, timeout_s=20)
    assert (ended.status, len(ended.printed), len(ended.said)) == (0, run.MOST_OUTPUT, run.MOST_OUTPUT)
    assert "printed" not in repr(ended)


# --- when it cannot even begin -----------------------------------------------------------------------------------


def test_one_without_a_first_line_or_interpreter_is_told_from_one_that_failed(program: Making) -> None:
    with pytest.raises(OperatorNeeded, match="no format"):
        program("", shell="echo hello").publish(PUBLICATION)
    with pytest.raises(OperatorNeeded, match="its first line names") as missing:
        program("", shell="#!/nonexistent/interpreter").publish(PUBLICATION)
    assert "Nothing was changed." in missing.value.message


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux guards a script that is being written")
def test_one_that_is_being_written_may_be_run_later(program: Making, tmp_path: Path) -> None:
    place = program("exit 0")
    with open(tmp_path / "publish-key", "a"), pytest.raises(TryAgain, match="somebody is writing"):
        place.publish(PUBLICATION)
    place.publish(PUBLICATION)


@pytest.mark.parametrize("number", [*STARTS, errno.EACCES, errno.EIO])
def test_every_reason_not_to_begin_has_its_family(number: int) -> None:
    error = not_started(OSError(number, os.strerror(number)), "command:/here", "publish")
    again = number in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
    assert type(error) is (TryAgain if again else OperatorNeeded)
    assert "Nothing was changed." in error.message


# --- its words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "echo",
    [
        "cat",
        "tr a-f A-F",
        "cut -c1-40",
        "cut -c20-",
        "cut -c20-50",
        "fold -w 9",
        "sed 's/^/before/; s/$/after/'",
        "base64 -w 0",
        "od -An -tx1 | tr -d ' \\n'",
        "sha256sum",
        "sed 's/./&\\x1b/g'",
        "sed 's/sk-or-//'",
        "tr -d -",
    ],
)
@pytest.mark.parametrize("action", ["publish", "withdraw", "read-back", "check"])
def test_a_key_that_it_repeats_is_not_shown(program: Making, tmp_path: Path, echo: str, action: str) -> None:
    key = KEY.reveal()
    (tmp_path / "key").write_text(key)
    with pytest.raises(RotatorError) as failed:
        asked(program(f"(echo it reads; cat FOLDER/key | {echo}; echo here) >&2; exit 1"), action)
    said = str(failed.value).partition("It said: ")[2]
    assert "it reads" in said
    if action == "check" and echo.startswith(("cut", "fold")):
        return  # it is not known there which key it could be, and a piece of one looks like anything
    pieces = {form[at : at + 9] for form in forms_of(key) for at in range(len(form) - 8)}
    assert not [piece for piece in pieces if piece in said]


def forms_of(key: str) -> list[str]:
    raw = key.encode()
    return [key, base64.b64encode(raw).decode(), raw.hex(), hashlib.sha256(raw).hexdigest(), key.replace("-", "")]


def test_words_are_few_and_plain() -> None:
    said = b"\n\n  \x1b[31mcannot\x07 reach\xe2\x80\xae the\x00 place\r\n\xff\xfe\nsecond\n3\n4\n5\n6\n"
    assert (
        shown(said, KEY)
        == "[31mcannot reach the place / \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} / second / 3 / 4"
    )
    assert len(shown(b"word " * 10_000, KEY)) <= 400
    assert shown(b"", KEY) == ""


def test_of_a_key_nothing_stays_but_what_anybody_could_have_written() -> None:
    key = Secret("abcdefghijklmnopqrst")
    assert shown(b"<abcdefghijklmnopqrst>", key) == f"<{MASK}>"
    assert shown(b"<abcdefghijklm> <hijklmnopqrst>", key) == f"<{MASK}> <{MASK}>"
    assert shown(b"<abcdefg> <nopqrst>", key) == "<abcdefg> <nopqrst>"
    assert shown(b"<short> <shor>", Secret("short")) == f"<{MASK}> <shor>"


def test_what_looks_like_any_credential_is_not_shown() -> None:
    bare = (token_hex(16), f"ghp_{token_hex(18)}")
    for secret in (f"sk-or-v1-{token_hex(4)}", f"Bearer {token_hex(8)}", f"https://u:{token_hex(4)}@h/", *bare):
        said = shown(f"before {secret} after".encode(), None)
        assert secret.split()[-1].removeprefix("https://u:").removesuffix("@h/") not in said
        assert MASK in said
        assert said.startswith("before ")
    plain = f"commit {token_hex(6)} of /srv/a/rather/long/path/that/is/no/secret/publish-key"
    assert shown(plain.encode(), None) == plain


# --- reading back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read_back", "prints", "holding"),
    [
        ("value", "cat FOLDER/key", Holding.SAME),
        ("value", "cat FOLDER/key; echo", Holding.SAME),
        ("value", "echo; echo", Holding.NOTHING),
        ("value", "true", Holding.NOTHING),
        ("value", "echo other", Holding.OTHER),
        ("value", "cat FOLDER/key FOLDER/key", Holding.OTHER),
        ("value", "cat FOLDER/key; echo; echo and more", Holding.OTHER),
        ("value", "printf '\\377\\000\\376'", Holding.OTHER),
        ("value", "head -c 1000000 /dev/zero", Holding.OTHER),
        ("value", "sha256sum <FOLDER/key", Holding.OTHER),
        ("sha256", "sha256sum <FOLDER/key", Holding.SAME),
        ("sha256", "sha256sum <FOLDER/key | cut -c1-64", Holding.SAME),
        ("sha256", "sha256sum <FOLDER/key | tr a-f A-F", Holding.SAME),
        ("sha256", "true", Holding.NOTHING),
        ("sha256", "echo other | sha256sum", Holding.OTHER),
        ("", "sha256sum <FOLDER/key", Holding.SAME),
    ],
)
def test_what_is_read_back(program: Making, tmp_path: Path, read_back: str, prints: str, holding: Holding) -> None:
    (tmp_path / "key").write_text(KEY.reveal())
    place = program(prints, f"read_back={read_back}" if read_back else "")
    assert place.read_back("NAME", KEY) is holding


@pytest.mark.parametrize(
    "prints", ["cat FOLDER/key", "echo '  '", "echo abc", "head -c 1000000 /dev/zero", "printf '\\377'"]
)
def test_what_is_no_digest_is_a_fault_of_the_program_and_not_shown(
    program: Making, tmp_path: Path, prints: str
) -> None:
    (tmp_path / "key").write_text(KEY.reveal())
    with pytest.raises(OperatorNeeded, match="no SHA-256") as wrong:
        program(prints).read_back("NAME", KEY)
    assert KEY.reveal() not in str(wrong.value)
    assert "abc" not in str(wrong.value)


def test_where_nothing_can_be_read_the_receipt_decides_and_the_program_is_not_asked(program: Making) -> None:
    place = program("[ $1 = publish ] && echo 'revision 17' && echo more", "read_back=none")
    receipt = place.publish(PUBLICATION)
    assert receipt is not None
    assert receipt.endswith(" revision 17")
    assert place.read_back("NAME", KEY, receipt) is Holding.SAME
    assert place.read_back("NAME", Secret("other"), receipt) is Holding.OTHER
    for stray in (None, "", "revision 17", receipt[1:], receipt[:20]):
        assert place.read_back("NAME", KEY, stray) is Holding.OTHER


@pytest.mark.parametrize(
    "says", ["cat", "tee /dev/stderr", "head -c 100000 /dev/zero", "printf '\\377'; cat", "base64 -w0"]
)
def test_a_receipt_never_holds_the_key(program: Making, says: str) -> None:
    receipt = program(says, "read_back=none").publish(PUBLICATION)
    assert receipt is not None
    assert len(receipt) <= 200
    assert receipt.isprintable()
    assert not [form for form in forms_of(KEY.reveal()) if form[:40] in receipt or form[-40:] in receipt]


# --- the program that is shown to people -------------------------------------------------------------------------


def test_the_example_keeps_the_newest_when_many_workers_publish_at_once(tmp_path: Path) -> None:
    program = written(tmp_path / "publish-key", EXAMPLE.replace("/srv/app", str(tmp_path)))
    late: list[int] = []

    def publish(sequence: int) -> None:
        try:
            place = open_publisher("command", Secret(str(program)))
            place.publish(replace(PUBLICATION, sequence=sequence, value=Secret(f"key-{sequence}")))
        except Conflict:
            late.append(sequence)

    workers = [threading.Thread(target=publish, args=[n]) for n in (5, 2, 8, 1, 7, 3, 6, 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "openrouter-key").read_text() == "key-8"
    assert 8 not in late


def test_the_example_is_whole() -> None:
    assert EXAMPLE.startswith("#!/bin/sh\n")
    assert EXAMPLE.rstrip().endswith("esac")
