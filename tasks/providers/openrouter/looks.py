"""What an account binds to its keys: found by three lists, remembered for a short while."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from config.secret import Secret
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.client import CALL_TIMEOUT, OpenRouterClient, read_as
from tasks.providers.openrouter.exchange import Answer, Call, Effect
from tasks.providers.openrouter.paging import Page, every
from tasks.rotation.errors import Unavailable

BINDINGS_TIMEOUT: Final = timedelta(seconds=80)
"""The longest that carrying or dropping bindings takes: no call begins later than ``CALL_TIMEOUT`` before it."""

PAGE: Final = 100
_FORBIDDEN: Final = 403
_ABSENT: Final = frozenset({_FORBIDDEN, 404})
"""Answers of an account that does not have a feature."""

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class ListKind:
    """A kind of thing that names keys: where it is, and the field that holds the hashes."""

    title: str
    path: str
    field: str
    page: type[wire.HashListPage]
    one: type[wire.OneHashList]
    most: int | None


LIST_KINDS: Final = (
    ListKind("BYOK credential", "/byok", "allowed_api_key_hashes", wire.ByokPage, wire.OneByok, 100),
    ListKind(
        "observability destination",
        "/observability/destinations",
        "api_key_hashes",
        wire.TraceDestinationPage,
        wire.OneTraceDestination,
        None,
    ),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What one list showed; ``warnings`` when we were not let in."""

    assignments: tuple[wire.Assignment, ...] = ()
    lists: tuple[wire.HashList, ...] = ()
    warnings: tuple[str, ...] = ()


class Errand:
    """Several calls with one key and one deadline."""

    def __init__(self, client: OpenRouterClient, key: Secret) -> None:
        self._client = client
        self._last_start = time.monotonic() + (BINDINGS_TIMEOUT - CALL_TIMEOUT).total_seconds()
        self.key = key

    def ask(self, call: Call, *, accept: frozenset[int] = frozenset()) -> Answer:
        """As ``OpenRouterClient.ask``; ``Unavailable`` when the errand has taken too long to begin another call."""
        self.check_time()
        return self._client.ask(call, self.key, accept=accept)

    def check_time(self) -> None:
        """Raise ``Unavailable`` when it is too late to begin anything more."""
        if time.monotonic() > self._last_start:
            raise Unavailable(
                "Looking after what is bound to a key takes too long. What was attached stays; the rest follows.",
                "It is tried again by itself; if it lasts, check OpenRouter's response times.",
            )


def guardrail_look(errand: Errand) -> Look:
    """Every guardrail assignment of the account: ``GET /guardrails/assignments/keys``; it knows no workspace."""
    return _look(lambda: Look(assignments=assignments(errand, "/guardrails/assignments/keys")), "guardrails")


def list_look(errand: Errand, kind: ListKind, workspace_id: str | None) -> Look:
    """Everything of one kind in the workspace (None: the default one)."""
    where = {} if workspace_id is None else {"workspace_id": workspace_id}

    def page(offset: int) -> Page[wire.HashList]:
        answer = errand.ask(call := _listing(kind.path, kind.title, offset, where), accept=_ABSENT)
        _let_in(answer)
        shown = read_as(kind.page, answer, call)
        return Page(shown.data, shown.total_count)

    return _look(lambda: Look(lists=tuple(every(page, lambda one: one.id))), f"{kind.title}s")


def assignments(errand: Errand, path: str) -> tuple[wire.Assignment, ...]:
    """Every assignment that a list of them shows."""

    def page(offset: int) -> Page[wire.Assignment]:
        answer = errand.ask(call := _listing(path, "guardrail assignment", offset, {}), accept=_ABSENT)
        _let_in(answer)
        shown = read_as(wire.AssignmentPage, answer, call)
        return Page(shown.data, shown.total_count)

    return tuple(every(page, lambda one: (one.key_hash, one.guardrail_id)))


class Memory:
    """Looks by account and place, none older than ``max_age_s``. Shared by threads; holds no key, only a digest."""

    def __init__(self, max_age: timedelta) -> None:
        self.max_age_s = max_age.total_seconds()
        self._pepper = secrets.token_bytes(32)
        self._looks: dict[tuple[bytes, str], tuple[float, Look]] = {}
        self._lock = threading.Lock()

    def recall(self, key: Secret, place: str, look: Callable[[], Look]) -> Look:
        """The look that is remembered, or a new one. Its age counts from before it was made."""
        began, at = time.monotonic(), (self._digest(key), place)
        with self._lock:
            self._looks = {k: v for k, v in self._looks.items() if began - v[0] < self.max_age_s}
            if at in self._looks:
                return self._looks[at][1]
        found = look()
        with self._lock:
            self._looks[at] = (began, found)
        return found

    def forget(self, key: Secret) -> None:
        """Drop what is remembered of this account: something there was changed, or must be seen afresh."""
        digest = self._digest(key)
        with self._lock:
            self._looks = {k: v for k, v in self._looks.items() if k[0] != digest}

    def _digest(self, key: Secret) -> bytes:
        return hmac.digest(self._pepper, key.reveal().encode(), "sha256")


class _Absent(Exception):
    """The account does not have this, or does not show it to us."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def _look(look: Callable[[], Look], what: str) -> Look:
    try:
        return look()
    except _Absent as absent:
        if absent.status != _FORBIDDEN:
            return Look()
    return Look(warnings=(f"OpenRouter does not show this account's {what} to us (403); none were carried.",))


def _let_in(answer: Answer) -> None:
    if not answer.is_success:
        raise _Absent(answer.status)


def _listing(path: str, title: str, offset: int, where: dict[str, str]) -> Call:
    return Call("GET", path, Effect.READ, f"list every {title}", {"limit": PAGE, "offset": offset, **where})


def naming(key_hash: str, lists: Sequence[wire.HashList]) -> tuple[wire.HashList, ...]:
    """Those of the lists that name this key."""
    return tuple(one for one in lists if one.hashes is not None and key_hash in one.hashes)
