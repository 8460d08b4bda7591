"""Decides what a dotenv file says after a publication, or a withdrawal. Pure: text in, text out.

The file is cut up by python-dotenv's own parser, so that a variable is where applications see it; every piece that is
not ours is put back byte for byte. Above the variable stands a stamp, which tells a stale worker that it is stale.
It is a line of its own because ``docker --env-file`` takes a comment behind a value as part of the value.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dotenv.parser import Binding, parse_stream

from config.secret import Secret
from tasks.publishers._shared.checks import printable
from tasks.publishers._shared.fingerprint import fingerprint
from tasks.publishers._shared.stamp import Stamp, refuse_stale, refuse_stranger, stamp_of
from tasks.rotation.errors import Broken, OperatorNeeded
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_BYTE_ORDER_MARK: Final = "\ufeff"
_BLANKS: Final = r"[^\S\r\n]*"
_BLANK_LINES: Final = re.compile(rf"(?:{_BLANKS}(?:\r\n|\n|\r))*")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_NAME: Final = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)")
_EQUAL: Final = re.compile(rf"{_BLANKS}=({_BLANKS})")
_QUOTED: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_BEHIND_PLAIN: Final = re.compile(rf"{_BLANKS}(?:[\r\n]|$)|[^\S\r\n]+#")
_STAMP: Final = re.compile(
    r"\s*# openrouter-rotator: rotation=(?P<rotation>\S+) version=(?P<version>\d+)"
    r" sequence=(?P<sequence>\d+) id=(?P<id>\S+)(?: value=(?P<value>[0-9a-f]+))?\s*"
)

_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
"""Means the same unquoted in every dialect: python-dotenv, shells, docker, compose, systemd."""


@dataclass(frozen=True, slots=True)
class _Comment:
    """Our line above a variable: which publication it holds, and a fingerprint of the value."""

    stamp: Stamp
    fingerprint: str | None

    @property
    def line(self) -> str:
        """The comment, without its line end."""
        stamp = self.stamp
        return (
            f"# openrouter-rotator: rotation={stamp.rotation} version={stamp.version}"
            f" sequence={stamp.sequence} id={stamp.id} value={self.fingerprint}"
        )


def edited(text: str, publication: Publication) -> str:
    """``text`` with the publication's variable set in every place that sets it, or appended where none does.

    Raises ``Conflict`` when the file knows a newer publication of the rotation, or the variable is another rotation's,
    ``OperatorNeeded`` when the variable stands in lines that cannot be parsed, ``Broken`` for a value that a dotenv
    file cannot hold.
    """
    bindings = _parsed(text)
    _refuse_unreadable(bindings, publication.secret_name)
    _refuse_conflict(bindings, publication)
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    result = mark + "".join(_pieces(bindings, publication))
    _verify(bindings, _parsed(result), publication)
    return result


def withdrawn(text: str, publication: Publication) -> str:
    """``text`` without the publication's variable and our line above it. What somebody else put there stays, and so
    does all of it when our line is of another rotation, or newer.

    Raises ``OperatorNeeded`` when the variable stands in lines that cannot be parsed.
    """
    bindings = _parsed(text)
    _refuse_unreadable(bindings, publication.secret_name)
    stamps = [index for index, binding in enumerate(bindings) if _is_covered(_comment(binding), publication)]
    going = {*stamps, *(_places_of(bindings, publication) if stamps else ())}
    pieces = (_blank_lines(b.original.string) if i in going else b.original.string for i, b in enumerate(bindings))
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    result = mark + "".join(pieces)
    left = [(b.key, b.value, b.error) for i, b in enumerate(bindings) if i not in going and (b.key or b.error)]
    if left != [(b.key, b.value, b.error) for b in _parsed(result) if b.key or b.error]:
        raise _would_change_others(publication.secret_name)
    return result


def held(text: str, name: str, expected: Secret) -> Holding:
    """What the variable holds. SAME only if every place that sets it agrees, PARTLY if only some do: readers differ in
    which one wins."""
    values = {binding.value for binding in _parsed(text) if binding.key == name}
    if not any(values):
        return Holding.NOTHING
    same = {bool(value) and Secret(str(value)) == expected for value in values}
    if len(same) > 1:
        return Holding.PARTLY
    return Holding.SAME if same == {True} else Holding.OTHER


def refuse_unreadable(text: str, name: str) -> None:
    """Raise ``OperatorNeeded`` when the variable stands in lines that cannot be parsed."""
    _refuse_unreadable(_parsed(text), name)


def _parsed(text: str) -> list[Binding]:
    """The pieces of the file. Joined they are the file, but for the byte order mark, which the parser drops."""
    return list(parse_stream(io.StringIO(text, newline="")))


def _refuse_unreadable(bindings: Iterable[Binding], name: str) -> None:
    mention = re.compile(rf"\b{re.escape(name)}\b")
    for binding in bindings:
        if binding.error and mention.search(binding.original.string):
            raise OperatorNeeded(
                f"line {binding.original.line} mentions {name} but cannot be parsed; the file was left as it is.",
                "Look for a quote that is not closed.",
            )


def _refuse_conflict(bindings: Sequence[Binding], publication: Publication) -> None:
    name, remedy = publication.secret_name, "remove the comment line '# openrouter-rotator: ...' above the variable."
    for comment in filter(None, map(_comment, bindings)):
        refuse_stale(name, comment.stamp, publication, remedy=remedy)
    places = [index for index, binding in enumerate(bindings) if binding.key == name]
    above = _comment_above(bindings, places[-1]) if places else None
    refuse_stranger(name, above.stamp if above else None, publication, remedy=remedy)


def _is_covered(comment: _Comment | None, publication: Publication) -> bool:
    """Whether the comment is of this publication, or of an earlier one of its rotation."""
    stamp = comment.stamp if comment else None
    return stamp is not None and stamp.id == publication.rotation_id and stamp.sequence <= publication.sequence


def _comment_above(bindings: Sequence[Binding], place: int) -> _Comment | None:
    """Ours, above a variable; a person may have put comments in between."""
    run = itertools.takewhile(lambda binding: not (binding.key or binding.error), reversed(bindings[:place]))
    return next(filter(None, map(_comment, run)), None)


def _places_of(bindings: Sequence[Binding], publication: Publication) -> list[int]:
    """Where the variable is set to what the rotation put there, also beside lines of somebody else. None of them where
    a comment is another rotation's, or of a newer publication."""
    places = [index for index, binding in enumerate(bindings) if binding.key == publication.secret_name]
    comments = list(filter(None, (_comment_above(bindings, place) for place in places)))
    if not all(_is_covered(comment, publication) for comment in comments):
        return []
    known = {comment.fingerprint for comment in comments}
    return [place for place in places if _is_ours(bindings[place].value, publication, known)]


