"""A child ends with its parent, even when the parent is killed without a chance to say so."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.integration.processes import Process, Start, alive, wait_for

PARENT = """
import os, subprocess, sys
reading, writing = os.pipe()
child = subprocess.Popen([sys.executable, "-P", "-m", "worker.tether", str(reading), *sys.argv[1:]],
                         pass_fds=(reading,), start_new_session=True)
os.close(reading)
print("started", child.pid, flush=True)
print("ended", child.wait(), flush=True)
"""


def _parent(start: Start, *arguments: str) -> tuple[Process, int]:
    parent = start("parent", [sys.executable, "-c", PARENT, *arguments], {"PYTHONPATH": ":".join(sys.path)})
    parent.says("started")
    child = int(parent.text.split()[1])
    return parent, child


def test_a_command_ends_when_its_parent_is_killed(start: Start) -> None:
    parent, tether = _parent(start, "exec", "sleep", "600")
    wait_for(lambda: len(parent.descendants()) == 2, "the command runs")
    family = [p.pid for p in parent.descendants()]
    assert tether in family
    parent.signal(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in family), "nothing is left", timeout_s=10)


def test_a_command_gets_the_signal_and_its_exit_code_comes_back(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("trap 'exit 7' TERM; echo trapped; while :; do sleep 0.1; done")
    parent, tether = _parent(start, "exec", "sh", str(script))
    parent.says("trapped")
    os.kill(tether, signal.SIGTERM)
    parent.says("ended 7")


def test_a_command_ends_when_only_its_watcher_is_killed(start: Start) -> None:
    parent, tether = _parent(start, "exec", "sleep", "600")
    wait_for(lambda: len(parent.descendants()) == 2, "the command runs")
    family = [p.pid for p in parent.descendants()]
    os.kill(tether, signal.SIGKILL)
    if sys.platform == "linux":
        wait_for(lambda: not any(alive(pid) for pid in family), "nothing is left", timeout_s=10)
