"""A destination's own credential: given with the target, which is stored encrypted, or named by a reference.

A reference is a file, or a variable of the worker's environment; both are read anew for each call, so that whoever
replaces the credential need not tell us.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from config.environment import PREFIX, variable
from config.secret import Secret
from config.short_file import read_short_file
from tasks.publishers._shared.regular import fault_of
from tasks.publishers._shared.uses import Names, ReadsFile, ReadsVariable
from tasks.rotation.errors import OperatorNeeded

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _absolute(path: Path) -> Path:
    if not (path.is_absolute() and str(path).isprintable()):
        raise ValueError("it must be an absolute path, of characters that can be printed")
    return path


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith(PREFIX):
        raise ValueError(f"it must be the name of a variable of the environment, and none of ours ({PREFIX}...)")
    return name


NamedFile = Annotated[Path, AfterValidator(_absolute), Names(ReadsFile)]
"""The path of a file to read: of one credential, say, or of certificates."""
VariableName = Annotated[str, AfterValidator(_variable), Names(ReadsVariable)]
"""A variable of the worker's environment that holds one credential. Our own settings are no destination's."""


def credential(
    label: str, *, given: Secret | None = None, file: Path | None = None, name: str | None = None
) -> Secret | None:
    """The first that there is of: what was given, the file's content, the variable's value; None for none at all.

    Raises ``OperatorNeeded`` for a reference that leads nowhere.
    """
    if given is not None:
        return given
    if file is not None:
        return _from_file(label, file)
    return None if name is None else _from_environment(label, name)


def _from_file(label: str, file: Path) -> Secret:
    fault = fault_of(file)
    try:
        text = "" if fault else read_short_file(file, regular=True).strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if text:
        return Secret(text)
    # Raised outside the handler: a decoding error holds the file's content.
    raise OperatorNeeded(
        f"{label}: the file {file} with its credential {fault or 'is empty or cannot be read'}; nothing was changed.",
        "Let the worker's user read it; it must be a file of UTF-8.",
    )


def _from_environment(label: str, name: str) -> Secret:
    value = variable(name)
    if value is None:
        raise OperatorNeeded(
            f"{label}: the environment has no variable {name} with its credential; nothing was changed.",
            "Set it for the workers and start them anew, and for the command that you run.",
        )
    return value
