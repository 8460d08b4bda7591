"""Weather: a given share of all management calls fails, each in one of the ways that a real network and server have."""

from __future__ import annotations

import random
from typing import Final

from .faults import Fault, FaultKind
from .state import CallerKind

_ONE: Final = Fault(kind=FaultKind.STATUS, caller=CallerKind.MANAGEMENT)
_WAYS: Final = (
    # Nothing happened, and the caller can know it.
    _ONE.model_copy(update={"status": 429, "retry_after": 1}),
    # Nothing happened, but the caller cannot know it.
    _ONE.model_copy(update={"status": 500}),
    _ONE.model_copy(update={"status": 502, "body": "<html>Bad gateway</html>"}),
    _ONE.model_copy(update={"status": 503, "retry_after": 1}),
    _ONE.model_copy(update={"kind": FaultKind.NEVER_ARRIVES}),
    # It happened, and the caller cannot know it.
    _ONE.model_copy(update={"status": 504, "effect": True}),
    _ONE.model_copy(update={"kind": FaultKind.LOST_REPLY}),
    _ONE.model_copy(update={"kind": FaultKind.MALFORMED}),
    _ONE.model_copy(update={"kind": FaultKind.TRUNCATED}),
    _ONE.model_copy(update={"kind": FaultKind.WRONG_TYPE}),
    _ONE.model_copy(update={"kind": FaultKind.EMPTY}),
    # It happens when nobody waits for it any more.
    _ONE.model_copy(update={"kind": FaultKind.LATE_EFFECT, "seconds": 3.0}),
)


def chaos(rate: float, *, seed: int = 0) -> tuple[Fault, ...]:
    """Rules by which the share ``rate`` (0 to 1) of management calls fails, every way as often as any other.

    Calls with an ordinary key are spared: whoever uses a key is no party to the management of keys. With one seed
    and one order of calls, failures repeat. Raises ValueError for a rate that is no share.
    """
    if not 0 <= rate <= 1:
        raise ValueError("the rate of chaos must be from 0 to 1")
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    each = rate / len(_WAYS)
    return tuple(
        # A rule is only asked when none before it struck, so its chance is its share of what is left.
        way.model_copy(update={"probability": min(1.0, each / (1 - number * each)), "seed": dice.getrandbits(32)})
        for number, way in enumerate(_WAYS)
    )
