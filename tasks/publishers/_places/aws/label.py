"""Which publication a version at AWS holds, written as a label of that version: ``rotator-ID-v3-s12``.

ID is the rotation's, ``v`` the key version, ``s`` the sequence. A label that ends in ``-claim`` says that a worker is
about to write that publication, or to withdraw it. Where a secret has several members, each with its rotation, the
label ends in a short digest of the member's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from tasks.publishers._shared.stamp import Stamp, stamp_of
from tasks.rotation.ports import Publication

_LABEL: Final = re.compile(
    r"rotator-(?P<id>[0-9A-Za-z-]{1,40})-v(?P<version>[0-9]{1,9})-s(?P<sequence>[0-9]{1,15})"
    r"(-m(?P<member>[0-9a-f]{8}))?(?P<claim>-claim)?"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One label of ours, where it was found."""

    text: str
    holder: str
    """The version that it is attached to."""
    stamp: Stamp
    member: str | None
    """Digest of the member's name."""
    is_claim: bool

    @property
    def order(self) -> tuple[int, int]:
        """By which the newest is found."""
        return self.stamp.sequence, self.stamp.version


def label_of(publication: Publication, *, member: str | None = None, claim: bool = False) -> str:
    """The label of the version that holds this publication."""
    stamp = stamp_of(publication)
    part = f"-m{digest(member)}" if member else ""
    return f"rotator-{stamp.id}-v{stamp.version}-s{stamp.sequence}{part}{'-claim' if claim else ''}"


def version_id(label: str, replaced: str | None) -> str:
    """The ID of the version that has this label and takes another version's place: the same for the same."""
    return str(uuid5(NAMESPACE_URL, f"openrouter-rotator:{label}:{replaced}"))


def digest(member: str) -> str:
    """Of a member's name, which may contain what a label must not."""
    return sha256(member.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def marks(labels: Iterable[tuple[str, str]], member: str | None = None) -> tuple[Mark, ...]:
    """Ours among pairs of (version, label), for this member or for the whole, the newest first."""
    wanted = digest(member) if member else None
    found = (_mark(holder, text) for holder, text in labels)
    ours = (mark for mark in found if mark is not None and mark.member == wanted)
    return tuple(sorted(ours, key=lambda mark: mark.order, reverse=True))


def of_rotation(found: Iterable[Mark], rotation_id: str) -> tuple[Mark, ...]:
    """Those that one rotation left."""
    return tuple(mark for mark in found if mark.stamp.id == rotation_id)


def is_ours(label: str) -> bool:
    """Whether any rotation of ours wrote it."""
    return _LABEL.fullmatch(label) is not None


def _mark(holder: str, text: str) -> Mark | None:
    read = _LABEL.fullmatch(text)
    if read is None:
        return None
    stamp = Stamp("", int(read["version"]), int(read["sequence"]), read["id"])
    return Mark(text, holder, stamp, read["member"], read["claim"] is not None)
