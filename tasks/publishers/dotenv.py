"""Publishes to a variable of a dotenv file: ``dotenv:PATH``, or ``dotenv:PATH?symlink=follow``.

``dotenv_text`` decides what the file says, ``disk`` replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from config.secret import Secret
from tasks.publishers._places.files import disk
from tasks.publishers._places.files.dotenv_text import edited, held, refuse_unreadable, withdrawn
from tasks.publishers._places.files.in_file import (
    FileOptions,
    checked,
    opened,
    options_from,
    settle,
    target_of,
    text_of,
)
from tasks.publishers._shared.about import About
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

ABOUT: Final = About(
    target="PATH",
    example="dotenv:/srv/app/.env?symlink=follow",
    happens="One variable of a dotenv file is replaced, atomically. Comments, order, other variables, mode and owner"
    " stay; a new file is 0600. A symbolic link is refused, unless told otherwise",
    auth="the worker's user must be able to write the file and its directory",
    proves="every line that sets the variable holds the key",
    options=FileOptions,
)


def open_publisher(target: Secret) -> DotenvPublisher:
    """The publisher for PATH, made absolute; raises ``InvalidInput``. The file system is not asked yet."""
    return DotenvPublisher(options_from("dotenv", FileOptions, target.reveal()))


class DotenvPublisher:
    """One variable of one dotenv file."""

    def __init__(self, options: FileOptions) -> None:
        self._options = options

    @property
    def label(self) -> str:
        """Kind and path."""
        return f"dotenv:{self._options.path}"

    @property
    def target(self) -> Secret:
        """The absolute path, and what differs from the defaults."""
        return Secret(target_of(self._options))

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """The file."""
        return uses_of(self._options)

    @property
    def holds_variables(self) -> bool:
        """A file holds many."""
        return True

    def check(self, secret_name: str) -> None:
        """Raise ``InvalidInput`` unless the file can be read, parsed and replaced; leaves it alone."""
        _refuse_bad_name(secret_name)
        with checked(), opened(self.label, self._options) as place:
            disk.lock(place)
            found = disk.read(place)
            refuse_unreadable(text_of(found) or "", secret_name)
            disk.rehearse(place, found)

    def publish(self, publication: Publication) -> None:
        """Set the variable. Writes nothing when the file says so already; see the port for what is raised."""
        _refuse_bad_name(publication.secret_name)
        self._settle(lambda text: edited(text or "", publication))

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the value itself can be read
        """What the variable holds; SAME only if every line that sets it agrees."""
        with opened(self.label, self._options) as place:
            return held(text_of(disk.read(place)) or "", secret_name, expected)

    def withdraw(self, publication: Publication) -> None:
        """Take out the variable and our line above it, if that says that it is the rotation's; see the port for what
        is raised."""
        _refuse_bad_name(publication.secret_name)
        self._settle(lambda text: None if text is None else withdrawn(text, publication))

    def _settle(self, edit: Callable[[str | None], str | None]) -> None:
        """Make the file say what ``edit`` makes of it, in spite of others who write it."""

        def attempt() -> bool:
            found = disk.read(place)
            before = text_of(found)
            after = edit(before)
            return after is None or after == before or disk.replace(place, found, after.encode())

        with opened(self.label, self._options) as place:
            settle(place, attempt)


def _refuse_bad_name(secret_name: str) -> None:
    if not _VARIABLE.fullmatch(secret_name):
        raise InvalidInput(
            "--secret-name",
            "a dotenv variable consists of letters, digits and underscores, and does not begin with a digit.",
        )
