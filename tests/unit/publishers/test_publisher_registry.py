"""Kinds of publishers: found by file name, imported on demand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tasks.publishers
from config.secret import Secret
from tasks.publishers import kinds, open_publisher, split_publish
from tasks.rotation.errors import InvalidInput


def test_listing_kinds_imports_none_of_them() -> None:
    program = (
        "import sys, tasks.publishers as p; assert 'dotenv' in p.kinds();"
        "print([name for name in sys.modules if name.startswith('tasks.publishers.') and '._' not in name])"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert listed.stdout == "[]\n"


def test_one_new_file_is_a_new_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(kinds())
    (tmp_path / "carrier_pigeon.py").write_text(
        "ABOUT = None\ndef open_publisher(target):\n    return f'opened {target}'\n"
    )
    (tmp_path / "_loft.py").touch()
    monkeypatch.setattr(tasks.publishers, "__path__", [*tasks.publishers.__path__, str(tmp_path)])
    assert set(kinds()) - known == {"carrier-pigeon"}
    assert str(open_publisher("carrier-pigeon", Secret("north"))) == "opened ********"
    monkeypatch.delitem(sys.modules, "tasks.publishers.carrier_pigeon")
    monkeypatch.delattr(tasks.publishers, "carrier_pigeon")


@pytest.mark.parametrize("text", ["", "dotenv", "dotenv:", ":x", "carrier-pigeon:loft", "_file:/x", "../dotenv:/x"])
def test_an_unknown_kind_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        split_publish(text)
    assert ", ".join(kinds()) in refused.value.remedy


def test_what_is_no_kind_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        split_publish("user_name@Host:password")
    assert "user_name" not in str(refused.value)
