"""A YAML file on a real file system, read by another library than ours."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import yaml

from config.secret import Secret
from tests.contract.places._beside import looked_at, make_a_folder_of, version_beside
from tests.contract.places.place import NAME, Place, Surroundings

_VALUES = "# the app\nport: 8080 # kept\nopenrouter:\n  site: 'kept'\n"


def place(around: Surroundings) -> Iterator[Place]:
    folder = around.folder / "app"
    folder.mkdir()
    path = folder / "values.yaml"
    path.write_text(_VALUES)
    yield Place(
        kind="yaml",
        target=Secret(f"{path}#openrouter.{NAME}"),
        credential=token_hex(8),  # a path has none
        application_reads=lambda: yaml.safe_load(path.read_text())["openrouter"].get(NAME),
        snapshot=lambda: looked_at(path),
        spoil=lambda: make_a_folder_of(path),
        overwrite=lambda value: path.write_text(f"{_VALUES}  {NAME}: {value}\n"),
        empty=lambda: path.write_text(_VALUES),
        stamped=lambda: version_beside(path, f"/openrouter/{NAME}"),
    )
