"""The ciphertext columns: the only code that knows which secret is bound to which place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import CannotDecrypt, NotFound
from tasks.store.cipher import Cipher, Place
from tasks.store.tables import Base, ConnectionRow, DestinationRow, InstallationRow, KeyVersionRow, NoticeTargetRow

CHECK_PLACE = Place("installation", "check_sealed", "1")


def management_key_place(connection_id: str, key_revision: int) -> Place:
    """Where a management key is sealed."""
    return Place("connections", "key_sealed", connection_id, key_revision)


def key_place(version_id: str) -> Place:
    """Where a version's key is sealed."""
    return Place("key_versions", "key_sealed", version_id)


def target_place(destination_id: str) -> Place:
    """Where a destination's target is sealed."""
    return Place("destinations", "target_sealed", destination_id)


def notice_url_place(target_id: str) -> Place:
    """Where the address of a notice target is sealed."""
    return Place("notice_targets", "url_sealed", target_id)


def draft_place(holder: str) -> Place:
    """Where a draft belongs: to one session, and no table."""
    return Place("drafts", "sealed", holder)


def open_management_key(connection: sa.Connection, cipher: Cipher, connection_id: str) -> Secret:
    """The management key of a connection."""
    alive = (ConnectionRow.id == connection_id, ConnectionRow.deleted_at.is_(None))
    query = sa.select(ConnectionRow.key_sealed, ConnectionRow.key_revision).where(*alive)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no connection {connection_id}.")
    return cipher.open(row.key_sealed, management_key_place(connection_id, row.key_revision))


def open_key(connection: sa.Connection, cipher: Cipher, version_id: str) -> Secret:
    """The key of a version."""
    query = sa.select(KeyVersionRow.key_sealed).where(KeyVersionRow.id == version_id)
    sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        raise NotFound(
            "The text of this key is not stored: it was adopted, or is deleted.",
            "`rotator rotate` mints one whose text is.",
        )
    return cipher.open(sealed, key_place(version_id))


def open_target(connection: sa.Connection, cipher: Cipher, destination_id: str) -> Secret:
    """The target of a destination."""
    query = sa.select(DestinationRow.target_sealed).where(DestinationRow.id == destination_id)
    sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        raise NotFound("This destination was removed.")
    return cipher.open(sealed, target_place(destination_id))


def open_notice_url(connection: sa.Connection, cipher: Cipher, target_id: str) -> Secret:
    """The address of a notice target."""
    query = sa.select(NoticeTargetRow.url_sealed).where(NoticeTargetRow.id == target_id)
    sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        raise NotFound("This notice target was removed.")
    return cipher.open(sealed, notice_url_place(target_id))


def check_master_key(connection: sa.Connection, cipher: Cipher) -> None:
    """Raise ``CannotDecrypt`` unless the ring opens what this installation sealed when it was made."""
    row = connection.execute(sa.select(InstallationRow.installation_id, InstallationRow.check_sealed)).one_or_none()
    if row is None:
        raise CannotDecrypt("The database was never initialised.", "Run `rotator db upgrade`.")
    if cipher.open(row.check_sealed, CHECK_PLACE).reveal() != row.installation_id:
        raise CannotDecrypt("The installation's check text is wrong.", "Restore the database from a backup.")


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A ciphertext in the database."""

    row: type[Base]
    column: str
    id: str | int
    envelope: bytes
    place: Place


def _all_sealed(connection: sa.Connection) -> Iterator[_Sealed]:
    """Every ciphertext in the database."""
    for check in connection.execute(sa.select(InstallationRow.check_sealed)):
        yield _Sealed(InstallationRow, "check_sealed", 1, check.check_sealed, CHECK_PLACE)
    management = sa.select(ConnectionRow.id, ConnectionRow.key_sealed, ConnectionRow.key_revision)
    for row in connection.execute(management.where(ConnectionRow.deleted_at.is_(None))):
        place = management_key_place(row.id, row.key_revision)
        yield _Sealed(ConnectionRow, "key_sealed", row.id, row.key_sealed, place)
    keys = sa.select(KeyVersionRow.id, KeyVersionRow.key_sealed).where(KeyVersionRow.key_sealed.is_not(None))
    for key in connection.execute(keys):
        yield _Sealed(KeyVersionRow, "key_sealed", key.id, key.key_sealed or b"", key_place(key.id))
    for target in connection.execute(sa.select(DestinationRow.id, DestinationRow.target_sealed)):
        yield _Sealed(DestinationRow, "target_sealed", target.id, target.target_sealed, target_place(target.id))
    for told in connection.execute(sa.select(NoticeTargetRow.id, NoticeTargetRow.url_sealed)):
        yield _Sealed(NoticeTargetRow, "url_sealed", told.id, told.url_sealed, notice_url_place(told.id))


def reseal_all(connection: sa.Connection, cipher: Cipher) -> int:
    """Seal again, with the ring's first key, what another key sealed; the number of ciphertexts changed.

    A row that changed meanwhile is left to who changed it. Run it again after an interruption: it goes on.
    """
    changed = 0
    for found in list(_all_sealed(connection)):
        if cipher.is_current(found.envelope):
            continue
        secret = cipher.open(found.envelope, found.place)
        values: dict[str, Any] = {found.column: cipher.seal(secret, found.place)}
        if found.row is ConnectionRow:
            values["fingerprint"] = cipher.fingerprint(secret)
        table = found.row.__table__
        update = sa.update(found.row).where(table.c.id == found.id, table.c[found.column] == found.envelope)
        changed += connection.execute(update.values(values)).rowcount
    return changed


def count_stale(connection: sa.Connection, cipher: Cipher) -> int:
    """How many ciphertexts another key than the ring's first one sealed."""
    return sum(not cipher.is_current(found.envelope) for found in _all_sealed(connection))
