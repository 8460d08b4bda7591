"""Releases that there never were: ours, with other migrations behind, or without its newest ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tasks.store import schema

OURS: Final = schema.MIGRATIONS
_MIGRATION: Final = '''"""One that a test made up."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
works_with = "{works_with}"
reversible = {reversible}


def upgrade() -> None:
    """Make something new."""
    op.execute("CREATE TABLE new_{revision} (id INTEGER)")
    op.execute("{statement}")


def downgrade() -> None:
    """Take it back."""
    op.execute("DROP TABLE new_{revision}")
'''


def revisions() -> list[str]:
    """The schemas of this release, the first one first."""
    return [s.revision for s in reversed(list(ScriptDirectory(str(OURS)).walk_revisions()))]


NEWEST: Final = revisions()[-1]


class Releases:
    """Lets the code under test be another release. Nothing but its migrations is other then."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._made: list[tuple[str, str]] = []

    def add(self, revision: str, *, works_with: str, reversible: bool = True, statement: str = "SELECT 1") -> None:
        """Release, behind what there is, one with this migration; and be it."""
        before = self._made[-1][0] if self._made else NEWEST
        text = _MIGRATION.format(
            revision=revision, before=before, works_with=works_with, reversible=reversible, statement=statement
        )
        self._made.append((revision, text))
        self.be(revision)

    def be(self, revision: str) -> None:
        """Be the release that needs this schema: ours, one before it, or one that was added."""
        self._monkeypatch.setattr(schema, "MIGRATIONS", OURS if revision == NEWEST else self.migrations_of(revision))

    def migrations_of(self, revision: str) -> Path:
        """A folder with the migrations of the release that needs this schema."""
        folder = self._folder / revision
        shutil.copytree(OURS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        if revision in revisions():
            for later in revisions()[revisions().index(revision) + 1 :]:
                _file_of(later, folder).unlink()
            return folder
        for name, text in self._made:
            (folder / "versions" / f"{name}.py").write_text(text)
            if name == revision:
                break
        return folder


def _file_of(revision: str, folder: Path) -> Path:
    (found,) = (folder / "versions").glob(f"{revision}_*.py")
    return found


def migrate(engine: sa.Engine, revision: str) -> None:
    """Run our migrations up to this one and no further, as a person with Alembic would."""
    config = Config()
    config.set_main_option("script_location", str(OURS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
