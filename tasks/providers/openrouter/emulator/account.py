"""One emulated OpenRouter account: answers requests, and remembers the truth for whoever checks."""

from __future__ import annotations

import itertools
import re
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Final
from urllib.parse import urlencode

from . import routes
from .bodies import CreateKey, CreateWorkspace
from .keys import KeyFacts, TokenHex, hash_of
from .messages import Answer, Request
from .state import CallerKind, State

CALLS_KEPT: Final = 200_000
"""The call log forgets its oldest lines beyond this, so that a long demo cannot fill the memory."""

_SECRET_LOOKING = re.compile(r"(sk-or-|emulator-)[^/&]+")


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One line of the call log: who called what and what came of it, without a secret."""

    number: int
    """Counts from 1; `x-request-id` carries it."""
    at: datetime
    method: str
    path: str
    query: str
    caller: str
    """``management``, ``key`` or ``nobody``."""
    key_hash: str | None
    """Hash of the calling ordinary key, also of one that is not accepted any more; None for others."""
    status: int | None
    """What the account answered, even when a fault kept it from the caller; None when it never heard the call."""
    fault: str | None
    """Kind of the fault that bent this call, if one did."""


@dataclass(frozen=True, slots=True)
class _Late:
    due_at: datetime
    order: int
    request: Request
    fault: str


class Account:
    """A thread-safe account in memory.

    ``clock`` gives aware datetimes. ``canary`` is put into every minted key, so that a test can search for leaks.
    ``token_hex`` chooses randomness (default: the operating system's). A call that was told to land late takes effect
    once ``clock`` has reached its time: it is applied, in order, before the next call or reading.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        canary: str = "",
        total_credits_usd: float = 1000.0,
        token_hex: TokenHex = secrets.token_hex,
    ) -> None:
        self._clock = clock
        self._lock = RLock()
        self._state = State(token_hex, canary, total_credits_usd, clock())
        self._calls: deque[LoggedCall] = deque(maxlen=CALLS_KEPT)
        self._numbers = itertools.count(1)
        self._late: list[_Late] = []

    def now(self) -> datetime:
        """The account's own time, which its ``Date`` header also shows."""
        return self._clock()

    def handle(self, request: Request, fault: str | None = None) -> Answer:
        """Answer one request and log it; ``fault`` names what the caller will see instead."""
        with self._lock:
            self._settle()
            return self._perform(request, self._clock(), fault)

    def handle_late(self, request: Request, after_s: float, fault: str = "late_effect") -> None:
        """Let ``request`` take effect in ``after_s`` seconds. The caller was told nothing."""
        with self._lock:
            due_at = self._clock() + timedelta(seconds=after_s)
            self._late.append(_Late(due_at, len(self._late), request, fault))

    def note_unheard(self, request: Request, fault: str) -> None:
        """Log a request that a fault kept from arriving; nothing else changes."""
        with self._lock:
            self._settle()
            self._log(request, self._clock(), None, fault)

    def mint(self, name: str, *, workspace_id: str | None = None, limit: float | None = None) -> tuple[str, str]:
        """Make a key as if in the dashboard: (its text, its hash)."""
        with self._lock:
            self._settle()
            workspace = self._state.workspaces.resolve(workspace_id)
            text, record = self._state.keys.mint(CreateKey(name=name, limit=limit), workspace, self._clock())
            return text, record.hash

    def add_workspace(self, name: str, slug: str) -> str:
        """Make a workspace as if in the dashboard; returns its id."""
        with self._lock:
            return self._state.workspaces.create(CreateWorkspace(name=name, slug=slug), self._clock())

    @property
    def default_workspace_id(self) -> str:
        """Where keys go that name no workspace."""
        return self._state.workspaces.default_id

    def register_management_key(self, key: str) -> None:
        """From now on only registered management keys are accepted, not every ``emulator-`` one."""
        with self._lock:
            self._state.registered.add(hash_of(key))

    def revoke_management_key(self, key: str) -> None:
        """This management key is answered with 401 from now on."""
        with self._lock:
            self._state.revoked.add(hash_of(key))

    @property
    def minted(self) -> tuple[KeyFacts, ...]:
        """Every key ever minted, oldest first, deleted ones too."""
        with self._lock:
            self._settle()
            now = self._clock()
            return tuple(record.facts(now) for record in self._state.keys)

    def live(self) -> frozenset[str]:
        """Hashes of the keys that are accepted now: not deleted, disabled or expired."""
        return self._hashes(lambda state: state == "live")

    def existing(self) -> frozenset[str]:
        """Hashes of the keys that are not deleted, whether accepted or not."""
        return self._hashes(lambda state: state != "deleted")

    def _hashes(self, chosen: Callable[[str], bool]) -> frozenset[str]:
        with self._lock:
            self._settle()
            now = self._clock()
            return frozenset(record.hash for record in self._state.keys if chosen(record.state(now)))

    @property
    def calls(self) -> tuple[LoggedCall, ...]:
        """The call log, oldest first (the last ``CALLS_KEPT``)."""
        with self._lock:
            self._settle()
            return tuple(self._calls)

    @property
    def pending_effects(self) -> int:
        """Calls that are still to land."""
        with self._lock:
            self._settle()
            return len(self._late)

    def _settle(self) -> None:
        """Apply, at its own time, every late call whose time has come."""
        now = self._clock()
        due = sorted((late for late in self._late if late.due_at <= now), key=lambda late: (late.due_at, late.order))
        self._late = [late for late in self._late if late.due_at > now]
        for late in due:
            self._perform(late.request, late.due_at, late.fault)

    def _perform(self, request: Request, at: datetime, fault: str | None) -> Answer:
        caller = self._state.caller(request.bearer, at)
        answer = routes.answer(self._state, request, caller, at)
        number = self._log(request, at, answer.status, fault, caller.kind)
        return Answer(answer.status, answer.body, {**answer.headers, "x-request-id": f"emulator-req-{number}"})

    def _log(
        self,
        request: Request,
        at: datetime,
        status: int | None,
        fault: str | None,
        kind: CallerKind | None = None,
    ) -> int:
        number = next(self._numbers)
        bearer_hash = None if request.bearer is None else hash_of(request.bearer)
        known = bearer_hash is not None and self._state.keys.find(bearer_hash) is not None
        self._calls.append(
            LoggedCall(
                number,
                at,
                request.method,
                _SECRET_LOOKING.sub("****", request.path),
                _SECRET_LOOKING.sub("****", urlencode(request.query)),
                (kind or self._state.caller(request.bearer, at).kind).value,
                bearer_hash if known else None,
                status,
                fault,
            )
        )
        return number
