"""What a line may not show: anything that looks like a key, and messages that quote values."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final

from config.secret import MASK

_PATTERNS: Final = (
    (re.compile(r"sk-or-[\w-]+"), f"sk-or-{MASK}"),
    (re.compile(r"\brtk_[0-9a-f]+_[\w-]+"), f"rtk_{MASK}"),
    (re.compile(r"\bemulator-[\w-]{8,}"), f"emulator-{MASK}"),
    (re.compile(r"\b(authorization['\"]?\s*[:=]\s*)(?:(?:bearer|basic)\s+)?[^\s,'\"}]+", re.I), rf"\g<1>{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I), rf"\g<1> {MASK}"),
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+@"), rf"\g<1>{MASK}@"),
)
_SECRET_NAMES: Final = frozenset(
    {"authorization", "password", "secret", "token", "api_key", "master_key", "management_key", "cookie"}
)
_QUOTES_VALUES: Final = ("pydantic", "sqlalchemy")
"""Libraries whose exceptions quote what they were given, be it a key: only their type is shown."""


def redact(text: str) -> str:
    """``text`` with everything masked that looks like a key, a bearer token or a password in a URL."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(value: object, name: str = "") -> object:
    """A log field without secrets: texts are redacted, containers searched, fields with telling names masked."""
    if isinstance(value, bool | int | float | None):
        return value
    if name.lower() in _SECRET_NAMES:
        return MASK
    if isinstance(value, Mapping):
        return {str(k): redact_value(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item) for item in value]
    return describe(value) if isinstance(value, BaseException) else redact(str(value))


def describe(error: BaseException) -> str:
    """An exception's type and its message, which is withheld where it would quote values."""
    kind = type(error)
    if kind.__module__.startswith(_QUOTES_VALUES):
        return f"{kind.__qualname__}: (message withheld, it may quote values)"
    message = redact(str(error))
    return f"{kind.__qualname__}: {message}" if message else kind.__qualname__


def format_traceback(error: BaseException) -> str:
    """The chain of exceptions with places and source lines, oldest first; never with local variables."""
    return "\n".join(_links(error, set())).rstrip()


def _links(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _links(earlier, seen)
        yield "which led to:"
    yield _frames(error.__traceback__) + describe(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _links(inner, seen)


def _frames(trace: TracebackType | None) -> str:
    return redact("".join(traceback.format_tb(trace)))
