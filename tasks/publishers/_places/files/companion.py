"""Says which publications a file holds, in a file beside it: ``.NAME.rotation`` for ``NAME``.

Inside there is no room: a key file holds the key and nothing else, a strict reader of JSON refuses a member that it
does not know, and what rewrites YAML drops comments. An extended attribute is missing on many file systems, and lost
wherever a file is copied or an editor saves it. The companion is JSON, without a key in it: for each place in the file
the stamp, and digests by which our values are told from those that somebody else put there.

It is written before the file. Whoever dies in between leaves the old value, and has shut stale workers out already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from tasks.publishers._places.files import disk
from tasks.publishers._shared.stamp import Stamp, refuse_stale, refuse_stranger, stamp_of
from tasks.rotation.errors import Conflict, OperatorNeeded
from tasks.rotation.ports import Publication

LARGEST_BYTES: Final = 65_536
"""Some hundred places in one file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one place in the file holds, or is about to."""

    stamp: Stamp
    values: tuple[str, ...]
    """Digests of the value that was put there last, and of the one before, should that not have happened."""

    def is_of(self, publication: Publication) -> bool:
        """Whether it tells of this publication, or of an earlier one of the same rotation."""
        return self.stamp.id == publication.rotation_id and self.stamp.sequence <= publication.sequence

    def knows(self, value: str) -> bool:
        """Whether the rotation put this value there."""
        return _digest(value) in self.values


_ENTRIES: Final = TypeAdapter(dict[str, Entry])


def beside(place: disk.Place) -> disk.Place:
    """The companion of a file."""
    return disk.Place(place.directory, f".{place.name}.rotation")


def read(place: disk.Place) -> disk.Found | None:
    """The companion of ``place``, or None when there is none."""
    companion = beside(place)
    try:
        return disk.read(companion)
    except OperatorNeeded as error:
        error.message = f"{companion.name}, which stands beside the file: {error.message}"
        raise


def entries(place: disk.Place, found: disk.Found | None) -> dict[str, Entry]:
    """What was found in the companion of ``place``. ``Conflict`` when somebody else keeps a file of that name."""
    if found is None:
        return {}
    try:
        if len(found.content) <= LARGEST_BYTES:
            return _ENTRIES.validate_json(found.content, strict=True)
    except ValidationError:
        pass
    raise Conflict(
        f"{beside(place).name}, which stands beside the file, is not ours; nothing was changed.",
        "Remove or rename that file, or publish to another one.",
    )


def entry_of(publication: Publication, value: str, *, known: Entry | None, present: Callable[[], str | None]) -> Entry:
    """The entry for ``value``, which is going to replace what is ``present``; the same again for the same again."""
    stamp, digest = stamp_of(publication), _digest(value)
    if known is None or known.stamp.id != publication.rotation_id:
        return Entry(stamp, (digest,))
    if known.values[:1] == (digest,):
        return Entry(stamp, known.values)
    before = present()
    return Entry(stamp, (digest,) if before is None or not known.knows(before) else (digest, _digest(before)))


def refuse_conflict_in(place: disk.Place, known: Mapping[str, Entry], publication: Publication, where: str) -> None:
    """Raise ``Conflict`` when the file knows a newer publication of the rotation, wherever in it that is, and when
    ``where`` in it is another rotation's."""
    for entry in known.values():
        remedy = f"remove the file {beside(place).name}, which stands beside it."
        refuse_stale(place.name, entry.stamp, publication, remedy=remedy)
    if where in known:
        goes = f"remove the file {beside(place).name}" if len(known) == 1 else f"{beside(place).name}: remove {where}"
        remedy = f"{goes}."
        refuse_stranger(place.name, known[where].stamp, publication, remedy=remedy)


def rendered(known: Mapping[str, Entry]) -> bytes:
    """The companion's content."""
    return _ENTRIES.dump_json(dict(sorted(known.items())), indent=2) + b"\n"


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
