"""OpenRouter's rules for what a key may be, checked before anything is stored.

Source: OpenRouter's public OpenAPI document of 2026-08-22, ``POST /keys``.
"""

from __future__ import annotations

import math
import re
import uuid
from datetime import timedelta
from typing import Final

from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import KeyParameters, KeyVersion, LimitReset

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_MOST: Final = 64
_DESCRIPTION_MOST: Final = 256
_LABEL_MOST: Final = 256
_KEY_NAME_MOST: Final = 100
_SHORTEST_LIFE: Final = timedelta(minutes=1)
MARKER: Final = re.compile(r" #(?P<number>\d+)-(?P<marker>[0-9a-f]{12})$")
"""How a name at OpenRouter ends when we minted the key."""


def validated_slug(field: str, text: str) -> str:
    """A name of ours: 1 to 64 of a-z, 0-9 and single hyphens."""
    if len(text) > _NAME_MOST or not _SLUG.fullmatch(text):
        raise InvalidInput(
            field,
            f"{text[:80]!r} is not a name",
            f"Use 1 to {_NAME_MOST} lower-case letters, digits and single hyphens, for example web-frontend.",
        )
    return text


def validated_description(text: str | None) -> str | None:
    """A description: at most 256 printable characters, trimmed; blank is none."""
    trimmed = (text or "").strip()
    if not trimmed.isprintable():
        raise InvalidInput("--description", "it has characters that cannot be printed", "Use one line of plain text.")
    if len(trimmed) > _DESCRIPTION_MOST:
        raise InvalidInput("--description", f"it has {len(trimmed)} characters", f"Use at most {_DESCRIPTION_MOST}.")
    return trimmed or None


def validated_label(field: str, text: str | None, *, most: int = _LABEL_MOST) -> str | None:
    """A label that other people's scripts look for: 1 to ``most`` printable characters, trimmed; blank is none."""
    trimmed = (text or "").strip()
    if not trimmed.isprintable() or len(trimmed) > most:
        raise InvalidInput(
            field,
            "it is too long or has characters that cannot be printed",
            f"Use at most {most} printable characters.",
        )
    return trimmed or None


def validated_parameters(
    *,
    key_name: str,
    limit_usd: float | None,
    limit_reset: str | None,
    include_byok_in_limit: bool,
    workspace_id: str | None,
    expires_after: timedelta | None,
) -> KeyParameters:
    """Key parameters that OpenRouter would accept. Raises ``InvalidInput`` naming the option."""
    return KeyParameters(
        key_name=_key_name(key_name),
        limit_usd=_limit(limit_usd),
        limit_reset=_reset(limit_reset, limit_usd),
        include_byok_in_limit=include_byok_in_limit,
        workspace_id=_workspace(workspace_id),
        expires_after=_life(expires_after),
    )


def _key_name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= _KEY_NAME_MOST or not name.isprintable():
        raise InvalidInput(
            "--key-name", "it is empty, too long or not printable", f"Use 1 to {_KEY_NAME_MOST} printable characters."
        )
    return name


def _limit(limit_usd: float | None) -> float | None:
    if limit_usd is not None and not (math.isfinite(limit_usd) and limit_usd > 0):
        raise InvalidInput(
            "--limit", f"{limit_usd} is not a spending limit", "Use US dollars above 0, or leave it out."
        )
    return limit_usd


def _reset(text: str | None, limit_usd: float | None) -> LimitReset | None:
    if text is None:
        return None
    if text not in set(LimitReset):
        raise InvalidInput("--limit-reset", f"{text!r} is not known", "Use daily, weekly or monthly.")
    if limit_usd is None:
        raise InvalidInput("--limit-reset", "there is no limit to reset", "Give --limit as well, or leave it out.")
    return LimitReset(text)


def _workspace(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidInput(
            "--workspace-id", f"{text[:80]!r} is not a UUID", "OpenRouter's workspace settings show it."
        ) from None


def _life(span: timedelta | None) -> timedelta | None:
    if span is not None and span < _SHORTEST_LIFE:
        raise InvalidInput("--expires-after", "a key must live for a minute at least", "Use a longer span, like 90d.")
    return span


def name_at_openrouter(parameters: KeyParameters, version: KeyVersion, marker: str) -> str:
    """The key's name there: a person sees whose and which it is, and ``MARKER`` finds it again."""
    return f"{parameters.key_name} #{version.number}-{marker}"
