"""A file that is the key, on a real file system."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

from config.secret import Secret
from tests.contract.places._beside import looked_at, make_a_folder_of, version_beside
from tests.contract.places.place import Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    folder = around.folder / "keys"
    folder.mkdir()
    path = folder / "openrouter.key"
    yield Place(
        kind="file",
        target=Secret(str(path)),
        credential=token_hex(8),  # a path has none
        application_reads=lambda: path.read_text() if path.exists() else None,
        snapshot=lambda: looked_at(path),
        spoil=lambda: make_a_folder_of(path),
        overwrite=path.write_text,
        empty=path.unlink,
        stamped=lambda: version_beside(path, ""),
    )
