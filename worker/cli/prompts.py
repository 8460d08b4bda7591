"""What a person is asked, and how a secret comes in: hidden prompt, stdin or file, never argv."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from config.secret import Secret
from config.short_file import LARGEST_BYTES, read_short_file
from worker.cli.guard import FAILED, MisuseError, note

_PASSPHRASE_S: Final = 60.0
"""How long ``--api-key-file <(pass show key)`` may take: somebody may have to type a passphrase first."""

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
KeyFromStdin = Annotated[bool, typer.Option("--api-key-stdin", help="Read the management key from stdin.")]
KeyFromFile = Annotated[
    Path | None, typer.Option("--api-key-file", help="Read the management key from a file.", metavar="PATH")
]
DestinationFromStdin = Annotated[bool, typer.Option("--destination-stdin", help="Read KIND:TARGET from stdin.")]
DestinationFromFile = Annotated[
    Path | None, typer.Option("--destination-file", help="Read KIND:TARGET from a file.", metavar="PATH")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A secret that a command asks for: what it is called, its two options, and the question."""

    noun: str
    stdin: str
    file: str
    question: str


_MANAGEMENT_KEY: Final = Asked("key", "--api-key-stdin", "--api-key-file", "Management key (hidden)")


_DESTINATION: Final = Asked(
    "destination", "--destination-stdin", "--destination-file", "Destination, KIND:TARGET (hidden)"
)


def read_management_key(*, stdin: bool, file: Path | None) -> Secret:
    """The management key from where the options say, or from a hidden prompt. Raises ``MisuseError``."""
    return read_secret(_MANAGEMENT_KEY, stdin=stdin, file=file)


def read_destination(given: Secret | None, *, stdin: bool, file: Path | None) -> Secret:
    """``KIND:TARGET`` as given, or from where the options say, or from a hidden prompt. Raises ``MisuseError``."""
    if given is None:
        return read_secret(_DESTINATION, stdin=stdin, file=file)
    if stdin or file is not None:
        raise MisuseError(f"KIND:TARGET, {_DESTINATION.stdin} and {_DESTINATION.file} exclude each other")
    return given


def read_secret(asked: Asked, *, stdin: bool, file: Path | None) -> Secret:
    """A secret from where the options say, or from a hidden prompt. Raises ``MisuseError``."""
    if stdin and file is not None:
        raise MisuseError(f"{asked.stdin} and {asked.file} exclude each other")
    if stdin:
        return _from_stdin(asked)
    if file is not None:
        return _from_file(asked, file)
    if not interactive():
        raise MisuseError(f"there is no terminal to ask for the {asked.noun}: use {asked.stdin} or {asked.file} PATH")
    return _not_empty(typer.prompt(asked.question, hide_input=True, err=True), asked, "the prompt")


def confirm(question: str, *, yes: bool) -> None:
    """Go on only after a yes; without a terminal to ask on, ``--yes`` is required."""
    if yes:
        return
    _require_terminal()
    if not typer.confirm(question, err=True):
        _stop()


def confirm_name(kind: str, name: str, *, yes: bool) -> None:
    """Go on only when the person types the name of what is about to go."""
    if yes:
        return
    _require_terminal()
    typed: str = typer.prompt(f'To delete the {kind} "{name}", type its name', err=True)
    if typed.strip() != name:
        _stop()


def interactive() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def _from_stdin(asked: Asked) -> Secret:
    try:
        text = sys.stdin.read(LARGEST_BYTES + 1)
    except UnicodeDecodeError:
        text = None
    # Raised outside the handler: the foreign error holds what was given.
    if text is None:
        raise MisuseError(f"{asked.stdin}: what came in on stdin is not UTF-8 text")
    if len(text) > LARGEST_BYTES:
        raise MisuseError(
            f"{asked.stdin}: more than {LARGEST_BYTES // 1024} KiB came in on stdin; that is no {asked.noun}"
        )
    return _not_empty(text, asked, "stdin")


def _from_file(asked: Asked, path: Path) -> Secret:
    try:
        text = read_short_file(path, patience_s=_PASSPHRASE_S)
    except OSError as error:
        raise MisuseError(f"{asked.file}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MisuseError(f"{asked.file}: {path} is not UTF-8 text") from None
    return _not_empty(text, asked, str(path))


def _not_empty(text: str, asked: Asked, source: str) -> Secret:
    if not text.strip():
        raise MisuseError(f"there is no {asked.noun} in {source}")
    return Secret(text.strip())


def _require_terminal() -> None:
    if not interactive():
        raise MisuseError("there is no terminal to ask on: add --yes if you are sure")


def _stop() -> None:
    note("Nothing was changed.")
    raise typer.Exit(FAILED)
