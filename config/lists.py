"""Lists in settings, comma-separated: names of hosts and of variables, and folders."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from config.environment import PREFIX

_HOST_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
_VARIABLE: Final = re.compile(rf"(?!{PREFIX})[A-Za-z_][A-Za-z0-9_]*")


def _parts(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, tuple) else str(value).split(",")
    return tuple(text for part in parts if (text := str(part).strip()))


def _as_host_names(value: object) -> str:
    names = [name.lower() for name in _parts(value)]
    if not all(_HOST_NAME.fullmatch(name) for name in names):
        raise ValueError("must be names without scheme, port or path, such as rotator.example.com, comma-separated")
    return ",".join(names)


def _each(is_right: Callable[[str], bool], wanted: str) -> BeforeValidator:
    def checked(value: object) -> tuple[str, ...]:
        parts = _parts(value)
        if not all(map(is_right, parts)):
            raise ValueError(f"must be {wanted}, comma-separated")
        return parts

    return BeforeValidator(checked)


def _is_folder(text: str) -> bool:
    return Path(text).is_absolute() and text.isprintable()


HostNames = Annotated[str, BeforeValidator(_as_host_names)]
"""Names of hosts, in small letters."""
Folders = Annotated[tuple[Path, ...], _each(_is_folder, "absolute paths of folders")]
"""Folders, which need not exist."""
VariableNames = Annotated[
    tuple[str, ...],
    _each(lambda name: bool(_VARIABLE.fullmatch(name)), f"names of variables, none of them ours ({PREFIX}...)"),
]
"""Variables of the environment that are no settings of ours."""
