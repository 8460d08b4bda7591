"""Waiting without holding a thread: for a worker that was told, and for OpenRouter, which may be slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import anyio
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from fastapi import Query

Seen = TypeVar("Seen")
Given = ParamSpec("Given")

_ASKING_AT_ONCE: Final = 4
"""Threads that may wait for OpenRouter: an OpenRouter that hangs leaves the others to whoever only reads."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5
_asking: Final[RunVar[anyio.CapacityLimiter]] = RunVar("asking OpenRouter")
"""One for each event loop, which is to say for each server."""

Patience = Annotated[
    float, Query(alias="wait", ge=0, le=60, description="How many seconds to wait for the workers to be done with it.")
]
"""How long a caller wants to wait. Seconds."""


async def asking_openrouter(act: Callable[[], Seen]) -> Seen:
    """Do what asks OpenRouter, in one of the few threads that are for it."""
    return await run_sync(act, limiter=_limiter())


def slowly(handler: Callable[Given, object]) -> Callable[Given, Coroutine[Any, Any, object]]:
    """A handler that asks OpenRouter or destinations: in the few threads that are for it, so that those who only read
    never wait for another side that hangs."""

    @wraps(handler)
    async def asking(*arguments: Given.args, **named: Given.kwargs) -> object:
        return await asking_openrouter(partial(handler, *arguments, **named))

    return asking


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _asking.get()
    except LookupError:
        _asking.set(anyio.CapacityLimiter(_ASKING_AT_ONCE))
        return _asking.get()


async def until(look: Callable[[], Seen], is_over: Callable[[Seen], bool], *, wait_s: float) -> Seen:
    """Look, in a thread and at growing intervals, until it is over or the time is; what was seen last."""
    give_up_at, pause_s = time.monotonic() + wait_s, _FIRST_PAUSE_S
    while True:
        seen = await run_sync(look)
        left_s = give_up_at - time.monotonic()
        if left_s <= 0 or is_over(seen):
            return seen
        await anyio.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
