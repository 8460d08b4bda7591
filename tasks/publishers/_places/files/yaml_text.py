"""Decides what a YAML file says after a publication. Pure: text in, text out.

ruamel.yaml tells where the value stands, and the new one is put in its place. The document is not written anew, not
even as ruamel.yaml's round trip does it: that keeps comments, but not indents, line breaks and every number's form.
Each way to edit is a proposal; one that changes what anything else in the file means is not taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tasks.publishers._places.files.pointer import (
    Path,
    refuse_missing_item,
    refuse_overwriting,
    refuse_through,
    refuse_unclear,
)
from tasks.publishers._places.files.yaml_nodes import Node, document, every, patience_ends_at
from tasks.rotation.errors import OperatorNeeded

_INDENT: Final = "  "
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_REST_OF_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_COMMA: Final = re.compile(r"\s*,")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{5,}")
"""A text for every reader: the words that mean something else (null, false, off) are shorter."""
_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a path leads: to a member, or to the last container on its way, and the names that it lacks there."""

    container: Node | None
    """None where something else than a mapping or a list is in the way."""
    key: Node | None
    """None for an item of a list."""
    value: Node | None
    missing: Path


def held(text: str | None, path: Path) -> str | None:
    """The text at ``path``; None for nothing, null and "". Anything else is told as it is written."""
    return _said(text or "", _followed(document(text or ""), path).value)


def written(text: str | None, path: Path, value: str) -> str:
    """``text`` with ``value`` at ``path``; comments, order, quotes and anchors stay. An alias to the value at ``path``
    goes on meaning the same as it does.

    Raises ``OperatorNeeded`` for a file that cannot be edited, and for a path that does not fit it.
    """
    text, give_up_at = text or "", patience_ends_at()
    now = document(text, give_up_at)
    spot = _followed(now, path)
    added = path[: len(path) - len(spot.missing) + 1]
    kept = _shape(now, spot.value)

    def is_sound(after: Node | None) -> bool:
        put = _followed(after, path).value
        return put is not None and put.text == value and _shape(after, _followed(after, added).value) == kept

    return _first(_with(text, now, spot, value), is_sound, give_up_at)


def without(text: str, path: Path) -> str:
    """``text`` without the member at ``path``, its line's comment included; an item of a list becomes null, so that the
    others keep their index. Raises ``OperatorNeeded`` while an alias refers to it."""
    give_up_at = patience_ends_at()
    now = document(text, give_up_at)
    spot = _followed(now, path)
    value = spot.value
    if now is None or value is None:
        return text
    anchors = {node.anchor for node in (spot.key, value) if node is not None and node.kind != "alias"} - {None}
    if any(node.kind == "alias" and node.anchor in anchors for node in every(now)):
        raise OperatorNeeded(
            "an alias in the file refers to the value; it was left as it is.",
            "Write the value out, or remove the alias.",
        )
    kept = _shape(now, value)

    def is_sound(after: Node | None) -> bool:
        left = _followed(after, path).value
        return (left is None or left.is_null) and _shape(after, left) == kept

    return _first(_cut(text, now, spot, value), is_sound, give_up_at)


def _first(proposals: Iterable[str], is_sound: Callable[[Node | None], bool], give_up_at: float) -> str:
    """The first proposal that changes the meaning of nothing else. Raises when none is: the last line of defence."""
    for proposal in proposals:
        with suppress(OperatorNeeded):
            if is_sound(document(proposal, give_up_at)):
                return proposal
    raise OperatorNeeded(
        "the value cannot be put there, or taken away, without changing what else the file says; it was left as it is.",
        "Write the key into the file by hand, on a line of its own, with any value: that is then replaced.",
    )


def _shape(root: Node | None, member: Node | None) -> list[tuple[object, ...]]:
    """What readers see of the document, but for one member, which is told by its value."""
    told: list[tuple[object, ...]] = []
    waiting = [root or Node("mapping", 0, 0)]
    while waiting:
        node = waiting.pop()
        children = node.children
        if member in children:  # nodes are equal only to themselves
            index = children.index(member)
            first = index - 1 if node.kind == "mapping" else index
            children = children[:first] + children[index + 1 :]
        told.append((node.kind, node.tag, node.anchor, node.text, node.style, len(children)))
        waiting.extend(reversed(children))
    return told


def _followed(root: Node | None, path: Path) -> _Spot:
    """Where ``path`` leads. An alias is not followed: it stands for what is somewhere else too."""
    spot, node = _Spot(None, None, None, path), root
    for depth, name in enumerate(path):
        container = node if node is not None and node.kind in {"mapping", "sequence"} else None
        found = container.member(name) if container else None
        if found is None:
            return _Spot(container, None, None, path[depth:])
        spot, node = _Spot(container, *found, ()), found[1]
    return spot


def _said(text: str, value: Node | None) -> str | None:
    if value is None or value.is_null or value.text == "":
        return None
    return text[value.start : value.end] if value.text is None else value.text


# --- putting it there ------------------------------------------------------------------------------------------------


def _with(text: str, root: Node | None, spot: _Spot, value: str) -> Iterator[str]:
    if spot.value is not None:
        return iter([_with_value(text, spot.value, value)])
    if root is None:
        refuse_unclear(("", *spot.missing))
        end = _line_end(text)
        return iter([f"{_ended(text, end)}{_block(spot.missing, value, '', end)}{end}"])
    return _with_member(text, _with_room(spot), spot.missing, value)


