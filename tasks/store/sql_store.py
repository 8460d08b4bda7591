"""Everything that is stored, opened once in a process."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from config.logging import get_logger
from config.master_key import MasterKeySource, generate_master_key, master_key_source
from config.secret import Secret
from config.settings import Settings, SettingsError
from tasks.rotation.errors import CannotDecrypt, OperatorNeeded
from tasks.store import schema, sealed
from tasks.store.answers import Answers
from tasks.store.cipher import Cipher
from tasks.store.columns import database_now
from tasks.store.connections import Connections
from tasks.store.current_keys import CurrentKeys
from tasks.store.database import Database, make_engine
from tasks.store.desk import SqlDesk
from tasks.store.dispatch import Dispatch
from tasks.store.drafts import Drafts
from tasks.store.events import Events
from tasks.store.expiries import Expiries
from tasks.store.leased import LeasedStore
from tasks.store.notice_targets import NoticeTargets
from tasks.store.outbox import SqlOutbox
from tasks.store.readings import Readings
from tasks.store.refusals import told_of
from tasks.store.rotations import Rotations
from tasks.store.sessions import Sessions
from tasks.store.tables import InstallationRow
from tasks.store.tallies import Tallies
from tasks.store.tokens import Tokens

log = get_logger(__name__)
_RESEALING: Final = 7_035_921_448
"""Lock: two that write the ring at once would drop a key that the rows need."""


class SqlStore:
    """The state of one installation, on SQLite or PostgreSQL."""

    def __init__(self, database: Database, master_key: MasterKeySource, *, lease: timedelta) -> None:
        self._database = database
        self._master_key = master_key
        self.cipher = Cipher(self._ring, source=master_key.name)
        self.leased = LeasedStore(database, self.cipher, lease=lease)
        self.desk = SqlDesk(database, self.cipher)
        self.connections = Connections(database, self.cipher)
        self.rotations = Rotations(database, self.cipher)
        self.current_keys = CurrentKeys(database, self.cipher)
        self.events = Events(database)
        self.dispatch = Dispatch(database)
        self.tokens = Tokens(database)
        self.drafts = Drafts(self.cipher)
        self.sessions = Sessions(database)
        self.answers = Answers(database)
        self.notice_targets = NoticeTargets(database, self.cipher)
        self.outbox = SqlOutbox(database, self.cipher)
        self.expiries = Expiries(database)
        self.tallies = Tallies(database)
        self.readings = Readings(database)

    def _ring(self) -> tuple[bytes, ...]:
        """The master keys; a file that cannot be read any more is a ciphertext that cannot be opened."""
        try:
            return self._master_key.keys()
        except SettingsError as error:
            remedy = "Put the file back; what waits for it is tried again."
            raise CannotDecrypt(f"The master key cannot be read: {error}.", remedy) from None

    def schema(self) -> str | None:
        """The schema version that the database has; None when it is empty."""
        return schema.current(self._database)

    def check_schema(self) -> str:
        """How the schema suits this release, in words. Raises ``OperatorNeeded``, with what to run, if not."""
        return schema.check(self._database)

    def installation_id(self) -> str:
        """What tells this installation from every other. Raises ``OperatorNeeded`` for a database without a schema."""
        with self._database.read() as connection:
            return connection.execute(sa.select(InstallationRow.installation_id)).scalar_one()

    def check_master_key(self) -> None:
        """Raise ``CannotDecrypt`` unless the master key opens this database."""
        with self._database.read() as connection:
            sealed.check_master_key(connection, self.cipher)

    def upgrade(self) -> str:
        """Bring the schema up to date; safe at any time, and from many processes at once. The schema then."""
        return schema.upgrade(self._database, self.cipher)

    def downgrade(self) -> str:
        """Take back the newest migration where that loses nothing; the schema then. See ``schema.downgrade``."""
        return schema.downgrade(self._database)

    def claim_due(self, limit: int) -> list[str]:
        """See ``Dispatch.claim_due``."""
        return self.dispatch.claim_due(limit)

    def record_tick(self) -> None:
        """See ``Dispatch.record_tick``."""
        self.dispatch.record_tick()

    def last_tick_age(self) -> timedelta | None:
        """How long beat has been silent; None when it was never heard of."""
        return self.dispatch.last_tick_age()

    def now(self) -> datetime:
        """The database's clock."""
        return self.dispatch.now()

    def rotate_master_key(self) -> int:
        """Encrypt everything with a new master key; the number of ciphertexts changed.

        May run while workers do, beside another call, and be interrupted at any moment: the next call goes on where
        it stopped. The key in the data folder gets its successor here, and the older ones stay in the ring to open
        backups and what was written meanwhile. A key in a variable or a file of the operator's may be on other machines
        too, which would be locked out: it must have got its successor, in first place, from whoever sets it; else
        ``OperatorNeeded`` tells the steps.
        """
        with told_of(self._database), self._database.write() as connection:
            self._database.exclude_others(connection, _RESEALING)
            if sealed.count_stale(connection, self.cipher) == 0:
                self._add_master_key()
            return sealed.reseal_all(connection, self.cipher)

    def _add_master_key(self) -> None:
        """Put a new key in front of the ring, where that is ours to do."""
        source, ring = self._master_key, self._master_key.keys()
        if source.ours:
            with suppress(OSError):
                return source.replace((generate_master_key(), *map(_as_text, ring)))
        raise OperatorNeeded(
            f"Everything is encrypted with the first key of {source.name}, which is not ours to change: other machines "
            "may have a copy.",
            "Make a new key (`rotator master-key generate`) and put it in second place on every machine; when all "
            "have it, put it in first place on every machine; then run this again. Restart what reads it from a "
            "variable after each step.",
        )

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()


def _as_text(key: bytes) -> Secret:
    return Secret(urlsafe_b64encode(key).decode())


def open_store(settings: Settings, *, now: sa.ColumnElement[int] | None = None, threads: int = 2) -> SqlStore:
    """The store that the settings point to, for so many ``threads``. ``now`` replaces the database's clock. Nothing is
    contacted yet."""
    database = Database(make_engine(settings.database(), pool_size=threads), database_now() if now is None else now)
    master_key = master_key_source(settings)
    if master_key.created:
        log.warning("master_key_created", file=master_key.name, advice="Back it up: without it no stored key opens.")
    return SqlStore(database, master_key, lease=settings.lease_s)
