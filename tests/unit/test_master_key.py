"""Where master keys come from, and that a first one is made once, for its owner alone."""

from __future__ import annotations

import base64
import errno
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from config.master_key import KEY_BYTES, MasterKeySource, generate_master_key, master_key_source, parse_ring
from config.secret import Secret
from config.settings import Settings, SettingsError, read_settings


def _settings(folder: Path, **more: str) -> Settings:
    return read_settings({"ROTATOR_DATA_DIR": str(folder), **{f"ROTATOR_{n}": v for n, v in more.items()}})


def _decoded(key: Secret) -> bytes:
    return base64.urlsafe_b64decode(key.reveal())


def test_a_generated_key_is_new_each_time_and_parses() -> None:
    one, two = generate_master_key(), generate_master_key()
    assert one != two
    assert parse_ring(one, source="here") == (_decoded(one),)
    assert len(_decoded(one)) == KEY_BYTES


@pytest.mark.parametrize("between", [",", "\n", " , ", "\n\n", ",\n"])
def test_a_ring_is_parted_by_commas_or_lines(between: str) -> None:
    keys = [generate_master_key() for _ in range(3)]
    ring = Secret(between.join(k.reveal() for k in keys) + "\n")
    assert parse_ring(ring, source="here") == tuple(_decoded(k) for k in keys)


@pytest.mark.parametrize(
    "text", ["canary", " ", ",", "canary" * 20, "äöü", "\udcff", base64.b64encode(b"x" * 31).decode()]
)
def test_what_is_no_master_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_ring(Secret(text), source="SOURCE")
    assert str(refused.value).startswith("SOURCE: a master key is 32 bytes")
    assert "rotator master-key generate" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_one_bad_key_spoils_the_ring() -> None:
    with pytest.raises(SettingsError):
        parse_ring(Secret(f"{generate_master_key().reveal()},short"), source="here")


def test_the_embedded_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    first, again = master_key_source(_settings(folder)), master_key_source(_settings(folder))
    assert (first.created, again.created) == (True, False)
    assert first.keys() == again.keys()
    path = folder / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.listdir(folder) == ["master.key"]


def test_racing_processes_make_one_key(tmp_path: Path) -> None:
    """Each waits for the same moment, then says which key it got."""
    code = (
        "import sys, hashlib, pathlib\n"
        "from config.master_key import master_key_source\n"
        "from config.settings import read_settings\n"
        "settings = read_settings({'ROTATOR_DATA_DIR': sys.argv[1]})\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "source = master_key_source(settings)\n"
        "print(hashlib.sha256(source.keys()[0]).hexdigest(), source.created)\n"
    )
    folder = tmp_path / "data"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = [racer.communicate("go\n", timeout=60)[0].split() for racer in racers]
    assert len({key for key, _ in answers}) == 1
    assert [made for _, made in answers].count("True") == 1
    assert os.listdir(folder) == ["master.key"]


def test_a_key_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    source = master_key_source(_settings(tmp_path))
    (old,) = source.keys()
    new = generate_master_key()
    source.replace((new, Secret(base64.urlsafe_b64encode(old).decode())))
    assert source.keys() == (_decoded(new), old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_that_vanished_or_was_spoilt_is_named(tmp_path: Path) -> None:
    source = master_key_source(_settings(tmp_path))
    path = tmp_path / "master.key"
    source.keys()
    for spoil in (lambda: path.write_text("canary"), lambda: path.write_bytes(b"\xff\xff"), path.unlink):
        spoil()
        with pytest.raises(SettingsError) as refused:
            source.keys()
        assert str(refused.value).startswith(f"{path}: ")
        assert "canary" not in str(refused.value)


def test_a_key_by_variable_cannot_be_replaced_from_here(tmp_path: Path) -> None:
    source = master_key_source(_settings(tmp_path, MASTER_KEY=generate_master_key().reveal()))
    with pytest.raises(SettingsError, match="put the new key first in it yourself"):
        source.replace((generate_master_key(),))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_operators_is_read_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    path.write_text(generate_master_key().reveal(), encoding="utf-8")
    before = path.read_text()
    source = master_key_source(_settings(tmp_path, MASTER_KEY_FILE=str(path)))
    with pytest.raises(SettingsError, match="put the new key first in it yourself"):
        source.replace((generate_master_key(),))
    assert path.read_text() == before


def test_an_interrupted_write_leaves_the_old_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = master_key_source(_settings(tmp_path))
    before = source.keys()

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        source.replace((generate_master_key(),))
    assert source.keys() == before
    assert os.listdir(tmp_path) == ["master.key"]


@pytest.mark.parametrize(("number", "made"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced_is_no_fault_but_a_disk_that_fails_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, made: bool
) -> None:
    fsync = os.fsync

    def only_of_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_of_files)
    with nullcontext() if made else pytest.raises(SettingsError, match=os.strerror(number)):
        assert len(master_key_source(_settings(tmp_path)).keys()) == 1


def test_a_data_folder_that_cannot_be_made_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError) as refused:
        master_key_source(_settings(tmp_path / "file" / "data"))
    assert "ROTATOR_DATA_DIR" in str(refused.value)


def test_a_source_never_shows_its_keys(tmp_path: Path) -> None:
    key = generate_master_key()
    source = MasterKeySource(None, key)
    source.keys()
    assert key.reveal() not in repr(source)
    assert repr(_decoded(key)) not in repr(source)
