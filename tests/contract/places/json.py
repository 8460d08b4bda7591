"""A JSON file on a real file system, read by a reader that refuses names it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from pydantic import BaseModel, ConfigDict

from config.secret import Secret
from tests.contract.places._beside import looked_at, make_a_folder_of, version_beside
from tests.contract.places.place import Place, Surroundings


class _OpenRouter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    apiKey: str | None = None  # noqa: N815 - as such files are written
    site: str


class _Application(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int
    openrouter: _OpenRouter


def place(around: Surroundings) -> Iterator[Place]:
    folder = around.folder / "app"
    folder.mkdir()
    path = folder / "config.json"
    path.write_text('{\n    "port": 8080,\n    "openrouter": {"site": "kept"}\n}\n')
    yield Place(
        kind="json",
        target=Secret(f"{path}#/openrouter/apiKey"),
        credential=token_hex(8),  # a path has none
        application_reads=lambda: _Application.model_validate_json(path.read_bytes()).openrouter.apiKey,
        snapshot=lambda: looked_at(path),
        spoil=lambda: make_a_folder_of(path),
        overwrite=lambda value: _put(path, {"apiKey": value, "site": "kept"}),
        empty=lambda: _put(path, {"site": "kept"}),
        stamped=lambda: version_beside(path, "/openrouter/apiKey"),
    )


def _put(path: Path, openrouter: dict[str, str]) -> None:
    path.write_text(json.dumps({"port": 8080, "openrouter": openrouter}))