def _with_value(text: str, old: Node, value: str) -> str:
    """In the old one's quotes where they carry it. Its anchor stays, for whatever refers to it; its tag goes."""
    if old.kind in {"mapping", "sequence"}:
        raise refuse_overwriting("a mapping" if old.kind == "mapping" else "a list")
    anchor = f"&{old.anchor} " if old.anchor is not None and old.kind == "scalar" else ""
    style = old.style if old.kind == "scalar" and not old.is_null else '"'
    apart = " " if old.start == old.end and text[old.start - 1 : old.start] in {":", "-"} else ""
    return f"{text[: old.start]}{apart}{anchor}{_quoted(value, style)}{text[old.end :]}"


def _with_room(spot: _Spot) -> Node:
    """The mapping that takes the new member. Raises where there is none."""
    if spot.container is None:
        raise refuse_through("a value or an alias")
    if spot.container.kind == "sequence":
        raise refuse_missing_item()
    refuse_unclear(spot.missing)
    return spot.container


def _with_member(text: str, mapping: Node, names: Path, value: str) -> Iterator[str]:
    """As the mapping's last member, or, where that does not do, as its first."""
    if mapping.flow:
        yield _in_flow(text, mapping, names, value)
        return
    first, last, end = mapping.children[0], mapping.children[-1], _line_end(text)
    indent = " " * (first.start - _line_start(text, first.start))
    new = _block(names, value, indent, end)
    at = _next_line(text, last.end)
    if _LINE_END.search(text, last.end, at):
        yield f"{text[:at]}{indent}{new}{end}{text[at:]}"
    else:
        yield f"{text}{end}{indent}{new}"
    yield f"{text[: first.start]}{new}{end}{indent}{text[first.start :]}"


def _in_flow(text: str, mapping: Node, names: Path, value: str) -> str:
    keys = mapping.children[::2]
    new = _quoted(value, '"')
    for name in reversed(names[1:]):
        new = f"{{{_name(name)}: {new}}}"
    quoted = bool(keys) and keys[-1].style == '"'
    new = f"{_name(names[0], quoted=quoted)}: {new}"
    if not keys:
        return f"{text[: mapping.end - 1]}{new}{text[mapping.end - 1 :]}"
    at, blanks = mapping.children[-1].end, _blanks_before(text, keys[-1].start)
    return f"{text[:at]},{blanks if _LINE_END.search(blanks) else ' '}{new}{text[at:]}"


def _block(names: Path, value: str, indent: str, end: str) -> str:
    """The lines of a new member, the first without its indent, the last without its end."""
    lines = [f"{indent}{_INDENT * depth}{_name(name)}:" for depth, name in enumerate(names)]
    return (end.join(lines) + " " + _quoted(value, '"')).removeprefix(indent)


def _name(name: str, *, quoted: bool = False) -> str:
    plain = _PLAIN_NAME.fullmatch(name) and name.lower() not in _WORDS and not quoted
    return name if plain else _quoted(name, '"')


def _quoted(text: str, style: str) -> str:
    if style == "'":
        return f"'{text.replace(style, 2 * style)}'"
    plain = not style and _PLAIN_VALUE.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


# --- taking it away --------------------------------------------------------------------------------------------------


def _cut(text: str, root: Node, spot: _Spot, value: Node) -> Iterator[str]:
    """Proposals, the one that leaves no trace first. Comments of others stay."""
    if spot.key is None or spot.container is None:
        return iter([f"{text[: value.start]}null{text[value.end :]}"])
    if spot.container.flow:
        return _cut_from_flow(text, spot.container.children, spot.key, value)
    return _cut_from_block(text, spot.container.children, spot.key, value, is_root=spot.container is root)


def _cut_from_flow(text: str, members: list[Node], key: Node, value: Node) -> Iterator[str]:
    """With the comma before it, or the one behind it."""
    before, behind, index = text[: key.start], text[value.end :], members.index(key)
    if index and "#" not in text[members[index - 1].end : key.start]:
        yield text[: members[index - 1].end] + behind
    if value is not members[-1] and "#" not in text[value.end : members[index + 2].start]:
        yield before + text[members[index + 2].start :]
    yield before + _COMMA.sub("", behind, count=1) if _COMMA.match(behind) else before + behind


def _cut_from_block(text: str, members: list[Node], key: Node, value: Node, *, is_root: bool) -> Iterator[str]:
    """With its lines, or, where it shares its line with the item of a list, without. A mapping stays a mapping, and a
    file does not become an empty one, which looks as if somebody had begun to write it."""
    before, behind, index = text[: key.start], text[value.end :], members.index(key)
    line, alone = _line_start(text, key.start), index == 0 and value is members[-1]
    without_lines = _joined(text[:line], text[_next_line(text, value.end) :], ended=text.endswith(("\n", "\r")))
    if not text[line : key.start].strip(" ") and (not alone or (is_root and without_lines.strip(" \r\n\ufeff"))):
        yield without_lines
    if value is not members[-1] and "#" not in text[value.end : members[index + 2].start]:
        yield before + text[members[index + 2].start :]
    yield f"{before}{{}}{behind}" if alone else before + behind


# --- lines -----------------------------------------------------------------------------------------------------------


def _line_start(text: str, at: int) -> int:
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at), 0 if text.startswith("\ufeff") else -1) + 1


def _next_line(text: str, at: int) -> int:
    match = _REST_OF_LINE.match(text, at)
    return match.end() if match else len(text)


def _line_end(text: str) -> str:
    """The newest convention of the file, which a new line follows."""
    ends = _LINE_END.findall(text)
    return ends[-1] if ends else "\n"


def _ended(text: str, end: str) -> str:
    return text if not text or text.endswith(("\n", "\r", "\ufeff")) else text + end


def _joined(before: str, behind: str, *, ended: bool) -> str:
    """The lines before and behind those that go; a file whose last line had no end has none afterwards."""
    return before + behind if behind or ended else before.removesuffix("\n").removesuffix("\r")


def _blanks_before(text: str, at: int) -> str:
    return text[len(text[:at].rstrip()) : at]
