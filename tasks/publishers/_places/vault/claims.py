"""Decides by what is written beside a secret who holds one of its fields. Pure: texts in, texts out.

Vault keeps a secret's ``custom_metadata`` apart from its versions: no write sets both, and only versions have
check-and-set. So whoever wants to publish first lays a claim, an entry of its own whose name ends in its sequence: two
at once cannot overwrite each other's, nobody removes a greater one than its own, and so the greatest only grows. The
value follows, as the version after the one that was read together with the claims. If a newer publication wrote before
that reading, its claim was seen; if it wrote after, the version is not the newest any more, and the write is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from config.secret import Secret
from tasks.publishers._shared.fingerprint import fingerprint
from tasks.publishers._shared.stamp import Stamp, read_stamp, stamp_of
from tasks.rotation.ports import Publication


@dataclass(frozen=True, slots=True)
class Claim:
    """What one entry says."""

    stamp: Stamp
    values: tuple[str, ...] = ()
    """Fingerprints of the value that is put there, and of the one before, should that not have happened."""

    @property
    def text(self) -> str:
        """As JSON, on one line."""
        return json.dumps({**asdict(self.stamp), "values": self.values})


class _Written(BaseModel):
    model_config = ConfigDict(extra="ignore")

    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """Who laid claim to a field, by the names of the entries."""

    entries: Mapping[str, Claim]

    def newest(self, rotation_id: str) -> Stamp | None:
        """The greatest claim of a rotation; if it has none, of another one."""
        stamps = [claim.stamp for claim in self.entries.values()]
        return max(stamps, key=lambda stamp: (stamp.id == rotation_id, stamp.sequence), default=None)

    def only(self, field: str, publication: Publication) -> bool:
        """Whether this publication's is there, and no other."""
        claim = self.entries.get(entry_of(field, publication))
        if claim is None or len(self.entries) > 1:
            return False
        return claim.stamp == stamp_of(publication) and claim.values[:1] == (fingerprint(publication.value),)

    def are_of(self, publication: Publication) -> bool:
        """Whether the field is this publication's, or an earlier one's of its rotation."""
        stamps = [claim.stamp for claim in self.entries.values()]
        mine = [s.id == publication.rotation_id and s.sequence <= publication.sequence for s in stamps]
        return bool(mine) and all(mine)

    def know(self, held: object) -> bool:
        """Whether one of the claims is of this value, which is then nobody else's."""
        if not isinstance(held, str):
            return False
        return any(fingerprint(Secret(held)) in claim.values for claim in self.entries.values())

    def overtaken_by(self, field: str, publication: Publication, held: object) -> dict[str, str | None]:
        """What to change so that the publication's claim stands alone, while the field still holds ``held``. None takes
        an entry away."""
        ours = [publication.value, *([Secret(held)] if isinstance(held, str) and self.know(held) else [])]
        claim = Claim(stamp_of(publication), tuple(dict.fromkeys(map(fingerprint, ours))))
        return {**dict.fromkeys(self.entries), entry_of(field, publication): claim.text}


def claims_on(field: str, custom_metadata: Mapping[str, object]) -> Claims:
    """The claims among a secret's custom metadata; whatever else is there is none of ours."""
    prefix = _prefix(field)
    texts = {
        name: text
        for name, text in custom_metadata.items()
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal() and isinstance(text, str)
    }
    return Claims({name: claim for name, text in texts.items() if (claim := _read(text))})


def entry_of(field: str, publication: Publication) -> str:
    """The name of a publication's claim."""
    return f"{_prefix(field)}{publication.sequence}"


def _read(text: str) -> Claim | None:
    stamp = read_stamp(text)
    try:
        return Claim(stamp, _Written.model_validate_json(text).values) if stamp else None
    except ValidationError:
        return None


def _prefix(field: str) -> str:
    return f"{field}.rotation."
