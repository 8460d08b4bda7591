"""Decides what a JSON file says after a publication. Pure: text in, text out.

The text is not written anew: the one value is cut out of it and the new one put in its place, so that indents, order,
large numbers and escapes stay byte for byte. Where its value stands is told by Python's own decoder, member by member.
A document in which a name stands twice is refused, because readers differ in which one counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, NoReturn

from tasks.publishers._places.files.in_file import Unreadable
from tasks.publishers._places.files.pointer import (
    Path,
    refuse_missing_item,
    refuse_overwriting,
    refuse_through,
    refuse_unclear,
)

_BYTE_ORDER_MARK: Final = "\ufeff"
_BLANKS: Final = re.compile(r"[ \t\n\r]*")


class _NameTwiceError(ValueError):
    """A name stands twice in one object."""


def _unlike_json(_: str) -> NoReturn:
    raise ValueError


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _NameTwiceError


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_twice,
    parse_int=str,  # however many digits
    parse_float=str,
    parse_constant=_unlike_json,  # NaN and Infinity are JavaScript
)


@dataclass(frozen=True, slots=True)
class _Member:
    """Where one member of an object, or item of a list, stands."""

    name: str
    """An item's is its index."""
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Container:
    is_object: bool
    start: int
    members: tuple[_Member, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a path leads: to a member, or to the last container on its way, and the names that it lacks there."""

    container: _Container | None
    """None where something else than an object or a list is in the way."""
    member: _Member | None
    missing: Path


def held(text: str | None, path: Path) -> str | None:
    """The text at ``path``; None for nothing, null and "". Anything else is told as it is written."""
    if _is_blank(text):
        return None
    body = _body(text)
    member = _followed(body, path).member
    if member is None:
        return None
    value = body[member.value : member.end]
    return (json.loads(value) or None) if value.startswith('"') else None if value == "null" else value


def written(text: str | None, path: Path, value: str) -> str:
    """``text`` with ``value`` at ``path``; all else stays. Where there is no document yet, a new one.

    Raises ``OperatorNeeded`` for what is not JSON, and for a path that does not fit the document.
    """
    if _is_blank(text):
        refuse_unclear(("", *path))
        return _mark(text) + json.dumps(_nested(path, value), indent=2, ensure_ascii=False) + "\n"
    body = _body(text)
    spot = _followed(body, path)
    return _mark(text) + (_with_value(body, spot.member, value) if spot.member else _with_member(body, spot, value))


def without(text: str, path: Path) -> str:
    """``text`` without the member at ``path``; an item of a list becomes null, so that the others keep their index."""
    body = _body(text)
    spot = _followed(body, path)
    if spot.member is None or spot.container is None:
        return text
    if not spot.container.is_object:
        return _mark(text) + body[: spot.member.value] + "null" + body[spot.member.end :]
    start, end = _extent(body, spot.container, spot.member)
    return _mark(text) + body[:start] + body[end:]


def _is_blank(text: str | None) -> bool:
    return text is None or not text.removeprefix(_BYTE_ORDER_MARK).strip(" \t\n\r")


def _mark(text: str | None) -> str:
    return _BYTE_ORDER_MARK if text and text.startswith(_BYTE_ORDER_MARK) else ""


def _body(text: str | None) -> str:
    """The document without its byte order mark, which RFC 8259 lets us ignore. Raises for what is not JSON."""
    body = (text or "").removeprefix(_BYTE_ORDER_MARK)
    try:
        _DECODER.decode(body)
    except _NameTwiceError:
        problem = "a name stands twice in one object, and readers differ in which one counts"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError:
        problem = "the file is not JSON"
    else:
        return body
    # Raised outside the handler: the foreign error holds the whole content.
    raise Unreadable(f"{problem}; it was left as it is.", "Correct the file, or publish to another one.")


def _followed(body: str, path: Path) -> _Spot:
    """Where ``path`` leads in a document that is JSON."""
    spot = _Spot(None, None, path)
    at = _past_blanks(body, 0)
    for depth, name in enumerate(path):
        container = _container(body, at) if body[at] in "{[" else None
        member = next((m for m in container.members if m.name == name), None) if container else None
        spot = _Spot(container, member, path[depth:])
        if member is None:
            break
        at = member.value
    return spot


def _container(body: str, start: int) -> _Container:
    """The object or list that begins at ``start``, and where its members stand."""
    is_object, members = body[start] == "{", list[_Member]()
    at = _past_blanks(body, start + 1)
    while body[at] not in "}]":
        begins, name = at, str(len(members))
        if is_object:
            at = _end_of(body, begins)
            name = json.loads(body[begins:at])
            at = _past_blanks(body, _past_blanks(body, at) + 1)
        end = _end_of(body, at)
        members.append(_Member(name, begins, at, end))
        at = _past_blanks(body, end)
        if body[at] == ",":
            at = _past_blanks(body, at + 1)
    return _Container(is_object, start, tuple(members))


def _past_blanks(body: str, at: int) -> int:
    match = _BLANKS.match(body, at)
    return match.end() if match else at


def _with_value(body: str, member: _Member, value: str) -> str:
    if body[member.value] in "{[":
        raise refuse_overwriting("an object" if body[member.value] == "{" else "a list")
    return body[: member.value] + json.dumps(value, ensure_ascii=False) + body[member.end :]


def _with_member(body: str, spot: _Spot, value: str) -> str:
    """With a new last member, set apart as the last one is."""
    container = _with_room(spot)
    name, inside = json.dumps(spot.missing[0], ensure_ascii=False), _nested(spot.missing[1:], value)
    new = json.dumps(inside, ensure_ascii=False)
    if not container.members:
        at = container.start + 1
        return f"{body[:at]}{name}: {new}{body[at:]}"
    last = container.members[-1]
    colon = body[_end_of(body, last.start) : last.value]
    blanks = _blanks_before(body, last.start) or (" " if colon.endswith(" ") else "")
    return f"{body[: last.end]},{blanks}{name}{colon}{new}{body[last.end :]}"


def _with_room(spot: _Spot) -> _Container:
    """The object that takes the new member. Raises where there is none."""
    if spot.container is None:
        raise refuse_through("a value")
    if not spot.container.is_object:
        raise refuse_missing_item()
    refuse_unclear(spot.missing)
    return spot.container


def _extent(body: str, container: _Container, member: _Member) -> tuple[int, int]:
    """What goes with a member: the comma and the blanks that set it apart."""
    index = container.members.index(member)
    if index:
        return container.members[index - 1].end, member.end
    if len(container.members) > 1:
        return member.start, container.members[1].start
    return container.start + 1, _past_blanks(body, member.end)


def _blanks_before(body: str, at: int) -> str:
    return body[len(body[:at].rstrip(" \t\n\r")) : at]


def _end_of(body: str, start: int) -> int:
    """Where the value that begins at ``start`` ends."""
    try:
        return _DECODER.raw_decode(body, start)[1]
    except RecursionError:
        problem = "it is nested too deeply"
    raise Unreadable(f"{problem}; it was left as it is.")


def _nested(path: Path, value: str) -> object:
    result: object = value
    for name in reversed(path):
        result = {name: result}
    return result
