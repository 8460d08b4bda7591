"""The README as a program: its bash blocks, and who runs each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
_PART = re.compile(
    r"^(?P<level>#+) (?P<heading>[^\n]+)$"
    r"|(?:^<!-- (?P<mark>elsewhere|stays, until it says): (?P<what>[^\n]+) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """Some commands. ``elsewhere`` names the tests that cover them, where they cannot run here; ``ready`` is what
    a command says that stays until Ctrl-C."""

    section: str
    subsection: str
    text: str
    elsewhere: tuple[str, ...] = ()
    ready: str | None = None


@cache
def text() -> str:
    """The README."""
    return (TOP / "README.md").read_text(encoding="utf-8")


@cache
def blocks() -> tuple[Block, ...]:
    """Every bash block, in order."""
    found, section, subsection = [], "", ""
    for part in _PART.finditer(text()):
        if part["heading"] and part["level"] in {"#", "##"}:
            section, subsection = part["heading"], ""
        elif part["heading"]:
            subsection = part["heading"]
        elif part["language"] == "bash":
            elsewhere = tuple(part["what"].split()) if part["mark"] == "elsewhere" else ()
            ready = part["what"] if part["mark"] and not elsewhere else None
            found.append(Block(section, subsection, part["text"], elsewhere, ready))
    return tuple(found)
