"""Names the place of one value in a document: a path of names, and of indices where the document has a list.

In a target it stands behind ``#``, as a JSON Pointer (RFC 6901, ``#/providers/0/key``) or with dots
(``#providers.0.key``), percent-encoded as any fragment of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import unquote

from tasks.publishers._shared.checks import FIELD
from tasks.rotation.errors import InvalidInput, OperatorNeeded

Path: TypeAlias = tuple[str, ...]

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BAD_TILDE: Final = re.compile(r"~(?![01])")


def pointer(path: Path) -> str:
    """As RFC 6901 writes it."""
    return "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in path)


def pointer_fragment(path: Path) -> str:
    """The pointer as it stands behind ``#``: one spelling for each place."""
    return _encoded(pointer(path), "%?#")


def dotted_fragment(path: Path) -> str:
    """The names, joined by dots, as they stand behind ``#``: one spelling for each place."""
    return ".".join(_encoded(name, "%?#.") for name in path)


def path_of_pointer(fragment: str) -> Path:
    """What ``#/a/b`` names. Raises ``InvalidInput``, which repeats none of it."""
    names = _decoded([fragment], "#/openrouter/apiKey")[0].split("/")
    if names[0] or len(names) == 1 or any(map(_BAD_TILDE.search, names)):
        raise InvalidInput(
            FIELD,
            "what follows '#' must be a JSON Pointer (RFC 6901).",
            "Begin it with '/', as in #/openrouter/apiKey; in a name, '~' is written ~0 and '/' is written ~1.",
        )
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names[1:])


def path_of_dotted(fragment: str) -> Path:
    """What ``#a.b`` names. Raises ``InvalidInput``, which repeats none of it."""
    names = _decoded(fragment.split("."), "#openrouter.apiKey")
    if not all(names):
        raise InvalidInput(
            FIELD,
            "what follows '#' must be names with dots between them.",
            "For example #openrouter.apiKey; a dot that belongs to a name is written %2E.",
        )
    return tuple(names)


def refuse_unclear(missing: Path) -> None:
    """Raise ``OperatorNeeded`` unless it is clear what to make: below a name that is not there, a number could be an
    index or a name."""
    if any(_INDEX.fullmatch(name) or name == "-" for name in missing[1:]):
        raise OperatorNeeded(
            "the path leads through what is not there, and a number in it could be a name or an index; the file was"
            " left as it is.",
            "Put an empty object or list where the path leads.",
        )


def refuse_missing_item() -> OperatorNeeded:
    """For a path that leads to an item that a list does not have: to append would append again each time."""
    return OperatorNeeded(
        "the path leads to an item that the list does not have; the file was left as it is.",
        "Name one that is there, by its index from 0.",
    )


def refuse_through(what: str) -> OperatorNeeded:
    """For a path that leads on where the document holds ``what``."""
    return OperatorNeeded(
        f"the path leads through {what}, which holds no names; the file was left as it is.", "Correct what follows '#'."
    )


def refuse_overwriting(what: str) -> OperatorNeeded:
    """For a path that ends at ``what``, which is more than one value."""
    return OperatorNeeded(
        f"the path ends at {what}, and everything in it would be lost; the file was left as it is.",
        "Name one value in it, or remove it.",
    )


def _decoded(parts: Iterable[str], example: str) -> list[str]:
    """Each part without its percent-encoding."""
    try:
        decoded = [_unquoted(part) for part in parts]
    except ValueError:
        decoded = []
    if decoded and all(part.isprintable() for part in decoded):
        return decoded
    raise InvalidInput(
        FIELD,
        "what follows '#' cannot be read.",
        f"For example {example}; options stand before '#', and there '%' is written %25, '#' %23 and '?' %3F.",
    )


def _unquoted(part: str) -> str:
    if _BAD_ESCAPE.search(part) or "?" in part or "#" in part:
        raise ValueError
    return unquote(part, errors="strict")


def _encoded(text: str, reserved: str) -> str:
    return "".join(f"%{ord(c):02X}" if c in reserved else c for c in text)
