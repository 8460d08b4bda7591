"""Where each value of a YAML file stands. ruamel.yaml cuts the text up; nothing is constructed from it.

A tag is a text here and runs nothing, and an alias is a name that is not followed, so a small file cannot become a
large one. Bounded are the file's size, its nesting, its values and the time that reading may take.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.publishers._places.files.in_file import Unreadable
from tasks.publishers._shared.extras import needed
from tasks.rotation.errors import RotatorError, TryAgain

LARGEST: Final = 256 * 1024
DEEPEST: Final = 64
MOST_VALUES: Final = 10_000
LONGEST_S: Final = 8.0
"""For all that one edit reads.

ruamel.yaml reads some eight thousand values in a second of one core (0.19.1, measured in November 2026)."""

_COLON: Final = re.compile(r"\s*:")
_PROPERTIES: Final = re.compile(r"(?:(?:!<[^>\s]*>|[&!][^\s,\[\]{}]*)[ \t]*)*")
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True, eq=False)
class Node:
    """A value, and where it stands: from ``start``, its anchor and tag included, to ``end``, where blanks and comments
    behind it begin."""

    kind: str
    """``scalar``, ``alias``, ``mapping`` or ``sequence``."""
    start: int
    end: int
    tag: str | None = None
    anchor: str | None = None
    """What it is known by; an alias' is the one that it refers to."""
    text: str | None = None
    """A scalar's."""
    style: str = ""
    """A scalar's: a quote, ``|``, ``>``, or nothing for a plain one."""
    flow: bool = False
    """Between brackets."""
    children: list[Node] = field(default_factory=list)
    """Of a mapping: key, value, key, value ..."""

    @property
    def is_null(self) -> bool:
        """Whether readers take it for no value."""
        return self.kind == "scalar" and not self.style and self.tag is None and self.text in _NULLS

    @property
    def is_absent(self) -> bool:
        """Whether nothing at all is written there."""
        return self.is_null and self.start == self.end

    def member(self, name: str) -> tuple[Node | None, Node] | None:
        """The key and the value of this name, or the item of this index, whose key is None."""
        if self.kind == "sequence":
            item = next((child for index, child in enumerate(self.children) if str(index) == name), None)
            return None if item is None else (None, item)
        pairs = zip(self.children[::2], self.children[1::2], strict=True)
        return next(((key, value) for key, value in pairs if key.text == name), None)


def patience_ends_at() -> float:
    """The ``time.monotonic()`` until which an edit that begins now may read."""
    return time.monotonic() + LONGEST_S


def document(text: str, give_up_at: float | None = None) -> Node | None:
    """The one document of a file, or None for a file that says nothing.

    Raises ``OperatorNeeded`` for what is not YAML, more than one document, a key that stands twice, and a file that is
    out of bounds. No message repeats any of it.
    """
    if len(text) > LARGEST:
        raise _refused(f"the file is larger than {LARGEST // 1024} KiB")
    top = _tree(text, patience_ends_at() if give_up_at is None else give_up_at)
    for node in every(top):
        names = [key.text for key in node.children[::2] if key.text is not None] if node.kind == "mapping" else []
        if len(set(names)) < len(names):
            raise _refused("a key stands twice in one mapping, and readers differ in which one counts")
    if not top.children or top.children[0].is_absent:
        return None
    return top.children[0]


def every(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _tree(text: str, give_up_at: float) -> Node:
    """The documents, as children of a node of their own."""
    open_nodes = [Node("stream", 0, len(text))]
    for event in _events(text, give_up_at):
        name = type(event).__name__
        if name.endswith("EndEvent") and name.startswith(("Mapping", "Sequence")):
            _close(open_nodes.pop(), event)
        elif name in {"ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"}:
            node = _node(name, event, open_nodes[-1], text)
            open_nodes[-1].children.append(node)
            if name.endswith("StartEvent"):
                open_nodes.append(node)
        if len(open_nodes) > DEEPEST:
            raise _refused(f"it is nested more than {DEEPEST} deep")
        if len(open_nodes[0].children) > 1:
            raise _refused("the file holds more than one document")
    return open_nodes[0]


def _events(text: str, give_up_at: float) -> Iterator[Any]:
    with needed("yaml", extra="yaml"):
        from ruamel.yaml import YAML  # noqa: PLC0415 - optional, and imported where it is used

    problem = "the file is not YAML"
    try:
        for number, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
            yield event
            if number > MOST_VALUES:
                raise _refused(f"the file holds more than {MOST_VALUES} values")
            if time.monotonic() > give_up_at:
                raise TryAgain(f"the file could not be read within {LONGEST_S:g} s; it was left as it is.")
        return
    except RotatorError:
        raise
    except Exception as error:  # noqa: BLE001 - the scanner also trips over what it reads, and says so in many ways
        mark = getattr(error, "problem_mark", None)
        problem += "" if mark is None else f", see line {mark.line + 1}"
    # Raised outside the handler: the foreign error quotes the file.
    raise _refused(problem)


def _node(name: str, event: Any, parent: Node, text: str) -> Node:
    start, end = event.start_mark.index, event.end_mark.index
    if name == "AliasEvent":
        return Node("alias", start, end, anchor=event.anchor)
    tag = None if event.tag is None else str(event.tag)
    if name != "ScalarEvent":
        kind = "mapping" if name == "MappingStartEvent" else "sequence"
        return Node(kind, start, end, tag=tag, anchor=event.anchor, flow=bool(event.flow_style))
    style = event.style or ""
    node = Node("scalar", start, end, tag=tag, anchor=event.anchor, text=event.value, style=style)
    if style in {"|", ">"}:
        node.end = start + len(text[start:end].rstrip())
    elif not (style or node.text):
        node.start, node.end = _extent_of_nothing(node, parent, text)
    return node


def _extent_of_nothing(node: Node, parent: Node, text: str) -> tuple[int, int]:
    """Where an empty value stands, which may have an anchor: the parser puts it where the next thing begins."""
    if node.start < node.end:
        properties = _PROPERTIES.match(text, node.start, node.end)
        return node.start, node.start + len(properties[0].rstrip() if properties else "")
    is_value = parent.kind == "mapping" and len(parent.children) % 2
    colon = _COLON.match(text, parent.children[-1].end) if is_value else None
    return (colon.end(), colon.end()) if colon else (node.start, node.end)


def _close(node: Node, event: Any) -> None:
    """Now it is known where it ends."""
    if node.flow:
        node.end = event.end_mark.index
    elif node.children:
        node.end = max(node.start, node.children[-1].end)


def _refused(problem: str) -> Unreadable:
    return Unreadable(f"{problem}; it was left as it is.", "Correct the file, or publish to another one.")
