"""`rotator demo`, as a stranger runs it: a process without a terminal, in an environment of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

MOST_S = 45.0
"""What the README promises."""
ROTATOR = [str(Path(sys.executable).with_name("rotator"))]
FINAL_STATES = {1: "deleted", 2: "deleted", 3: "deleted", 4: "active"}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Short, as a person's is: a socket's path has little room."""
    with TemporaryDirectory(prefix="d") as folder:
        yield Path(folder)


@pytest.fixture
def environment(tmp_path: Path, temporary: Path) -> dict[str, str]:
    """Temporary files go where the test can look for them; data and settings are nobody's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROTATOR_")}
    home = tmp_path / "home"
    home.mkdir()
    # A setting of the person's own, here one that would break everything, must not reach the demo.
    return kept | {"HOME": str(home), "TMPDIR": str(temporary), "ROTATOR_DATABASE_URL": "postgresql://nowhere/none"}


def test_three_rotations_and_a_verdict(environment: dict[str, str], temporary: Path) -> None:
    began = time.monotonic()
    done = subprocess.run([*ROTATOR, "demo"], env=environment, capture_output=True, text=True, timeout=110, check=False)
    took_s = time.monotonic() - began

    assert done.returncode == 0, done.stdout + done.stderr
    verdict = done.stdout.splitlines()[-1]
    assert verdict.startswith("verdict: 3 rotations, 4 keys minted, 3 disabled, 3 deleted, 1 live now, 0 orphans, "), (
        verdict
    )
    assert ", 0 consumer failures: every figure is right" in verdict
    assert _last_states(done.stdout) == FINAL_STATES
    assert "WRONG" not in done.stdout
    assert "sk-or-" not in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []
    assert list(_processes_in(temporary)) == []
    assert took_s < MOST_S * _patience()


def test_ctrl_c_leaves_nothing_behind(environment: dict[str, str], temporary: Path) -> None:
    with subprocess.Popen(
        [*ROTATOR, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert any("version 1 is active" in line for line in demo.stdout)
        demo.send_signal(signal.SIGINT)
        _, stderr = demo.communicate(timeout=60)

    assert demo.returncode == 130
    assert "everything is stopped and removed" in stderr
    assert "Traceback" not in stderr
    assert list(temporary.iterdir()) == []
    assert list(_processes_in(temporary)) == []


def _last_states(told: str) -> dict[int, str]:
    return {int(number): state for number, state in re.findall(r"version (\d+) is (\w+)$", told, re.M)}


def _processes_in(folder: Path) -> Iterator[str]:
    """Processes whose command line, environment or working folder is in the demo's folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(folder).encode() in traces or str((process / "cwd").resolve()).startswith(str(folder)):
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def _patience() -> float:
    """A machine that runs the whole suite on few cores is not the one the promise is about."""
    return 2.0 if os.environ.get("CI") or (os.cpu_count() or 1) <= 2 else 1.0
