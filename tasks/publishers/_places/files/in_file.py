"""What every kind that publishes to a file shares: how the file is named, opened, and changed in spite of others.

TARGET begins with a path, ``PATH`` or ``PATH?symlink=follow``. A symbolic link is refused unless told to follow it:
replacing it would cut it off from its file, and silently writing elsewhere is no better.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tasks.publishers._places.files import disk
from tasks.publishers._shared.checks import FIELD, query_options, validated
from tasks.publishers._shared.regular import is_systems_own
from tasks.publishers._shared.uses import WrittenFile
from tasks.rotation.errors import InvalidInput, OperatorNeeded, RotatorError, TryAgain

ATTEMPTS: Final = 5
"""How often a publication starts again because someone else changed the file meanwhile."""
PATIENCE_S: Final = 4.0
"""No attempt begins later than this; one takes milliseconds, with a large YAML file seconds."""
STILL_BEING_WRITTEN_S: Final = 5.0
"""Whoever writes a file in place leaves it empty, or in part, for a moment: that is no reason to call a person."""


class Unreadable(OperatorNeeded):
    """The file's text as a whole makes no sense; it was left as it is."""


class FileOptions(BaseModel):
    """Where the file is. ``symlink`` says what to do when PATH is a symbolic link."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: WrittenFile
    symlink: Literal["refuse", "follow"] = Field("refuse", description="what to do when PATH is a symbolic link")


Options = TypeVar("Options", bound=FileOptions)
Answer = TypeVar("Answer")


def options_from(kind: str, model: type[Options], text: str) -> Options:
    """The options that ``PATH?name=value&...`` says, with the path made absolute; raises ``InvalidInput``.

    The file system is not asked yet.
    """
    path, _, query = text.partition("?")
    if not path or not path.isprintable() or path.endswith("/"):
        raise InvalidInput(FIELD, f"{kind} needs the path of a file.", f"For example: --publish {kind}:/srv/app/FILE")
    absolute = _absolute(path)
    if ".." in absolute.parts:
        raise InvalidInput(
            FIELD, "the path leads up again by '..', which means another file where there are links.", "Leave '..' out."
        )
    return validated(model, {**query_options(model, query), "path": absolute})


def target_of(options: FileOptions) -> str:
    """The absolute path, and behind a question mark what differs from the defaults."""
    differing = options.model_dump(mode="json", exclude_defaults=True, exclude={"path"})
    query = "&".join(f"{name}={value}" for name, value in differing.items())
    return f"{options.path}?{query}" if query else str(options.path)


@contextmanager
def opened(label: str, options: FileOptions, *, first: Callable[[], object] | None = None) -> Iterator[disk.Place]:
    """The file's directory. Whatever goes wrong inside leaves as one of our families, with the label in front.

    ``first`` is called before the disk is asked.
    """
    path = Path(os.path.realpath(options.path)) if options.symlink == "follow" else options.path
    try:
        if is_systems_own(path):
            raise OperatorNeeded(
                "it leads into /proc, /dev or /sys; nothing was changed.", "Publish to a regular file."
            )
        if first is not None:
            first()
        with disk.opened(path) as place:
            yield place
    except OSError as error:
        raise disk.translated(error, label) from error
    except RotatorError as error:
        error.message = f"{label}: {error.message}"
        raise


@contextmanager
def checked() -> Iterator[None]:
    """Around a check: what needs a person is a fault of what that person just gave us."""
    try:
        yield
    except OperatorNeeded as error:
        raise InvalidInput(FIELD, error.message, error.remedy) from error


def settle(place: disk.Place, attempt: Callable[[], bool]) -> None:
    """Call ``attempt`` under the lock until it is True. Raises ``TryAgain`` when others change the file each time."""
    disk.lock(place)
    times, give_up_at = 0, time.monotonic() + PATIENCE_S
    while times < ATTEMPTS and time.monotonic() < give_up_at:
        if attempt():
            return
        times += 1
    raise TryAgain(
        f"someone else changed the file {times} times while it was being updated;"
        " their changes were kept, and the key in it is the one that it was."
    )


def text_of(found: disk.Found | None) -> str | None:
    """The file's text, with its byte order mark if it has one; None for no file."""
    if found is None:
        return None
    try:
        return found.content.decode()
    except UnicodeDecodeError:
        pass
    # Raised outside the handler: the foreign error holds the whole content.
    raise Unreadable("the file is not UTF-8; it was left as it is.", "Convert it to UTF-8.")


def understood(found: disk.Found | None, ask: Callable[[str | None], Answer], *, shared: bool) -> Answer:
    """What ``ask`` makes of the file's text. ``shared``: others keep something in the file.

    ``TryAgain`` for a file that makes no sense, or is shared and empty, and was changed a moment ago: whoever writes it
    in place may not have come to its end.
    """
    fresh = found is not None and abs(time.time() - found.modified_ns / 1e9) < STILL_BEING_WRITTEN_S
    problem = "the file is empty, and was left as it is."
    if not (fresh and shared and found is not None and not found.content):
        try:
            return ask(text_of(found))
        except Unreadable as error:
            if not fresh:
                raise
            problem = error.message
    raise TryAgain(f"{problem} It was changed a moment ago, as if somebody is writing it.")


def _absolute(path: str) -> Path:
    """The path from the root. Leading ``..`` are resolved: where this process stands is known without the disk."""
    given = Path(os.path.expanduser(path))
    if given.is_absolute():
        return Path("/", *given.parts[1:])  # pathlib keeps two slashes in front, which mean the same as one
    here, parts = Path.cwd(), given.parts
    while parts[:1] == ("..",):
        here, parts = here.parent, parts[1:]
    return here.joinpath(*parts)