def _is_ours(text: str | None, publication: Publication, known: Collection[str | None]) -> bool:
    """By the value, which is the publication's, or has one of the fingerprints of the rotation's comments."""
    return bool(text) and (Secret(str(text)) == publication.value or fingerprint(Secret(str(text))) in known)


def _pieces(bindings: Sequence[Binding], publication: Publication) -> list[str]:
    """The new file: old stamps gone, every assignment set, the new stamp above the one that counts, the last."""
    name = publication.secret_name
    stamp = _new_comment(publication)
    places = [index for index, binding in enumerate(bindings) if binding.key == name]
    pieces = [_without_old_stamp(bindings, index, publication) for index in range(len(bindings))]
    for index in places:
        pieces[index] = _assigned(pieces[index], publication.value)
    if places:
        last = places[-1]
        pieces[last] = _below(pieces[last], stamp + _last_line_end(pieces[: last + 1]))
        return pieces
    line_end = _last_line_end(pieces)
    ended = not any(pieces) or re.search(r"[\r\n]\Z", "".join(pieces)) is not None
    return [*pieces, "" if ended else line_end, stamp + line_end, f"{name}={_written(publication.value, '')}{line_end}"]


def _without_old_stamp(bindings: Sequence[Binding], index: int, publication: Publication) -> str:
    """The piece itself, or only its blank lines where it is a stamp that this publication replaces."""
    original = bindings[index].original.string
    comment = _comment(bindings[index])
    following = bindings[index + 1].key if index + 1 < len(bindings) else None
    if comment and (comment.stamp.id == publication.rotation_id or following == publication.secret_name):
        return _blank_lines(original)
    return original


