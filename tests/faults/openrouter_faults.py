"""What OpenRouter, or the network before it, can do to one call or to all calls of an hour."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from tasks.providers.openrouter.client import LARGEST_ANSWER
from tests.faults.lives import Stage
from tests.faults.points import Point
from tests.faults.striking import HOUR, Fault, Strike, before, calls_of, for_an_hour, raising
from tests.steered.taps import Passing

_asked: Final = calls_of("openrouter ")
_CHANGING: Final = re.compile(r"openrouter (POST|PATCH|DELETE) ")
_STATUSES: Final = (401, 403, 404, 408, 409, 429, 500, 502, 503, 529)
_GATEWAYS: Final = (408, 500, 502, 503, 504, 529)
"""What a proxy may answer after it passed the request on."""


def _changes(point: Point) -> bool:
    return bool(_CHANGING.match(point.name))


def _answers(kind: str, **how: object) -> Strike:
    """The emulator fails the one call."""
    return before(lambda stage: stage.installation.fail(kind, "*", "*", times=1, **how))


def _hour_of(status: int) -> Strike:
    def strike(stage: Stage) -> None:
        stage.installation.fail("status", status=status)
        stage.installation.clock.later(HOUR, stage.installation.faults.clear)

    return before(strike)


def _unreachable(cause: Exception) -> httpx.ConnectError:
    """What httpx raises when there is no connection, with the cause that it has then."""
    error = httpx.ConnectError(str(cause))
    error.__cause__ = cause
    return error


def _no_name() -> httpx.ConnectError:
    return _unreachable(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))


def _bad_certificate() -> httpx.ConnectError:
    return _unreachable(ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired"))


def _network_gone(stage: Stage) -> None:
    def asked(passing: Passing) -> bool:
        return passing.name.startswith("openrouter ")

    for_an_hour(stage, asked, _no_name)
    raise _no_name()


def _all() -> Iterator[Fault]:
    for status in _STATUSES:
        yield Fault(f"{status}", _asked, _answers("status", status=status))
    yield Fault("429 Retry-After", _asked, _answers("status", status=429, retry_after=300))
    for status in _GATEWAYS:
        yield Fault(f"{status} but done", _changes, _answers("status", status=status, effect=True))
    for status in (401, 503):
        yield Fault(f"{status} for 1 h", _asked, _hour_of(status))
    for kind in ("malformed", "truncated", "empty", "wrong_type"):
        yield Fault(kind.replace("_", " "), _asked, _answers(kind))
    yield Fault("huge", _asked, _answers("huge", size_bytes=LARGEST_ANSWER))
    yield Fault("not JSON", _asked, _answers("status", status=200, body="<html>Welcome to the Wi-Fi</html>"))
    yield Fault("never arrives", _asked, _answers("never_arrives"))
    yield Fault("reply lost", _asked, _answers("lost_reply"))
    yield Fault("no reply in time", _asked, _answers("lost_reply", ending="silence"))
    yield Fault("lands 1 min later", _changes, _answers("late_effect", seconds=60))
    yield Fault("lands 2 h later", _changes, _answers("late_effect", seconds=7200))
    yield Fault("refused", _asked, _answers("refused"))
    yield Fault("DNS", _asked, before(raising(_no_name)))
    yield Fault("TLS", _asked, before(raising(_bad_certificate)))
    yield Fault("no connection in time", _asked, before(raising(lambda: httpx.ConnectTimeout("timed out"))))
    yield Fault("no network for 1 h", _asked, before(_network_gone))


FAULTS: Final = tuple(_all())
