"""A dotenv file on a real file system."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

from dotenv import dotenv_values

from config.secret import Secret
from tests.contract.places.place import NAME, Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    path = around.folder / "app.env"
    path.write_text("# the app\nOTHER='kept'\n")

    def spoil() -> None:
        path.unlink()
        path.mkdir()

    yield Place(
        kind="dotenv",
        target=Secret(str(path)),
        credential=token_hex(8),  # a path has none
        application_reads=lambda: dotenv_values(path).get(NAME),
        snapshot=lambda: (
            path.read_bytes(),
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            list(path.parent.iterdir()),
        ),
        spoil=spoil,
        overwrite=lambda value: path.write_text(f"{NAME}={value}\n"),
        empty=lambda: path.write_text("OTHER='kept'\n"),
        stamped=lambda: path.read_text().partition("version=")[2].split()[0],
    )
