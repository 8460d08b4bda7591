"""Waiting no longer than so for what nothing can end: a client that logs in by a program, and waits for that for ever.

What does not end in time goes on in a thread of its own, with whatever it started. So there is one for each way to log
in at most: as long as it hangs, the same login is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Final, TypeVar

from config.logging import hushed
from tasks.rotation.errors import Unavailable

Outcome = TypeVar("Outcome")

_hanging: Final[dict[str, Thread]] = {}
_looking: Final = Lock()


def patiently(label: str, who: str, call: Callable[[], Outcome], *, within_s: float) -> Callable[[], Outcome]:
    """What ``call`` gives or raises, as a function that does the same. ``who`` tells this way to log in from others.

    Raises ``Unavailable`` when it takes too long, and at once while it still does since an earlier time. What is logged
    meanwhile is dropped: libraries show there what a program said, and that may be a credential.
    """
    with _looking:
        before = _hanging.get(who)
        if before is not None and before.is_alive():
            raise Unavailable(f"{label}: an earlier attempt to log in has not ended yet. Nothing was changed.")
        _hanging.pop(who, None)
    outcome: Future[Outcome] = Future()
    thread = Thread(target=_run, args=(call, outcome), name="login", daemon=True)
    thread.start()
    thread.join(within_s)
    if outcome.done():
        return outcome.result
    with _looking:
        _hanging[who] = thread
    raise Unavailable(f"{label}: logging in took longer than {within_s:g} s. Nothing was changed.")


def _run(call: Callable[[], Outcome], outcome: Future[Outcome]) -> None:
    with hushed():
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            outcome.set_exception(error)