def _comment(binding: Binding) -> _Comment | None:
    match = None if binding.key or binding.error else _STAMP.fullmatch(binding.original.string)
    if match is None:
        return None
    stamp = Stamp(match["rotation"], int(match["version"]), int(match["sequence"]), match["id"])
    return _Comment(stamp, match["value"])


def _new_comment(publication: Publication) -> str:
    line = _Comment(stamp_of(publication), fingerprint(Secret(printable(publication.value)))).line
    if not (line.isprintable() and _STAMP.fullmatch(line)):
        raise Broken("the rotation's name or id cannot stand in a comment; nothing was written.")
    return line


def _below(piece: str, stamp: str) -> str:
    blank_lines = _blank_lines(piece)
    return f"{blank_lines}{stamp}{piece.removeprefix(blank_lines)}"


def _blank_lines(piece: str) -> str:
    match = _BLANK_LINES.match(piece)
    return match[0] if match else ""


def _assigned(piece: str, value: Secret) -> str:
    """The assignment with its value replaced; ``export``, blanks, quotes, comment and line end stay."""
    name_end = _end_of(_NAME.match(piece))
    equal = _EQUAL.match(piece, name_end)
    if equal is None:  # `export NAME` alone: python-dotenv reads no value there
        return f"{piece[:name_end]}={_written(value, '')}{_apart(piece[name_end:])}"
    value_end, style = _old_value(piece, equal)
    return f"{piece[: equal.end()]}{_written(value, style)}{_apart(piece[value_end:])}"


def _old_value(piece: str, equal: re.Match[str]) -> tuple[int, str]:
    """Where the value ends, and its quote ('' for none). A '#' after `= ` begins a comment, as python-dotenv has it."""
    start = equal.end()
    if quoted := _QUOTED.match(piece, start):
        return quoted.end(), quoted[0][0]
    if equal[1] and piece[start : start + 1] == "#":
        return start, ""
    behind = _BEHIND_PLAIN.search(piece, start)
    return (behind.start() if behind else len(piece)), ""


def _apart(rest: str) -> str:
    return f" {rest}" if rest.startswith("#") else rest


def _written(value: Secret, style: str) -> str:
    """The value in the quotes it had, or else in the plainest ones that carry it to every reader."""
    text = printable(value)
    fits = {
        "": _PLAIN_VALUE.fullmatch(text) is not None,
        "'": not re.search(r"['\\]", text),
        '"': not re.search(r"[$`]", text),
    }
    chosen = next((quote for quote in (style, "", "'", '"') if fits[quote]), None)
    if chosen is None or "${" in text:  # python-dotenv expands ${...} even between single quotes
        raise Broken("the key contains characters that no quoting carries to every reader; nothing was written.")
    inside = re.sub(r'(["\\])', r"\\\1", text) if chosen == '"' else text
    return f"{chosen}{inside}{chosen}"


def _verify(before: Iterable[Binding], after: Sequence[Binding], publication: Publication) -> None:
    """Nothing else may read differently, and ours must read as meant: the last line of defence."""
    name = publication.secret_name
    ours = [binding.value for binding in after if binding.key == name]
    if _others(before, name) != _others(after, name) or any(
        not value or Secret(value) != publication.value for value in ours
    ):
        raise _would_change_others(name)


def _would_change_others(name: str) -> OperatorNeeded:
    return OperatorNeeded(
        f"{name} cannot be set, or taken out, without changing what other lines mean; the file was left as it is.",
        "Look for a line that is no assignment, or a quote that is not closed.",
    )


def _others(bindings: Iterable[Binding], name: str) -> list[tuple[str | None, str | None, bool]]:
    """What readers see of the other variables, and of lines that they cannot parse."""
    return [(b.key, b.value, b.error) for b in bindings if b.key != name and (b.key is not None or b.error)]


def _last_line_end(pieces: Iterable[str]) -> str:
    """The newest convention of the file, which a new line follows."""
    ends = _LINE_END.findall("".join(pieces))
    return ends[-1] if ends else "\n"


def _end_of(match: re.Match[str] | None) -> int:
    if match is None:
        raise Broken("a parsed assignment has no name; nothing was written.")
    return match.end()
