"""Command lines that a person, a script or a cat on the keyboard may write, made from the Typer application itself.

A new command, and a new option of an old one, is met here without a word: what there is is asked of the application.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from hypothesis import strategies as st
from typer.main import get_command

from worker.cli.app import app

CANARY: Final = f"sk-or-v1-{secrets.token_hex(16)}"
"""Looks like a key, and stands wherever text may stand. No command may repeat it."""


ROOT: Final = get_command(app)
"""Built once: it takes longer than most commands."""


@dataclass(frozen=True, slots=True)
class Given:
    """One call: its words, and what comes in on stdin."""

    words: tuple[str, ...]
    stdin: bytes


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command: its spellings, whether a value follows, and whether that is a number."""

    names: tuple[str, ...]
    takes_value: bool
    number: bool


@dataclass(frozen=True, slots=True)
class Command:
    """One command that does something."""

    path: tuple[str, ...]
    options: tuple[Option, ...]
    arguments: int
    """How many words it takes beside its options, at most; a command that takes any number counts as two."""


def commands() -> tuple[Command, ...]:
    """Every command of the application."""
    return tuple(_below(ROOT, ()))


def _below(command: Any, path: tuple[str, ...]) -> Iterator[Command]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield _described(command, path)
        return
    for name, sub in inner.items():
        yield from _below(sub, (*path, name))


def _described(command: Any, path: tuple[str, ...]) -> Command:
    options = [p for p in command.params if p.param_type_name == "option"]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    made = (
        Option((*o.opts, *o.secondary_opts), not o.is_flag, _is_number(o.type_descriptor.annotation))
        for o in options
        if "--help" not in o.opts
    )
    return Command(path, tuple(made), sum(1 if a.nargs == 1 else 2 for a in arguments))


def _is_number(annotation: object) -> bool:
    """``int``, ``float``, or one of them or nothing."""
    return bool({int, float} & {annotation, *get_args(annotation)})


def odd_files(folder: Path) -> tuple[str, ...]:
    """Paths that are not what a path should be."""
    (folder / "folder").mkdir()
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "empty").touch()
    (folder / "huge").write_bytes(b"a" * 200_000)
    (folder / "unfinished.env").write_text('OPENROUTER_API_KEY="not closed\n')
    (folder / "key").write_text(f"{CANARY}\n")
    (folder / "link").symlink_to(folder / "nowhere")
    there = [str(path) for path in sorted(folder.iterdir())]
    return (*there, str(folder / "missing" / "file"), "/proc/self/mem", "/", "", "\u202e", "a" * 5000)


NUMBERS: Final = (
    "0", "1", "-1", "+3", "0.5", "1e3", "1e308", "1e400", "nan", "-nan", "inf", "-inf", "Infinity", "NaN", "9" * 400,
    "0x10", "1_000", "١٢", "²", "-0", "1,5", "18446744073709551616",
)  # fmt: skip
_WORDS: Final = (
    "", " ", "web", "main", "prod", "-", "--", "-h", "--help", "--json", "-1", "--=", "=x", "a b", "\t", "a\nb",
    "\x1b[31m", "\x7f", "é", "\u2028", "\ufeff", "\udcff", "\ud800", "a" * 20_000, "../..", "daily", "hourly", "30d",
    "1d12h", "99999w", "0", "03:00", "25:61", "0 3 1 * *", "* * * * *", "0 0 30 2 *", "Europe/Berlin", "Mars/Olympus",
    "HUP", "SIGKILL", "dotenv:x.env", "dotenv:", "redis:", "nosuch:x", "ROTATOR_MASTER_KEY", "LD_PRELOAD", "{}", "[",
    '{"kind": "latency"}', '{"kind": "latency", "seconds": 1e999}', "00000000-0000-4000-8000-000000000000", "%s%n",
    "${HOME}", "$(id)", "true", CANARY, f"redis:redis://user:{CANARY}@127.0.0.1:1/0#k",
    f"redis:redis://user:{CANARY}@h:port/0#k", f"redis:redis://:{CANARY}#@h", f"dotenv:/x?token={CANARY}",
    f"{CANARY}:x", f"https://u:{CANARY}@h",
)  # fmt: skip
_ANY_TEXT: Final = st.text(st.characters(exclude_characters="\0"), max_size=40)


def words(files: tuple[str, ...]) -> st.SearchStrategy[str]:
    """One word; never with a NUL, which no system passes on."""
    targets = tuple(f"dotenv:{path}" for path in files) + tuple(f"dotenv:{path}?symlink=follow" for path in files)
    return st.sampled_from((*NUMBERS, *_WORDS, *files, *targets)) | _ANY_TEXT


@st.composite
def calls(draw: st.DrawFn, command: Command, files: tuple[str, ...]) -> Given:
    """A call of this command: often nearly right, often not."""
    word = words(files)
    likely = st.sampled_from(["web", "main", "30d", "1h", "daily", "5", "k"])
    parts = [list(draw(st.lists(likely | word, max_size=command.arguments + draw(st.integers(0, 1)))))]
    for option in draw(st.lists(st.sampled_from(command.options), max_size=6)) if command.options else ():
        parts.append(_written(draw, option, likely | word))
    if draw(st.booleans()):
        parts = draw(st.permutations(parts))
    stray = [[draw(word)]] if draw(st.integers(0, 9)) == 0 else []
    stdin = draw(
        st.sampled_from([b"", b"\n", CANARY.encode(), b"\xff\xfe\0", b"y\n", b"web\n"]) | st.binary(max_size=30)
    )
    return Given((*command.path, *(piece for part in (*parts, *stray) for piece in part)), stdin)


def _written(draw: st.DrawFn, option: Option, word: st.SearchStrategy[str]) -> list[str]:
    name = draw(st.sampled_from(option.names))
    if not option.takes_value:
        return [name]
    value = draw(st.sampled_from(NUMBERS) | word if option.number else word)
    return [f"{name}={value}"] if name.startswith("--") and draw(st.booleans()) else [name, value]
