"""The composition root: settings in, everything that works together out."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
import uuid
from copy import copy
from functools import cache
from typing import Final

from config.logging import get_logger
from config.settings import Settings
from tasks.notices.apprise import send
from tasks.providers import ClosableProvider, open_provider
from tasks.publishers import open_publisher
from tasks.rotation.engine import Engine
from tasks.rotation.notifying import Notifier
from tasks.rotation.policy import Policy
from tasks.rotation.ports import Provider, Publisher
from tasks.rotation.reconciling import Reconciler
from tasks.rotation.requests import Requests
from tasks.rotation.turn import Ids, World
from tasks.store.sql_store import SqlStore, open_store
from tasks.store.tallies import CALL_SECONDS, CALLS, Tally

DEFAULT_APP: Final = "open-router"
"""The ``app`` of the connections that operators create."""
_MARKER_BYTES: Final = 6
log = get_logger(__name__)


class Rotator:
    """What one process needs, opened after a fork and closed at its end."""

    def __init__(
        self, settings: Settings, store: SqlStore, *, actor: str, stop_on: tuple[type[Exception], ...] = ()
    ) -> None:
        self.settings = settings
        self.store = store
        self._providers: dict[str, ClosableProvider] = {}
        self._opening = threading.Lock()
        self._stop_on = stop_on
        self.asked_here = True
        """Whoever asks stands where this process does, so that a relative path says something."""
        self.tally = Tally(store.tallies.add)
        self.ids = new_ids()
        self.requests = Requests(store.desk, self.ids)
        self.notifier = Notifier(store.outbox, send, policy_of(settings), log=log.info, stop_on=stop_on)
        self._act_as(actor)

    def acting_as(self, actor: str) -> Rotator:
        """The same for somebody elsewhere, whom its events name. It shares everything with this one, which alone is
        closed."""
        other = copy(self)
        other.asked_here = False
        other._act_as(actor)
        return other

    def _act_as(self, actor: str) -> None:
        self.actor = actor
        self.reconciler = Reconciler(
            self.store.leased, self.store.desk, self.provider_called, self.requests, actor=actor
        )
        self.engine = Engine(
            World(
                store=self.store.leased,
                provider=self.provider_called,
                publisher=self._publisher,
                policy=policy_of(self.settings),
                ids=self.ids,
                actor=actor,
                log=log.info,
                monotonic_s=time.monotonic,
                stop_on=self._stop_on,
            )
        )

    def check(self) -> None:
        """Make sure that this process fits the database, before it works.

        Raises ``OperatorNeeded`` for another schema, ``CannotDecrypt`` for another master key, ``SettingsError``
        for one that cannot be read, ``Unavailable`` when the database cannot be reached, and ``InvalidInput`` for
        a setting that the provider cannot use.
        """
        self.provider_called(DEFAULT_APP)
        self.store.check_schema()
        self.store.check_master_key()

    def provider_called(self, app: str) -> Provider:
        """The provider of connections of this ``app``: one for the whole process, opened at first use."""
        with self._opening:
            if app not in self._providers:
                self._providers[app] = open_provider(app, self.settings, self._count_call)
            return self._providers[app]

    def _count_call(self, call: str, outcome: str, seconds: float) -> None:
        self.tally.add(CALLS, {"call": call, "outcome": outcome})
        self.tally.observe(CALL_SECONDS, {"outcome": outcome}, seconds)

    def _publisher(self, kind: str, destination_id: str) -> Publisher:
        return open_publisher(kind, self.store.leased.target(destination_id))

    def close(self) -> None:
        """Store what was counted, and close every connection of this process."""
        self.tally.close()
        for provider in self._providers.values():
            provider.close()
        self.store.close()


def open_rotator(
    settings: Settings, *, actor: str | None = None, stop_on: tuple[type[Exception], ...] = (), threads: int = 2
) -> Rotator:
    """Open everything; nothing is contacted yet, so call ``check`` before work.

    ``actor`` is who the events of this process name; exceptions of ``stop_on`` end an advance at once; so many
    ``threads`` may work at once. Raises ``InvalidInput`` or ``SettingsError`` for a setting that cannot be used.
    """
    store = open_store(settings, threads=threads)
    return Rotator(settings, store, actor=actor or _this_process(), stop_on=stop_on)


def policy_of(settings: Settings) -> Policy:
    """The numbers that decisions depend on, as set."""
    return Policy(
        settle=settings.settle_s,
        retry_base=settings.retry_base_s,
        retry_max=settings.retry_max_s,
        attempts=settings.retry_attempts,
        attention_pace=settings.attention_retry_s,
        drift_every=settings.drift_check_s or None,
    )


def new_ids() -> Ids:
    """Random identities."""
    return Ids(row=lambda: str(uuid.uuid4()), marker=lambda: secrets.token_hex(_MARKER_BYTES))


@cache
def _host() -> str:
    return socket.gethostname()


def _this_process() -> str:
    """The name of this process in events and leases."""
    return f"worker:{_host()}:{os.getpid()}"
