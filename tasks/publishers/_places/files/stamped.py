"""One value in one file, with a companion that says which publication it is: all that ``file``, ``json`` and ``yaml``
share. A kind adds its form: how such a file says a value.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from config.secret import Secret
from tasks.publishers._places.files import companion as beside_file
from tasks.publishers._places.files import disk
from tasks.publishers._places.files.companion import Entry, beside, entries, entry_of, refuse_conflict_in, rendered
from tasks.publishers._places.files.in_file import (
    FileOptions,
    Unreadable,
    checked,
    opened,
    settle,
    target_of,
    text_of,
    understood,
)
from tasks.publishers._places.files.pointer import Path, pointer
from tasks.publishers._shared.checks import printable
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_REHEARSED: Final = "a-value-that-is-not-written"


class Form(Protocol):
    """How a kind of file says a value: text in, text out. None is a file that is not there.

    Each raises ``OperatorNeeded``, with nothing of the text in the message, for a text that it does not understand.
    """

    def held(self, text: str | None, path: Path) -> str | None:
        """The value at ``path``; None for none, and for an empty one."""

    def written(self, text: str | None, path: Path, value: str) -> str:
        """The text with ``value`` at ``path``, and nothing else changed."""

    def without(self, text: str, path: Path) -> str | None:
        """The text without what is at ``path``; None when nothing is left of the file."""


@dataclass(frozen=True)
class StampedFile:
    """The publisher for one file, and for one place in it where ``path`` is given."""

    kind: str
    options: FileOptions
    form: Form
    path: Path | None = None
    """Where in the file; None: the secret's name says so."""
    fragment: str = ""
    """``path`` as people write it, with its '#'."""
    mode: int = disk.NEW_FILE_MODE
    """A new file's."""

    @property
    def label(self) -> str:
        """Kind, path, and the place in the file."""
        return f"{self.kind}:{self.options.path}{self.fragment}"

    @property
    def target(self) -> Secret:
        """The absolute path, what differs from the defaults, and the place in the file."""
        return Secret(f"{target_of(self.options)}{self.fragment}")

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """The file."""
        return uses_of(self.options)

    @property
    def holds_variables(self) -> bool:
        """Whether each secret's name has a place of its own."""
        return self.path is None

    def check(self, secret_name: str) -> None:
        """Raise ``InvalidInput`` unless the file can be read, edited and replaced; leaves it alone."""
        with checked(), self._opened() as place:
            disk.lock(place)
            found, companion = disk.read(place), beside_file.read(place)
            entries(place, companion)
            self.form.written(text_of(found), self._path(secret_name), _REHEARSED)
            disk.rehearse(place, found)
            disk.rehearse(beside(place), companion, like=found)

    def publish(self, publication: Publication) -> None:
        """Put the value there, and nothing else. Writes nothing when all says so already; see the port for what is
        raised."""
        value, path = printable(publication.value), self._path(publication.secret_name)
        with self._opened() as place:
            settle(place, lambda: self._brought_up_to_date(place, path, publication, value))

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the value itself can be read
        """What the file holds there."""
        path = self._path(secret_name)
        with self._opened() as place:
            held = understood(disk.read(place), lambda text: self.form.held(text, path), shared=bool(path))
        if held is None:
            return Holding.NOTHING
        return Holding.SAME if Secret(held) == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Take the value out of the file, if it is the rotation's, and forget it; see the port for what is raised."""
        path = self._path(publication.secret_name)
        with self._opened() as place:
            settle(place, lambda: self._withdrawn(place, path, publication))

    def _opened(self) -> AbstractContextManager[disk.Place]:
        """The form is asked first, because it may lack its client; that is no fault of the file."""
        return opened(self.label, self.options, first=lambda: self.form.held(None, ()))

    def _path(self, secret_name: str) -> Path:
        return (secret_name,) if self.path is None else self.path

    def _brought_up_to_date(self, place: disk.Place, path: Path, publication: Publication, value: str) -> bool:
        """False when the file changed while we worked, and was therefore left alone. The value comes last, so that an
        error always means that the old one is still there."""
        found, companion, where = disk.read(place), beside_file.read(place), pointer(path)
        known = entries(place, companion)
        refuse_conflict_in(place, known, publication, where)
        after = understood(found, lambda text: self.form.written(text, path, value), shared=bool(path)).encode()
        entry = entry_of(
            publication, value, known=known.get(where), present=lambda: self.form.held(text_of(found), path)
        )
        stamped = _put(beside(place), companion, rendered(known | {where: entry}), like=found, mode=self.mode)
        return stamped and _put(place, found, after, mode=self.mode)

    def _withdrawn(self, place: disk.Place, path: Path, publication: Publication) -> bool:
        """False when the file changed while we worked. The stamp goes last: without it nobody knows what is ours."""
        found, companion, where = disk.read(place), beside_file.read(place), pointer(path)
        known = entries(place, companion)
        entry = known.pop(where, None)
        if entry is None or companion is None or not entry.is_of(publication):
            return True
        return self._taken_away(place, found, path, entry) and (
            _put(beside(place), companion, rendered(known)) if known else disk.remove(beside(place), companion)
        )

    def _taken_away(self, place: disk.Place, found: disk.Found | None, path: Path, entry: Entry) -> bool:
        def remaining(text: str | None) -> str | None:
            held = self.form.held(text, path)
            return text if text is None or held is None or not entry.knows(held) else self.form.without(text, path)

        try:
            left = understood(found, remaining, shared=bool(path))
        except Unreadable:
            if path:
                raise
            return True  # the whole file is something that no key is
        if found is None:
            return True
        return disk.remove(place, found) if left is None else _put(place, found, left.encode())


def _put(
    place: disk.Place,
    found: disk.Found | None,
    content: bytes,
    *,
    like: disk.Found | None = None,
    mode: int = disk.NEW_FILE_MODE,
) -> bool:
    """Make the file hold ``content``. False when it is not what was found any more."""
    return (found is not None and found.content == content) or disk.replace(place, found, content, like=like, mode=mode)
