"""Which publication a place holds, written beside the value wherever the place has room for it.

By it a stale worker is told that it is stale: within a rotation ``sequence`` only grows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.rotation.errors import Conflict, Occupied
from tasks.rotation.ports import Publication

LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class Stamp:
    """One publication, without its value."""

    rotation: str
    version: int
    sequence: int
    id: str
    """The rotation's."""

    @property
    def text(self) -> str:
        """As JSON, on one line."""
        return json.dumps(asdict(self))


class _Written(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    rotation: str
    version: int
    sequence: int
    id: str


def stamp_of(publication: Publication) -> Stamp:
    """The stamp to write."""
    return Stamp(publication.rotation_name, publication.version, publication.sequence, publication.rotation_id)


def read_stamp(text: str | None) -> Stamp | None:
    """The stamp that somebody wrote; None for whatever is none of ours."""
    if not text or len(text) > LONGEST:
        return None
    try:
        return Stamp(**_Written.model_validate_json(text).model_dump())
    except ValidationError:
        return None


def refuse_conflict(label: str, found: Stamp | None, publication: Publication, *, remedy: str) -> None:
    """Raise ``Conflict`` when the place knows a newer publication of the same rotation, or one of another rotation.

    ``remedy`` says how to make the place forget: for whoever restored our database from a backup, or began with a new
    one.
    """
    refuse_stale(label, found, publication, remedy=remedy)
    refuse_stranger(label, found, publication, remedy=remedy)


def refuse_stranger(label: str, found: Stamp | None, publication: Publication, *, remedy: str) -> None:
    """Raise ``Occupied`` when the place holds what another rotation published: they would replace each other's key for
    ever. One that is over, and that the publication may succeed, is no other."""
    if found is not None and found.id not in {publication.rotation_id, publication.heir_of}:
        other = found.rotation or f"with the id {found.id}"
        raise Occupied(
            f"{label}: another rotation, {other}, publishes there; it was left as it is.",
            "Publish elsewhere, or first take back what is there: rotator rotation unpublish --withdraw. If that was a"
            f" rotation of another installation, {remedy}",
            rotation_id=found.id,
        )


def refuse_stale(label: str, found: Stamp | None, publication: Publication, *, remedy: str) -> None:
    """Raise ``Conflict`` when the place knows a newer publication of the same rotation.

    ``remedy`` is for whoever restored our database from a backup: how to make the place forget.
    """
    if found is not None and found.id == publication.rotation_id and found.sequence > publication.sequence:
        raise Conflict(
            f"{label}: it holds a newer publication of rotation {publication.rotation_name} than version"
            f" {publication.version} (sequence {publication.sequence}); it was left as it is.",
            f"If the rotator's database was restored from a backup, {remedy}",
        )
