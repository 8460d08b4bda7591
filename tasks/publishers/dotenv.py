"""Publishes to a variable of a dotenv file: ``dotenv:PATH``, or ``dotenv:PATH?symlink=follow``.

``_dotenv_text`` decides what the file says, ``_file`` replaces it. A symbolic link is refused unless told to follow it:
replacing it would cut it off from its file, and silently writing elsewhere is no better.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.secret import Secret
from tasks.publishers import _file
from tasks.publishers._checks import FIELD, query_options, validated
from tasks.publishers._dotenv_text import edited, held, refuse_unreadable
from tasks.rotation.errors import InvalidInput, OperatorNeeded, RotatorError, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

ATTEMPTS: Final = 5
"""How often a publication starts again because someone else changed the file meanwhile."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DotenvOptions(BaseModel):
    """Where the file is. ``symlink`` says what to do when PATH is a symbolic link."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path
    symlink: Literal["refuse", "follow"] = Field("refuse", description="what to do when PATH is a symbolic link")


def open_publisher(target: Secret) -> DotenvPublisher:
    """The publisher for PATH, made absolute; raises ``InvalidInput``. The file system is not asked yet."""
    path, _, query = target.reveal().partition("?")
    if not path or not path.isprintable() or path.endswith("/"):
        raise InvalidInput(FIELD, "dotenv needs the path of a file.", "For example: --publish dotenv:/srv/app/.env")
    absolute = Path(os.path.expanduser(path)).absolute()
    return DotenvPublisher(validated(DotenvOptions, {**query_options(DotenvOptions, query), "path": absolute}))


class DotenvPublisher:
    """One variable of one dotenv file."""

    def __init__(self, options: DotenvOptions) -> None:
        self._options = options

    @property
    def label(self) -> str:
        """Kind and path."""
        return f"dotenv:{self._options.path}"

    @property
    def target(self) -> Secret:
        """The absolute path, and what differs from the defaults."""
        follow = "?symlink=follow" if self._options.symlink == "follow" else ""
        return Secret(f"{self._options.path}{follow}")

    @property
    def holds_variables(self) -> bool:
        """A file holds many."""
        return True

    def check(self, secret_name: str) -> None:
        """Raise ``InvalidInput`` unless the file can be read, parsed and replaced; leaves it alone."""
        _refuse_bad_name(secret_name)
        try:
            with self._opened() as place:
                _file.lock(place)
                found = _file.read(place)
                refuse_unreadable(_text(found), secret_name)
                _file.rehearse(place, found)
        except OperatorNeeded as error:
            raise InvalidInput(FIELD, error.message, error.remedy) from error

    def publish(self, publication: Publication) -> None:
        """Set the variable. Writes nothing when the file says so already; see the port for what is raised."""
        _refuse_bad_name(publication.secret_name)
        with self._opened() as place:
            _file.lock(place)
            if not any(_brought_up_to_date(place, publication) for _ in range(ATTEMPTS)):
                raise TryAgain(
                    f"someone else changed the file {ATTEMPTS} times while it was being updated;"
                    " their changes were kept, and the old key is still in it."
                )

    def read_back(self, secret_name: str, expected: Secret) -> Holding:
        """What the variable holds; SAME only if every line that sets it agrees."""
        with self._opened() as place:
            return held(_text(_file.read(place)), secret_name, expected)

    @contextmanager
    def _opened(self) -> Iterator[_file.Place]:
        """The file's directory. Whatever goes wrong inside leaves as one of our families, with the label in front."""
        path = self._options.path
        try:
            with _file.opened(Path(os.path.realpath(path)) if self._options.symlink == "follow" else path) as place:
                yield place
        except OSError as error:
            raise _file.translated(error, self.label) from error
        except RotatorError as error:
            error.message = f"{self.label}: {error.message}"
            raise


def _refuse_bad_name(secret_name: str) -> None:
    if not _VARIABLE.fullmatch(secret_name):
        raise InvalidInput(
            "--secret-name",
            "a dotenv variable consists of letters, digits and underscores, and does not begin with a digit.",
        )


def _brought_up_to_date(place: _file.Place, publication: Publication) -> bool:
    """Make the file say so. False when it changed while we worked, and was therefore left alone."""
    found = _file.read(place)
    before = _text(found)
    after = edited(before, publication)
    return after == before or _file.replace(place, found, after.encode())


def _text(found: _file.Found | None) -> str:
    """The file's text, with its byte order mark if it has one; empty for no file."""
    if found is None:
        return ""
    try:
        return found.content.decode()
    except UnicodeDecodeError:
        pass
    # Raised outside the handler: the foreign error holds the whole content.
    raise OperatorNeeded("the file is not UTF-8; it was left as it is.", "Convert it to UTF-8.")
