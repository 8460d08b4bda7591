"""Publishes to a file that holds the key and nothing else: ``file:PATH``, or ``file:PATH?newline=yes&mode=0640``.

Whatever one line the file held is replaced. More than one is no key, and is not overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from config.secret import Secret
from tasks.publishers._places.files.in_file import FileOptions, options_from
from tasks.publishers._places.files.pointer import Path
from tasks.publishers._places.files.stamped import StampedFile
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD
from tasks.rotation.errors import InvalidInput, OperatorNeeded

_LINE_ENDS: Final = "\r\n"


class KeyFileOptions(FileOptions):
    """Where the file is, and what it looks like."""

    newline: Literal["no", "yes"] = Field("no", description="whether a line end follows the key")
    mode: str = Field(
        "0600",
        pattern=r"^0?[46][04][04]$",
        description="a new file's mode; others than its owner may at most read it",
    )


ABOUT: Final = About(
    target="PATH",
    example="file:/run/app/openrouter.key?newline=yes&mode=0640",
    happens="The whole file is the key and nothing else; it is replaced, atomically. Its mode and owner stay. A file of"
    " more than one line is no key file, and is refused. `.NAME.rotation` beside it says which version it is",
    auth="the worker's user must be able to write the file and its directory",
    proves="the file holds the key; line ends behind it are not looked at",
    options=KeyFileOptions,
)


def open_publisher(target: Secret) -> StampedFile:
    """The publisher for PATH, made absolute; raises ``InvalidInput``. The file system is not asked yet."""
    text = target.reveal()
    if "#" in text:
        raise InvalidInput(
            FIELD, "a file that is the key has no places in it, so there is no '#'.", "Look at dotenv, json and yaml."
        )
    options = options_from("file", KeyFileOptions, text)
    form = _OneLine("\n" if options.newline == "yes" else "")
    return StampedFile("file", options, form, path=(), mode=int(options.mode, 8))


@dataclass(frozen=True)
class _OneLine:
    """A file that is one value."""

    end: str

    def held(self, text: str | None, path: Path) -> str | None:  # noqa: ARG002 - there is one place only
        """All that is there, without line ends behind it."""
        return (text or "").rstrip(_LINE_ENDS) or None

    def written(self, text: str | None, path: Path, value: str) -> str:
        """The value. Raises for a file that holds what can be no value."""
        held = self.held(text, path)
        if held is not None and not held.isprintable():
            raise OperatorNeeded(
                "the file holds more than one line, or what cannot be printed, so it is no key; it was left as it is.",
                "Remove the file if it may go, or publish with dotenv, json or yaml.",
            )
        return f"{value}{self.end}"

    def without(self, text: str, path: Path) -> None:
        """Nothing is left of it."""
