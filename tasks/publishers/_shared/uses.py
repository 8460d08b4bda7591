"""What a destination would use of the machine that it is published from: files, variables, identities, programs.

A target may be named by somebody who has no account on that machine, so each of these is theirs to name only as far as
the machine's operator allows. A kind says what it would use with ``uses_of(options)``: the types of its options tell,
and what no option names, such as a cloud's own chain of identities, it adds itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class WritesFile:
    """It replaces this file."""

    option: str
    """Which part of the target names it, as people are told."""
    path: Path


@dataclass(frozen=True, slots=True)
class ReadsFile:
    """It reads this file, and may send it away: as a credential."""

    option: str
    path: Path


@dataclass(frozen=True, slots=True)
class ReadsVariable:
    """It reads this variable of the environment, and may send it away."""

    option: str
    name: str


@dataclass(frozen=True, slots=True)
class ActsAs:
    """It proves who it is by what this machine has, and not by a credential of its own."""

    whose: str
    """Whose identity, as a person would say it."""


@dataclass(frozen=True, slots=True)
class RunsProgram:
    """It runs a program, or reads a file in which one may be named."""

    option: str
    name: Path | str


@dataclass(frozen=True, slots=True)
class OpensSocket:
    """It speaks to whatever listens on this socket."""

    option: str
    path: str


MachineUse: TypeAlias = WritesFile | ReadsFile | ReadsVariable | ActsAs | RunsProgram | OpensSocket


@dataclass(frozen=True, slots=True)
class Names:
    """Marks a type of option, in its ``Annotated``: a value of it names such a part of the machine."""

    use: Callable[[str, Any], MachineUse]


WrittenFile = Annotated[Path, Names(WritesFile)]
"""The path of the file that is published to."""


def uses_of(options: BaseModel) -> tuple[MachineUse, ...]:
    """What the options of a target name of the machine, by the marks of their types. Empty values name nothing."""
    return tuple(_uses(options))


def marks_of(field: FieldInfo) -> tuple[Names, ...]:
    """The marks of a field's type, also where None or something else may stand instead."""
    return tuple(mark for mark in (*field.metadata, *_inside(field.annotation)) if isinstance(mark, Names))


def _uses(options: BaseModel) -> Iterator[MachineUse]:
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        for mark in marks_of(field) if value else ():
            yield mark.use(name if field.description else "the target", value)


def _inside(annotation: object) -> Iterator[object]:
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _inside(part)
