"""A deliberate mistake in the product, as data: what is changed, why that would hurt, and which tests must see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(Exception):
    """The text that a mutation replaces is not there, or is there more than once: the mutation must be written anew."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file; ``old`` stands there exactly once."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """``text`` with the replacement made. Raises ``DoesNotApply``."""
        count = text.count(self.old)
        if count != 1:
            raise DoesNotApply(f"{self.file} has this {count} times instead of once:\n{self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake that somebody could make. ``hurts`` says what users would lose; one of ``tests`` must go red."""

    name: str
    hurts: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def apply_to(self, tree: Path) -> None:
        """Make the mistake in this copy of the project. Raises ``DoesNotApply``; then nothing was written."""
        texts: dict[Path, str] = {}
        for edit in self.edits:
            file = tree / edit.file
            before = texts.get(file) or file.read_text(encoding="utf-8")
            texts[file] = edit.applied(before)
        for file, text in texts.items():
            file.write_text(text, encoding="utf-8")
