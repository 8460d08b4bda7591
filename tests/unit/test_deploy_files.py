"""The files for Compose's secrets and for systemd do what they say."""

from __future__ import annotations

import configparser
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from config.settings import read_settings

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "worker/deploy/make-secrets.sh"
UNIT = ROOT / "worker/deploy/rotator.service"


def _make(folder: Path) -> str:
    return subprocess.run(["sh", str(SCRIPT), str(folder)], check=True, capture_output=True, text=True).stdout


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_secrets_fit_together_and_make_settings(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    _make(folder)
    made = _contents(folder)
    assert made["postgres_password"] in made["database_url"]
    assert made["valkey_conf"].removeprefix("requirepass ").strip() in made["broker_url"]
    names = {"DATABASE_URL", "BROKER_URL", "MASTER_KEY", "FLOWER_BASIC_AUTH"}
    settings = read_settings({f"ROTATOR_{name}_FILE": str(folder / name.lower()) for name in names})
    assert settings.broker().reveal() == made["broker_url"]


def test_the_secrets_are_valid_master_key_included(tmp_path: Path) -> None:
    from config.master_key import parse_ring
    from config.secret import Secret

    _make(tmp_path / "secrets")
    assert len(parse_ring(Secret(_contents(tmp_path / "secrets")["master_key"]), source="test")) == 1


def test_a_second_run_replaces_nothing_and_shows_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    shown = _make(folder)
    before = _contents(folder)
    shown += _make(folder)
    assert _contents(folder) == before
    assert not any(text.strip() in shown for text in before.values())


def test_only_the_owner_enters_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    _make(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}


def test_the_unit_runs_up_and_gives_it_time_to_stop() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way
    unit.read(UNIT)
    service = unit["Service"]
    assert service["ExecStart"].endswith("/rotator up --web")
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > read_settings({}).shutdown_s.total_seconds()
    assert service["Restart"] == "always"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "rotator.service"
    copy.write_text(UNIT.read_text().replace("/opt/rotator/bin/rotator up --web", "/bin/true"))
    verdict = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert "rotator.service" not in verdict.stderr.replace(f"{copy}: ", ""), verdict.stderr
    assert verdict.returncode == 0, verdict.stderr
