"""One member of a JSON object, changed in its text: what the others say stays as it was written, to the digit."""

from __future__ import annotations

import json
from typing import Final

_DECODER: Final = json.JSONDecoder()
_BLANK: Final = " \t\n\r"


def read_object(text: str) -> dict[str, object] | None:
    """The object that the text says; None for anything else, JSON or not."""
    try:
        read = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def with_member(text: str, name: str, value: str) -> str:
    """The object with one member set to a string, in its place or as the last. ``text`` says an object."""
    return _written(_members(text) | {name: f"{json.dumps(name)}: {json.dumps(value)}"})


def without_member(text: str, name: str) -> str:
    """The object without one member. ``text`` says an object."""
    return _written({known: member for known, member in _members(text).items() if known != name})


def _members(text: str) -> dict[str, str]:
    """Each member as it was written, by its name. Of two with one name the last counts, as for whoever reads it."""
    found: dict[str, str] = {}
    at = _next(text, text.index("{") + 1)
    while text[at] != "}":
        name, colon = _DECODER.raw_decode(text, at)
        _, end = _DECODER.raw_decode(text, _next(text, _next(text, colon) + 1))
        found[name] = text[at:end]
        at = _next(text, end)
        at = _next(text, at + 1) if text[at] == "," else at
    return found


def _next(text: str, at: int) -> int:
    """Where the next character stands that is no blank."""
    while text[at] in _BLANK:
        at += 1
    return at


def _written(members: dict[str, str]) -> str:
    return f"{{{', '.join(members.values())}}}"
