"""A body that claims to be JSON must be one that can be read, and hold text that can be stored."""

from __future__ import annotations

import json
from collections.abc import Iterator

from starlette.requests import Request

from tasks.rotation.errors import InvalidInput


async def require_text(request: Request) -> None:
    """Raise ``InvalidInput`` for JSON in another encoding than UTF-8, nested beyond measure, or with characters that no
    database stores. Other mistakes are the route's to find. What is parsed here is not parsed again."""
    if "json" not in request.headers.get("content-type", "").lower() or not await request.body():
        return
    try:
        parsed = await request.json()
    except json.JSONDecodeError:
        return  # the route says where
    except (UnicodeDecodeError, RecursionError, ValueError):  # ValueError: of a number with thousands of digits
        raise InvalidInput("body", "it is no JSON text in UTF-8 of reasonable depth") from None
    if not all(map(is_storable, _texts(parsed))):
        raise InvalidInput("body", "a text in it holds a NUL character or half a surrogate pair", "Leave it out.")


def is_storable(text: str) -> bool:
    """Whether every database takes this text."""
    return not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)


def _texts(parsed: object) -> Iterator[str]:
    """Every text in parsed JSON, names included; without recursion, however deep it is."""
    waiting = [parsed]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case dict(members):
                yield from members
                waiting += members.values()
            case list(items):
                waiting += items
