"""A console with a past: months of rotations behind it, and every trouble that there is, on a clock that stands.

Nothing works in it, so that each page stays as it is for as long as it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tests.steered.installation import CONNECTION, Installation, Template, copied
from tests.upgrade.every_state import live_every_way
from tests.web.served import listening
from worker.web.app import make_web

LONGEST: Final = "the-longest-name-that-anybody-may-give-to-a-rotation-of-keys-abc"
"""Sixty-four characters."""
UNBROKEN: Final = "x" * 64
MANY: Final = 200
NOWHERE: Final = "/nobody/writes"
"""A folder that destinations may name, and that is not there."""
_DAY: Final = timedelta(days=1)
_WORDS: Final = (
    "Everything that the shop asks a model for: summaries of reviews, translations of questions, and answers at night. "
    "Billed to the platform team, whom to call is in the handbook under Keys, and never change this on a Friday."
)


@dataclass(frozen=True, slots=True)
class Lived:
    """Where it is served, and what it is."""

    url: str
    installation: Installation

    def token(self, role: str) -> str:
        """The text of a new token."""
        names = {"admin": "mara-of-the-platform-team", "operator": "night-shift", "viewer": "dashboard"}
        return self.installation.operations.create_token(names[role], role)[1].reveal()


@contextmanager
def lived(template: Template, folder: Path) -> Iterator[Lived]:
    """Serve it."""
    with copied(template, folder, web_requests_per_minute=1_000_000, web_folders=NOWHERE) as installation:
        _age(installation)
        live_every_way(installation)
        _connect(installation)
        with listening(make_web(installation.rotator)) as url:
            yield Lived(url, installation)


def _age(installation: Installation) -> None:
    """A rotation of five months, one of two hundred days, and one whose names are as long as they may be."""
    aged = {"overlap": "24h", "cooling": "3d", "limit_usd": 25.0, "limit_reset": "monthly"}
    installation.create("storefront", files=("shop.env", "mail.env"), every="30d", **aged)  # type: ignore[arg-type]  # fields of the request
    installation.create("archive", files=("archive.env",), every="1d", overlap="6h", cooling="6h")
    installation.run_for(5 * _DAY)
    _multiply(installation, "archive", MANY - len(installation.versions("archive")))
    installation.operations.pause_rotation("archive")
    installation.run_for(142 * _DAY)
    deep = installation.folder / "-".join(["a-folder-whose-name-does-not-end"] * 4) / UNBROKEN
    deep.mkdir(parents=True)
    long = RotationRequest(
        name=LONGEST,
        connection=CONNECTION,
        schedule=ScheduleRequest(cron="0 3 1 * *", timezone="America/Argentina/ComodRivadavia"),
        key_name="k" * 70,
        secret_name="OPENROUTER_API_KEY_OF_" + "A" * 60,
        publish=(Secret(f"dotenv:{deep}/an-environment-file-with-a-long-name.env"),),
        description=_WORDS,
    )
    installation.rotation_ids[LONGEST] = installation.operations.create_rotation(long).id
    installation.advance(LONGEST)


def _multiply(installation: Installation, name: str, times: int) -> None:
    """Put so many deleted versions before the first one, each a day before the next."""
    row = sa.table("key_versions", *map(sa.column, _columns(installation)))
    mine = row.c.rotation_id == installation.rotation_ids[name]
    with installation.database.write() as connection:
        first = connection.execute(sa.select(row).where(mine, row.c.number == 1)).mappings().one()
        connection.execute(
            sa.text("UPDATE rotations SET last_version = last_version + :n WHERE name = :name"),
            {"n": times, "name": name},
        )
        for move in (100_000, times - 100_000):  # past each other: a number is there once
            connection.execute(sa.update(row).where(mine).values(number=row.c.number + move))
        for number in range(1, times + 1):
            connection.execute(sa.insert(row).values(_earlier(dict(first), number, times + 1 - number)))


def _earlier(first: dict[str, object], number: int, days: int) -> dict[str, object]:
    back = days * int(_DAY.total_seconds() * 1000)
    times = {n: v - back for n, v in first.items() if n.endswith("_at") and isinstance(v, int)}
    mark = f"{number:016x}"
    return {**first, **times, "id": f"archived-{mark}", "number": number, "key_hash": mark * 4, "marker": mark}


def _columns(installation: Installation) -> list[str]:
    with installation.database.read() as connection:
        return [row[1] for row in connection.execute(sa.text("PRAGMA table_info(key_versions)"))]


def _connect(installation: Installation) -> None:
    """A connection whose key is refused by now, with long names, and one that nobody uses."""
    installation.account.register_management_key(installation.management_key.reveal())
    refused = Secret("emulator-refused-by-now")
    installation.account.register_management_key(refused.reveal())
    installation.operations.create_connection(UNBROKEN, refused, description=_WORDS)
    installation.account.revoke_management_key(refused.reveal())
    installation.operations.check_connection(UNBROKEN)
    installation.operations.create_connection("spare", installation.management_key)
