"""What is no regular file is neither read nor replaced, whoever stored such a target, and keeps no worker waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.secret import Secret
from tasks.publishers import open_publisher
from tasks.publishers._shared.authorities import authorities
from tasks.publishers._shared.credentials import credential
from tasks.rotation.errors import OperatorNeeded
from tasks.rotation.ports import Publication

PUBLICATION = Publication("r-1", "web", "API_KEY", 1, 1, Secret("test-key"))
USES: dict[str, Callable[[Path], object]] = {
    "credential": lambda path: credential("label", file=path),
    "authorities": lambda path: authorities("label", path),
    "kubeconfig": lambda path: open_publisher("kubernetes", Secret(f"p/s?kubeconfig={path}#K")).check("API_KEY"),
    "destination": lambda path: open_publisher("dotenv", Secret(f"{path}")).publish(PUBLICATION),
    "followed": lambda path: open_publisher("file", Secret(f"{path}?symlink=follow")).publish(PUBLICATION),
}


@pytest.fixture
def special(tmp_path: Path) -> dict[str, Path]:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "around").symlink_to("/proc/self")
    return {"fifo": tmp_path / "fifo", "environment": tmp_path / "around" / "environ", "folder": tmp_path}


@pytest.mark.parametrize("name", ["fifo", "environment", "folder"])
@pytest.mark.parametrize("use", USES)
def test_it_is_refused_at_once(use: str, name: str, special: dict[str, Path]) -> None:
    began = time.monotonic()
    with pytest.raises(OperatorNeeded, match=r"regular file|/proc, /dev"):
        USES[use](special[name])
    assert time.monotonic() - began < 1


def test_a_fifo_that_takes_the_files_place_meanwhile_is_not_waited_for(
    special: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.publishers._shared.credentials.fault_of", lambda _: "")
    began = time.monotonic()
    with pytest.raises(OperatorNeeded, match="cannot be read"):
        credential("label", file=special["fifo"])
    assert time.monotonic() - began < 1
