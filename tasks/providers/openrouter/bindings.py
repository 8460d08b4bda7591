"""Bindings: what OpenRouter attaches to a key by its hash, and what does not follow it to the next key.

Calls, when nothing is bound (each list a page of 100):

- ``GET /guardrails/assignments/keys``
- ``GET /byok``
- ``GET /observability/destinations``

Then, for each guardrail of the old key: ``POST /guardrails/{id}/assignments/keys``, and that list read back. For
each BYOK credential and observability destination that names it: ``GET``, ``PATCH``, ``GET`` of that one. Dropping
costs the last two lists, and ``GET`` and ``PATCH`` of each that names the key.

Not carried, for the API shows neither: a workspace's input and output logging filter (integer ids that no key
answer holds) and spend alerts (dashboard only). A workspace's default guardrail follows by itself.

OpenRouter replaces such a list whole and has no conditional write. Threads of this process take turns; another
process, or a person, can still overwrite an addition between our read and our write. Carrying again mends that
as long as the old key is still in the list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum, auto

from config.secret import Secret
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.client import CALL_TIMEOUT, OpenRouterClient, read_as
from tasks.providers.openrouter.exchange import Call, Effect
from tasks.providers.openrouter.looks import (
    BINDINGS_TIMEOUT,
    LIST_KINDS,
    Errand,
    ListKind,
    Look,
    Memory,
    assignments,
    guardrail_look,
    list_look,
    naming,
)
from tasks.rotation.errors import OutcomeUnknown, Refused, Unavailable
from tasks.rotation.ports import BindingReport

__all__ = ["BINDINGS_TIMEOUT", "Bindings"]

_NOT_FOUND = 404
_GONE = frozenset({_NOT_FOUND})
_LONGEST_NAME = 60
_DEAD_HASHES = "Take keys that no longer exist out of its list at OpenRouter; one of them blocks every change."


class _Added(Enum):
    """How adding a key to a list ended."""

    NAMED = auto()
    FULL = auto()
    MOOT = auto()
    """Since the look it became open to every key, was deleted, or no longer names the old one."""


class Bindings:
    """Carries bindings from one key to the next. One per process and account service; safe between threads."""

    def __init__(self, client: OpenRouterClient, *, max_age: timedelta) -> None:
        self._client = client
        self._memory = Memory(max_age)
        self._turn = threading.Lock()

    def exist(self, key: Secret, workspace_id: str | None) -> bool:
        """Whether a guardrail, BYOK credential or observability destination names any key by its hash.

        A list that OpenRouter does not show us (403) counts as empty: nothing in it could be carried.
        """
        errand = Errand(self._client, key)
        if self._memory.recall(key, "guardrails", lambda: guardrail_look(errand)).assignments:
            return True
        looks = (self._lists(errand, kind, workspace_id) for kind in LIST_KINDS)
        return any(one.hashes is not None for look in looks for one in look.lists)

    def carry(self, key: Secret, old_hash: str, new_hash: str, workspace_id: str | None) -> BindingReport:
        """Attach to the new key what is bound to the old one, and read it back. A second call changes nothing.

        ``carried`` names all that the new key now has from the old one, whenever it was attached. Raises
        ``OutcomeUnknown`` when something that was attached is not there when read back, ``Refused`` when
        OpenRouter does not let us attach it; then the old key keeps everything that it had.
        """
        errand = Errand(self._client, key)
        reports = [self._carry_guardrail(errand, old_hash, new_hash)]
        for kind in LIST_KINDS:
            reports.append(self._carry_lists(errand, kind, old_hash, new_hash, workspace_id))
        return BindingReport(
            carried=tuple(line for report in reports for line in report.carried),
            warnings=tuple(line for report in reports for line in report.warnings),
        )

    def drop(self, key: Secret, old_hash: str, workspace_id: str | None) -> None:
        """Take a key that is about to be deleted out of the lists that name it. A second call changes nothing.

        A list that names no other key stays: OpenRouter refuses an empty one, and clearing it would open it to
        every key. So does one that OpenRouter refuses to change: a dead hash in it opens nothing, and must not
        keep the old key alive. Its guardrail assignment goes with the key.
        """
        errand = Errand(self._client, key)
        for kind in LIST_KINDS:
            look = self._lists(errand, kind, workspace_id)
            for one in naming(old_hash, look.lists):
                self._take_out(errand, kind, one.id, old_hash)

    def _carry_guardrail(self, errand: Errand, old_hash: str, new_hash: str) -> BindingReport:
        look = self._assignments(errand, old_hash)
        wanted = {one.guardrail_id for one in look.assignments if one.key_hash == old_hash}
        present = {one.guardrail_id for one in look.assignments if one.key_hash == new_hash}
        if wanted - present and present:
            other = "The new key already has another guardrail than the old one; it was left as it is."
            return BindingReport(warnings=(*look.warnings, other))
        for guardrail_id in sorted(wanted - present):
            self._assign(errand, guardrail_id, new_hash)
        return BindingReport(tuple(f"guardrail {one}" for one in sorted(wanted)), look.warnings)

    def _assignments(self, errand: Errand, old_hash: str) -> Look:
        """What is assigned; seen afresh when it will be acted on."""
        look = self._memory.recall(errand.key, "guardrails", lambda: guardrail_look(errand))
        if not any(one.key_hash == old_hash for one in look.assignments) or self._memory.max_age_s == 0:
            return look
        self._memory.forget(errand.key)
        return self._memory.recall(errand.key, "guardrails", lambda: guardrail_look(errand))

    def _assign(self, errand: Errand, guardrail_id: str, new_hash: str) -> None:
        path = f"/guardrails/{guardrail_id}/assignments/keys"
        body = {"key_hashes": [new_hash]}
        self._memory.forget(errand.key)
        errand.ask(Call("POST", path, Effect.CHANGE, "put the new key under a guardrail", body=body))
        if not any(one.key_hash == new_hash for one in assignments(errand, path)):
            raise _not_there(f"guardrail {guardrail_id}")

    def _carry_lists(
        self, errand: Errand, kind: ListKind, old_hash: str, new_hash: str, workspace_id: str | None
    ) -> BindingReport:
        look = self._lists(errand, kind, workspace_id)
        carried, warnings = [], list(look.warnings)
        for one in naming(old_hash, look.lists):
            match self._add(errand, kind, one.id, old_hash, new_hash):
                case _Added.NAMED:
                    carried.append(_named(kind, one))
                case _Added.FULL:
                    full = "already names as many keys as it can hold, so the new key could not be added."
                    warnings.append(f"{_named(kind, one)} {full}")
                case _Added.MOOT:
                    pass
        return BindingReport(tuple(carried), tuple(warnings))

    def _lists(self, errand: Errand, kind: ListKind, workspace_id: str | None) -> Look:
        place = f"{kind.path} {workspace_id or ''}"
        return self._memory.recall(errand.key, place, lambda: list_look(errand, kind, workspace_id))

    def _add(self, errand: Errand, kind: ListKind, list_id: str, old_hash: str, new_hash: str) -> _Added:
        """Add the new key to the list as it is now, and read it back."""
        with self._turn_taken(errand):
            now = _read(errand, kind, list_id)
            if now is not None and new_hash in now:
                return _Added.NAMED
            if now is None or old_hash not in now:
                return _Added.MOOT
            if kind.most is not None and len(now) >= kind.most:
                return _Added.FULL
            self._write(errand, kind, list_id, (*now, new_hash))
            after = _read(errand, kind, list_id)
        if after is not None and new_hash not in after:
            raise _not_there(f"{kind.title} {list_id}")
        return _Added.NAMED

    def _take_out(self, errand: Errand, kind: ListKind, list_id: str, old_hash: str) -> None:
        with self._turn_taken(errand):
            now = _read(errand, kind, list_id)
            rest = tuple(one for one in now or () if one != old_hash)
            if now is None or not rest or len(rest) == len(now):
                return
            try:
                self._write(errand, kind, list_id, rest)
            except Refused:
                return

    def _write(self, errand: Errand, kind: ListKind, list_id: str, hashes: tuple[str, ...]) -> None:
        self._memory.forget(errand.key)
        purpose = f"change the keys that a {kind.title} names"
        body = {kind.field: list(hashes)}
        path = f"{kind.path}/{list_id}"
        errand.ask(Call("PATCH", path, Effect.CHANGE, purpose, body=body, if_refused=_DEAD_HASHES))

    @contextmanager
    def _turn_taken(self, errand: Errand) -> Iterator[None]:
        """Read, change and write back without another thread in between."""
        if not self._turn.acquire(timeout=CALL_TIMEOUT.total_seconds()):
            raise Unavailable("Another rotation of this process is busy with bindings. Nothing was changed.")
        try:
            errand.check_time()
            yield
        finally:
            self._turn.release()


def _read(errand: Errand, kind: ListKind, list_id: str) -> tuple[str, ...] | None:
    """The hashes that it names now; None when it is for every key, or gone."""
    call = Call("GET", f"{kind.path}/{list_id}", Effect.READ, f"show a {kind.title}")
    answer = errand.ask(call, accept=_GONE)
    return None if answer.status == _NOT_FOUND else read_as(kind.one, answer, call).data.hashes


def _named(kind: ListKind, one: wire.HashList) -> str:
    return f"{kind.title} {one.id}" + (f" ({one.name[:_LONGEST_NAME]!r})" if one.name else "")


def _not_there(what: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"OpenRouter said that it attached the new key to {what}, but does not show it. The old key is untouched.",
        "It is looked at again by itself; if it lasts, attach the key at OpenRouter by hand.",
    )
