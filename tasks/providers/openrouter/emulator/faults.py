"""How the emulator is told to fail: rules, each with what it matches, how often it strikes and what it does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from threading import Condition, Lock
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .state import CallerKind


class FaultKind(Enum):
    """What a fault does to one call."""

    LATENCY = "latency"
    """The call waits ``seconds``, then goes on; it adds up with other faults."""
    STATUS = "status"
    """Answered with ``status``: before any effect, or after it when ``effect`` is set."""
    LOST_REPLY = "lost_reply"
    """The effect happens; the reply is lost."""
    NEVER_ARRIVES = "never_arrives"
    """The connection breaks before the account heard anything: no effect."""
    REFUSED = "refused"
    """No effect; the connection is reset and new ones are refused for ``seconds``."""
    MALFORMED = "malformed"
    """The effect happens; the body is not JSON."""
    TRUNCATED = "truncated"
    """The effect happens; the connection ends in the middle of the body."""
    WRONG_TYPE = "wrong_type"
    """The effect happens; the body is JSON of another shape (a list around the right object)."""
    HUGE = "huge"
    """The effect happens; the body carries ``size_bytes`` of padding."""
    EMPTY = "empty"
    """The effect happens; the body is empty."""
    LATE_EFFECT = "late_effect"
    """The reply is lost now; the effect happens ``seconds`` later."""
    HOLD = "hold"
    """The effect happens; the reply is held until released, or for ``seconds``."""


class Ending(Enum):
    """How a connection ends that brings no reply."""

    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"


_DEFAULT_SECONDS: Final = {
    FaultKind.LATENCY: 0.0,
    FaultKind.REFUSED: 1.0,
    FaultKind.LATE_EFFECT: 5.0,
    FaultKind.HOLD: 60.0,
}


class Fault(BaseModel):
    """One rule.

    It looks at calls of ``method`` on ``path`` (below ``/api/v1``; ``*`` matches anything in both), of any ``caller``
    or of one kind, skips the first ``after`` of them, then strikes each with ``probability`` until it has struck
    ``times`` times (None: for ever).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    method: str = "*"
    path: str = "*"
    caller: CallerKind | None = None
    """Whose calls: told by how the bearer looks, whether it is accepted or not."""
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int | None = None
    """Makes the strikes of a ``probability`` repeat; the fault book's own seed if None."""
    seconds: Annotated[float, Field(ge=0, le=31_536_000)] | None = None
    """Length of a latency, refusal, late effect or hold."""
    status: Annotated[int, Field(ge=200, le=599)] = 500
    retry_after: Annotated[str, Field(pattern=r"^[ -~]*$")] | int | None = None
    """``Retry-After`` of a ``status`` fault: seconds, or an HTTP date."""
    body: str | None = None
    """Body of a ``status`` fault; the documented error object if None."""
    effect: bool = False
    """Whether a ``status`` fault lets the call take effect first, like a gateway that gave up waiting."""
    ending: Ending = Ending.CLOSE
    """How the connection ends in ``lost_reply``, ``never_arrives`` and ``late_effect``."""
    size_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = 16 << 20

    @property
    def span_s(self) -> float:
        """``seconds``, or what its kind takes by default."""
        return _DEFAULT_SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds

    def matches(self, method: str, path: str, caller: CallerKind) -> bool:
        """Whether a call is one that this rule looks at."""
        called = fnmatchcase(method, self.method.upper()) and fnmatchcase(path, self.path)
        return called and self.caller in {None, caller}


def parse_fault(text: str | bytes) -> Fault:
    """A rule from JSON; ValueError says what is wrong with it, and where."""
    try:
        return Fault.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'rule'}: {f['msg']}" for f in error.errors())
        raise ValueError(f"not a fault rule: {faults}") from None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to one call: first wait ``latency_s``, then ``fault`` (None: answer properly)."""

    latency_s: float = 0.0
    fault: Fault | None = None


class _Rule:
    """A fault with its counters and its own dice."""

    def __init__(self, fault: Fault, seed: int) -> None:
        self.fault = fault
        self._dice = random.Random(seed if fault.seed is None else fault.seed)  # noqa: S311 - repeatable, not secret
        self._seen = 0
        self._struck = 0

    def strikes(self, method: str, path: str, caller: CallerKind) -> bool:
        if not self.fault.matches(method, path, caller):
            return False
        self._seen += 1
        if self._seen <= self.fault.after or self._spent():
            return False
        struck = self._dice.random() < self.fault.probability
        self._struck += struck
        return struck

    def _spent(self) -> bool:
        return self.fault.times is not None and self._struck >= self.fault.times


class FaultBook:
    """The rules in force. Thread-safe; with one seed and one order of calls, strikes repeat."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self._lock = Lock()
        self._rules: list[_Rule] = []
        self._released = Condition()
        self._releases = 0
        self._held = 0
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Put a rule in force, after those there are."""
        with self._lock:
            self._rules.append(_Rule(fault, self._seed + len(self._rules)))

    def clear(self) -> None:
        """Take every rule out of force and release what is held."""
        with self._lock:
            self._rules.clear()
        self.release()

    def plan(self, method: str, path: str, caller: CallerKind = CallerKind.NOBODY) -> Plan:
        """Decide one call: latencies add up, and the first other rule that strikes wins."""
        with self._lock:
            latency_s = 0.0
            for rule in self._rules:
                match rule.fault.kind:
                    case FaultKind.LATENCY:
                        latency_s += rule.fault.span_s if rule.strikes(method, path, caller) else 0.0
                    case _:
                        if rule.strikes(method, path, caller):
                            return Plan(latency_s, rule.fault)
            return Plan(latency_s)

    def hold(self, at_most_s: float, abandoned: Callable[[], bool] = lambda: False) -> None:
        """Wait for the next ``release``, or for ``at_most_s`` seconds; not at all once ``abandoned`` says so."""
        with self._released:
            before = self._releases
            self._held += 1
            try:
                self._released.wait_for(lambda: self._releases > before or abandoned(), at_most_s)
            finally:
                self._held -= 1

    def release(self) -> int:
        """Let every held reply go; returns how many there were."""
        with self._released:
            self._releases += 1
            self._released.notify_all()
            return self._held

    @property
    def held(self) -> int:
        """Replies that are held now."""
        with self._released:
            return self._held
