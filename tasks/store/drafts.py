"""Drafts: what a person has filled in so far, sealed, for the browser to keep between two pages.

A draft may hold a destination's credential, so it leaves the server only as ciphertext. It opens for the session that
it was made in, unchanged, and for a while.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from config.secret import Secret
from tasks.rotation.errors import CannotDecrypt, Conflict
from tasks.store.cipher import Cipher
from tasks.store.sealed import draft_place

LASTS: Final = timedelta(hours=2)
"""As long as anybody needs for a form."""
_LONGEST: Final = 200_000


class Drafts:
    """Seals and opens drafts; nothing is stored."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def seal(self, fields: Mapping[str, object], *, holder: str, now: datetime) -> str:
        """The fields (what JSON knows) as text for a form; ``holder`` is the session that may open it."""
        text = json.dumps({"at": now.timestamp(), "fields": fields})
        return urlsafe_b64encode(self._cipher.seal(Secret(text), draft_place(holder))).decode()

    def open(self, text: str, *, holder: str, now: datetime) -> dict[str, object]:
        """The fields. Raises ``Conflict`` for a draft that is too old, changed, or of another session."""
        if len(text) > _LONGEST:
            raise _lost()
        try:
            envelope = urlsafe_b64decode(text.encode("ascii"))
            draft = json.loads(self._cipher.open(envelope, draft_place(holder)).reveal())
        except (CannotDecrypt, NotBase64, UnicodeError):
            raise _lost() from None
        if not timedelta(0) <= now - datetime.fromtimestamp(draft["at"], now.tzinfo) <= LASTS:
            raise _lost()
        fields: dict[str, object] = draft["fields"]
        return fields


def _lost() -> Conflict:
    return Conflict("This form is too old, or was begun in another session. Nothing was stored.", "Begin again.")
