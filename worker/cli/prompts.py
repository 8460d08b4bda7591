"""What a person is asked, and how a secret comes in: hidden prompt, stdin or file, never argv."""

from __future__ import annotations

import sys
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


def read_management_key(*, stdin: bool, file: Path | None) -> Secret:
    """The management key from where the options say, or from a hidden prompt. Raises ``MisuseError``."""
    if stdin and file is not None:
        raise MisuseError("--api-key-stdin and --api-key-file exclude each other")
    if stdin:
        return _from_stdin()
    if file is not None:
        return _from_file(file)
    if not interactive():
        raise MisuseError("there is no terminal to ask for the key: use --api-key-stdin or --api-key-file PATH")
    return _not_empty(typer.prompt("Management key (hidden)", hide_input=True, err=True), "the prompt")


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


def _from_stdin() -> Secret:
    try:
        text = sys.stdin.read(LARGEST_BYTES + 1)
    except UnicodeDecodeError:
        text = None
    # Raised outside the handler: the foreign error holds what was given.
    if text is None:
        raise MisuseError("--api-key-stdin: what came in on stdin is not UTF-8 text")
    if len(text) > LARGEST_BYTES:
        raise MisuseError(f"--api-key-stdin: more than {LARGEST_BYTES // 1024} KiB came in on stdin; that is no key")
    return _not_empty(text, "stdin")


def _from_file(path: Path) -> Secret:
    try:
        text = read_short_file(path, patience_s=_PASSPHRASE_S)
    except OSError as error:
        raise MisuseError(f"--api-key-file: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MisuseError(f"--api-key-file: {path} is not UTF-8 text") from None
    return _not_empty(text, str(path))


def _not_empty(text: str, source: str) -> Secret:
    if not text.strip():
        raise MisuseError(f"there is no key in {source}")
    return Secret(text.strip())


def _require_terminal() -> None:
    if not interactive():
        raise MisuseError("there is no terminal to ask on: add --yes if you are sure")


def _stop() -> None:
    note("Nothing was changed.")
    raise typer.Exit(FAILED)
