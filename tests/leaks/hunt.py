"""The hunt for secrets: everything that a system wrote or showed is searched for canaries, in every common disguise."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

CONTEXT_BYTES: Final = 32
MASK: Final = b"<canary>"
_CHUNK_BYTES: Final = 1 << 23
_SHORTEST: Final = 8
_ALIGNMENTS: Final = 3
_COLOURS: Final = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
_PADDING: Final = bytes({*b" \t\r\n\v\f\0|\\", *range(0x80, 0x100)})
"""What may stand inside a wrapped text: white space, frames of tables (not ASCII), UTF-16's zeros, backslashes."""


class Hunt:
    """Looks for canaries in whatever it is shown; ``findings`` says where one was, without repeating it.

    Each canary is a piece of a secret, at least eight characters. It is found in any case of letters; escaped as JSON,
    as a URL, or by backslashes; in base64 at each alignment, in hex and in UTF-16; cut by line ends, table frames or
    colours; and in base64 or hex of any of the first. ``looked`` counts the bytes that were searched at each place, so
    that a test can see that there was something to search. Threads may share one.
    """

    def __init__(self, *canaries: str) -> None:
        if not canaries or any(len(canary) < _SHORTEST for canary in canaries):
            raise ValueError(f"a hunt needs canaries of {_SHORTEST} characters or more")
        self.findings: list[str] = []
        self.looked: dict[str, int] = {}
        self._sought = tuple(
            (f"canary {number} {disguise}", needle, bare)
            for number, canary in enumerate(canaries, 1)
            for disguise, needle, bare in _disguises(canary)
        )
        self._overlap = max(len(needle) for _, needle, _ in self._sought) * 2

    def look(self, place: str, content: bytes | str) -> None:
        """Search ``content``, which was found at ``place``."""
        raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self.looked[place] = self.looked.get(place, 0) + len(raw)
        plain = raw.lower()
        bare = _COLOURS.sub(b"", plain).translate(None, _PADDING)
        for what, needle, bare_needle in self._sought:
            for text, sought in ((plain, needle), (bare, bare_needle)):
                at = text.find(sought) if sought else -1
                if at >= 0:
                    self._found(f"{place}: {what}: {self._context(text, at, len(sought))}")
                    break

    def look_in_files(self, place: str, folder: Path, *, except_: Collection[Path] = ()) -> None:
        """Search the name and content of every file under ``folder``, but not under the paths of ``except_``."""
        spared = {path.absolute() for path in except_}
        for path in sorted(folder.rglob("*")):
            if spared.isdisjoint((path.absolute(), *path.absolute().parents)):
                where = f"{place}/{path.relative_to(folder)}"
                self.look(f"names in {place}", str(path.relative_to(folder)))
                for chunk in self._chunks(path):
                    self.look(where, chunk)

    def _chunks(self, path: Path) -> Iterator[bytes]:
        """A regular file's content, in pieces that overlap by more than a canary. A file that is gone has none."""
        if not path.is_file():
            return
        try:
            with path.open("rb") as file:
                before = b""
                while piece := file.read(_CHUNK_BYTES):
                    yield before + piece
                    before = piece[-self._overlap :]
        except FileNotFoundError:
            return

    def _context(self, text: bytes, at: int, length: int) -> str:
        """What stands around a finding, with every canary masked."""
        shown = text[max(0, at - CONTEXT_BYTES) : at] + MASK + text[at + length : at + length + CONTEXT_BYTES]
        for needle in filter(None, (needle for _, *needles in self._sought for needle in needles)):
            shown = shown.replace(needle, MASK)
        return ascii(shown.decode("latin-1"))

    def _found(self, finding: str) -> None:
        if finding not in self.findings:
            self.findings.append(finding)


def _disguises(canary: str) -> Iterator[tuple[str, bytes, bytes]]:
    """How a canary may look, in small letters: as it is, and without padding where nothing before is the same."""
    seen: set[bytes] = {b""}
    seen_bare = set(seen)
    for disguise, text in (*_texts(canary), *_wrapped(canary)):
        needle = text.lower()
        bare = needle.translate(None, _PADDING)
        yield disguise, b"" if needle in seen else needle, b"" if bare in seen_bare or len(bare) < _SHORTEST else bare
        seen.add(needle)
        seen_bare.add(bare)


def _texts(canary: str) -> Iterator[tuple[str, bytes]]:
    """As a program would write it as text."""
    yield "in the open", canary.encode()
    yield "as JSON", json.dumps(canary)[1:-1].encode()
    yield "as JSON in UTF-8", json.dumps(canary, ensure_ascii=False)[1:-1].encode()
    yield "as Python", canary.encode("unicode_escape")
    yield "in a URL", quote(canary, safe="").encode()
    yield "in a URL, every byte", "".join(f"%{byte:02x}" for byte in canary.encode()).encode()
    yield "as UTF-16", canary.encode("utf-16-le")
    yield "as UTF-16, big-endian", canary.encode("utf-16-be")


def _wrapped(canary: str) -> Iterator[tuple[str, bytes]]:
    """As bytes are written where only text may stand."""
    for disguise, needle in _texts(canary):
        yield f"{disguise}, in hex", needle.hex().encode()
        for alignment in range(_ALIGNMENTS):
            plain = _in_base64(needle, alignment)
            yield f"{disguise}, in base64", plain
            yield f"{disguise}, in URL-safe base64", plain.translate(bytes.maketrans(b"+/", b"-_"))


def _in_base64(needle: bytes, alignment: int) -> bytes:
    """The characters of base64 that depend on ``needle`` alone, when it begins ``alignment`` bytes after a multiple."""
    encoded = base64.b64encode(bytes(alignment) + needle)
    first = -(-alignment * 8 // 6)
    return encoded[first : (alignment + len(needle)) * 8 // 6]
