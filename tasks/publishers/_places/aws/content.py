"""What a secret's text says, and what it says with a key in it: the key alone, or as one member of a JSON object."""

from __future__ import annotations

from typing import Final

from tasks.publishers._places.aws.json_member import read_object, with_member
from tasks.rotation.errors import Refused

MOST_BYTES: Final = 65_536
"""Of one version's content: quota of Secrets Manager, 2026-11."""


def key_in(text: str | None, member: str | None) -> str | None:
    """What an application gets; None for nothing that could be a key."""
    if text is None or member is None:
        return text
    value = (read_object(text) or {}).get(member)
    return value if isinstance(value, str) else None


def with_key(label: str, text: str | None, member: str | None, key: str) -> str:
    """The next content, after ``text`` (None: nothing). Raises ``Refused`` where that would spoil what is there."""
    written = _as_whole(label, text, key) if member is None else _as_member(label, text, member, key)
    if len(written.encode()) > MOST_BYTES:
        raise _refused(label, f"it would be longer than {MOST_BYTES} bytes.", "Publish to another secret.")
    return written


def refuse_bytes(label: str) -> Refused:
    """For a version that holds no text."""
    return _refused(label, "it holds bytes, and no text.", "Publish to another secret.")


def _as_member(label: str, text: str | None, member: str, key: str) -> str:
    known = {} if text is None else read_object(text)
    if known is None:
        raise _refused(label, "it holds no JSON object.", "Leave #FIELD out, or let it hold {}.")
    if isinstance(known.get(member), dict | list):
        raise _refused(label, "the member holds an object or a list.", "Name another member.")
    return with_member(text or "{}", member, key)


def _as_whole(label: str, text: str | None, key: str) -> str:
    if text is not None and read_object(text) is not None:
        raise _refused(label, "it holds a JSON object, which the key would replace.", "Name a member: #FIELD.")
    return key


def _refused(label: str, problem: str, remedy: str) -> Refused:
    return Refused(f"{label}: {problem} It was left as it is.", remedy)
