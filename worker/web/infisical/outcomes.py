"""What became of a request that workers carry out: waited for, and told as Infisical tells it.

There a rotation is made while the caller waits, and a failure is the answer. Here the request is stored first, so that
a failure is not its end: the answer says so.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool

from tasks.operations import Operations
from tasks.operations.requests import EventsRequest
from tasks.operations.views import RotationView
from tasks.rotation.errors import CredentialRejected, NotFound, Unavailable
from tasks.rotation.model import Attempt, ById, Removal, VersionState
from worker.web.waiting import until

_PASSES: Final = frozenset({"try-again", "outcome-unknown"})
_STAYS: Final = "The request is stored and is tried again by itself; nobody needs to ask again."
_WAITS: Final = "OpenRouter asked this connection to wait."
_ASKS_OPENROUTER: Final = frozenset({VersionState.PLANNED, VersionState.CREATED})
_LOOKED_THROUGH: Final = 50
"""Newest events among which the last failure is."""


async def served(operations: Operations, view: RotationView, *, version: int, wait_s: float) -> RotationView:
    """The rotation once this version, or a later one, is in service, once an attempt at it failed, or once ``wait_s``
    have passed."""
    with suppress(NotFound):  # deleted meanwhile: as it was created, or seen first
        look = partial(operations.show_rotation, ById(view.id))
        return await until(look, partial(_is_over, version=version), wait_s=wait_s)
    return view


async def gone(operations: Operations, view: RotationView, removal: Removal, *, wait_s: float) -> RotationView:
    """The rotation as it was seen last, once it is gone, or ``wait_s`` have passed. Raises what keeps it, as
    ``refuse_failure`` does."""
    seen, asks = view, removal is Removal.REVOKE_KEYS

    def look() -> RotationView | None:
        nonlocal seen
        with suppress(NotFound):
            seen = operations.show_rotation(ById(view.id))
            return seen
        return None

    def is_over(there: RotationView | None) -> bool:
        return there is None or there.stopped is not None or (asks and there.waits_until is not None)

    there = await until(look, is_over, wait_s=wait_s)
    if there is not None:
        await run_in_threadpool(_refuse, operations, there, there.stopped, asks)
    return seen


def refuse_failure(operations: Operations, view: RotationView, *, version: int) -> None:
    """Raise ``CredentialRejected`` when OpenRouter rejected the management key, and ``Unavailable`` for what passes by
    itself. Any other failure is told in the rotation."""
    flight = view.in_flight
    if flight is not None and not _is_served(view, version):
        failed = flight.attempt if flight.attempt.next_at is not None else None
        _refuse(operations, view, failed, flight.state in _ASKS_OPENROUTER)


def _is_over(view: RotationView, *, version: int) -> bool:
    flight = view.in_flight
    if flight is None or _is_served(view, version):
        return True
    return flight.attempt.next_at is not None or (view.waits_until is not None and flight.state in _ASKS_OPENROUTER)


def _is_served(view: RotationView, version: int) -> bool:
    return view.active_version is not None and view.active_version >= version


def _refuse(operations: Operations, view: RotationView, attempt: Attempt | None, asks: bool) -> None:
    """Raise for an attempt that failed, or because OpenRouter, which is to be asked, wants to be left alone.

    Asking clears the moment of the next attempt, so one that is there was set by a failure since.
    """
    if attempt is not None and attempt.family not in _PASSES:
        if _is_of_the_management_key(operations, view.name):
            raise CredentialRejected(f"{attempt.error} {_STAYS}", attempt.remedy or "")
        return
    until_at = attempt.next_at if attempt is not None else view.waits_until if asks else None
    if until_at is not None:
        message = _WAITS if attempt is None else attempt.error
        raise Unavailable(f"{message} {_STAYS}", retry_after=until_at - operations.now())


def _is_of_the_management_key(operations: Operations, name: str) -> bool:
    """Whether the newest failure was OpenRouter's refusal of the key, and no destination's."""
    page = operations.find_events(EventsRequest(rotation=name, newest_first=True, limit=_LOOKED_THROUGH))
    failures = (e for e in page.events if e.name.endswith("_failed"))
    newest = next(failures, None)
    return newest is not None and newest.name != "deliver_failed" and newest.detail.get("kind") == "CredentialRejected"
