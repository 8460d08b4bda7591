"""The wheel holds every file that the program needs, templates, scripts and licences included."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.habits.house import PRODUCT, TOP, name_of


def test_every_file_of_the_product_is_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=TOP, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    ours = {
        name_of(path)
        for root in PRODUCT
        for path in (TOP / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = ours - set(zipfile.ZipFile(wheel).namelist())
    assert not missing, f"an installation would lack {sorted(missing)}"
