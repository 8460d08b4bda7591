"""Encryption at rest: AES-256-GCM, each ciphertext bound to the row and column that it belongs to.

Envelope, in bytes: ``01`` (format), 8 (key id), 12 (nonce), then ciphertext and its 16-byte tag. The encryption
key and the fingerprint key are derived from the master key with HKDF-SHA256. The associated data is the
envelope's first nine bytes and the place: table, column, row id and revision; a ciphertext that was moved to
another place, or put back after it was replaced, does not open.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.secret import Secret
from tasks.rotation.errors import CannotDecrypt

_FORMAT: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEADER: Final = len(_FORMAT) + _ID_BYTES
_SHORTEST: Final = _HEADER + _NONCE_BYTES + 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ciphertext belongs."""

    table: str
    column: str
    row: str
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of {self.row}"

    def bytes(self) -> bytes:
        """The place, unambiguously."""
        return "\x1f".join((self.table, self.column, self.row, str(self.revision))).encode()


@dataclass(frozen=True, slots=True)
class _Derived:
    key_id: bytes
    encryption: bytes
    fingerprint: bytes


@lru_cache(maxsize=16)
def _derive(master: bytes) -> _Derived:
    def derived(info: bytes, length: int) -> bytes:
        return HKDF(hashes.SHA256(), length, salt=None, info=b"openrouter-rotator/v1/" + info).derive(master)

    return _Derived(derived(b"key id", _ID_BYTES), derived(b"encryption", 32), derived(b"fingerprint", 32))


class DoesNotOpen(CannotDecrypt):
    """The ciphertext at ``place`` was changed, belongs elsewhere, or needs a master key that the ring lacks."""

    def __init__(self, place: Place, problem: str, remedy: str) -> None:
        super().__init__(f"{place}: {problem}", remedy)
        self.place = place


class Cipher:
    """Seals with the ring's first master key, opens with any of them."""

    def __init__(self, ring: Callable[[], tuple[bytes, ...]], *, source: str) -> None:
        """``ring`` gives the master keys as they stand now; ``source`` says where they come from."""
        self._ring = ring
        self._source = source

    def seal(self, secret: Secret, place: Place) -> bytes:
        """The envelope of ``secret`` for ``place``."""
        derived = _derive(self._ring()[0])
        header, nonce = _FORMAT + derived.key_id, os.urandom(_NONCE_BYTES)
        text = secret.reveal().encode()
        return header + nonce + AESGCM(derived.encryption).encrypt(nonce, text, header + place.bytes())

    def open(self, envelope: bytes, place: Place) -> Secret:
        """What was sealed for ``place``. Raises ``DoesNotOpen``, and ``CannotDecrypt`` without a ring to try."""
        if len(envelope) < _SHORTEST or envelope[:1] != _FORMAT:
            raise DoesNotOpen(place, "this is no ciphertext of ours.", "Restore the row from a backup.")
        header, nonce = envelope[:_HEADER], envelope[_HEADER : _HEADER + _NONCE_BYTES]
        derived = self._by_id(header[1:], place)
        try:
            text = AESGCM(derived.encryption).decrypt(nonce, envelope[_HEADER + _NONCE_BYTES :], header + place.bytes())
        except InvalidTag:
            raise DoesNotOpen(
                place,
                "the ciphertext was changed, or moved here from elsewhere.",
                "Someone or something wrote to the database. Restore the row from a backup.",
            ) from None
        return Secret(text.decode())

    def is_current(self, envelope: bytes) -> bool:
        """Whether the ring's first key sealed it."""
        return envelope[1:_HEADER] == _derive(self._ring()[0]).key_id

    def fingerprint(self, secret: Secret) -> str:
        """A keyed digest: equal for equal secrets, and of no use to who lacks the master key."""
        key = _derive(self._ring()[0]).fingerprint
        return hmac.digest(key, secret.reveal().encode(), "sha256").hex()[:32]

    def _by_id(self, key_id: bytes, place: Place) -> _Derived:
        for master in self._ring():
            derived = _derive(master)
            if hmac.compare_digest(derived.key_id, key_id):
                return derived
        raise DoesNotOpen(
            place,
            f"it was encrypted with a master key that {self._source} does not hold.",
            f"Put the master key that this database was written with into {self._source}.",
        )
