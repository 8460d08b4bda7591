"""Is it well? The checks of ``rotator doctor``, and of the health checks in docker-compose.yml.

Liveness asks whether ticks reach the database, which takes beat, broker, a worker and the database together: restart
something if not. Readiness asks whether this machine could work: database, schema, master key, broker. The doctor asks
everything, and OpenRouter's clock too. No check changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import httpx

from config.master_key import key_is_lost, master_key_source
from config.settings import Settings, SettingsError
from tasks.rotation.errors import RotatorError
from worker import broker

if TYPE_CHECKING:
    from tasks.wiring import Rotator

SKEW_ALLOWED: Final = timedelta(seconds=30)
"""Of OpenRouter's clock; its ``Date`` is exact to the second, and requests take a while."""
_TICKS_ALLOWED: Final = 3
_LEAST_SILENCE: Final = timedelta(seconds=15)
_HTTP_TIMEOUT_S: Final = 10.0


class Scope(StrEnum):
    """What is asked."""

    LIVE = "live"
    READY = "ready"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``remedy`` is empty when it is well."""

    name: str
    ok: bool
    message: str
    remedy: str = ""


def examine(settings: Settings, scope: Scope = Scope.ALL) -> list[Check]:
    """Look at everything that ``scope`` asks for. Raises nothing: a check that cannot be made has failed."""
    key = _master_key(settings)
    if not key.ok or _never_started(settings):
        return [key, _not_started(settings)] if key.ok else [key]
    checks: list[Check] = []
    if scope is not Scope.LIVE:
        checks += [key, _broker(settings)]
    with _opened(settings) as opened:
        if isinstance(opened, Check):
            return [*checks, opened]
        checks += _of_database(opened, settings, scope)
    if scope is Scope.ALL:
        checks.append(_clock(settings))
    return checks


def all_well(checks: list[Check]) -> bool:
    """Whether every check is."""
    return all(check.ok for check in checks)


def _of_database(rotator: Rotator, settings: Settings, scope: Scope) -> list[Check]:
    """Reachability and schema first: the rest would only fail for the same reason."""
    try:
        rotator.store.schema()
    except RotatorError as error:
        return [Check("database", False, error.message, error.remedy)]
    checks = [Check("database", True, "The database answers.")]
    try:
        rotator.check()
        suits = rotator.store.check_schema()
    except SettingsError as error:
        return [*checks, Check("schema", False, "; ".join(error.faults), "Correct the setting.")]
    except RotatorError as error:
        return [*checks, Check("schema", False, error.message, error.remedy)]
    if scope is not Scope.LIVE:
        checks.append(Check("schema", True, f"{suits} The master key opens the database."))
    if scope is Scope.READY:
        return checks
    checks.append(_tick(rotator, settings))
    return [*checks, _notices(rotator)] if scope is Scope.ALL else checks


def _master_key(settings: Settings) -> Check:
    """Read the key without making one."""
    if settings.master_key is None and not (settings.data_dir / "master.key").exists() and not key_is_lost(settings):
        return Check("master key", True, "It is made at the first start, in the data folder.")
    try:
        source = master_key_source(settings)
        count = len(source.keys())
    except SettingsError as error:
        return Check("master key", False, "; ".join(error.faults), "Without it nothing can be decrypted: restore it.")
    return Check("master key", True, f"{source.name} holds {count} key{'s' if count > 1 else ''}.")


def _never_started(settings: Settings) -> bool:
    return settings.embedded_database and not (settings.data_dir / "rotator.sqlite3").exists()


def _not_started(settings: Settings) -> Check:
    return Check(
        "database",
        False,
        f"There is no database in {settings.data_dir} yet.",
        "Run `rotator up` or `rotator db upgrade`.",
    )


@contextmanager
def _opened(settings: Settings) -> Iterator[Rotator | Check]:
    from tasks.wiring import open_rotator  # noqa: PLC0415 - brings SQLAlchemy; the first checks need none

    try:
        rotator = open_rotator(settings, actor="doctor")
    except SettingsError as error:
        yield Check("database", False, "; ".join(error.faults), "Correct the setting.")
        return
    except RotatorError as error:
        yield Check("database", False, error.message, error.remedy)
        return
    try:
        yield rotator
    finally:
        rotator.close()


def _broker(settings: Settings) -> Check:
    if broker.answers(settings):
        return Check("broker", True, "The broker answers.")
    remedy = "Is `rotator up` running?" if settings.embedded_broker else "Is it running, and ROTATOR_BROKER_URL right?"
    return Check("broker", False, "The broker does not answer. Nothing is lost: rotations wait for it.", remedy)


def _tick(rotator: Rotator, settings: Settings) -> Check:
    allowed = max(_LEAST_SILENCE, _TICKS_ALLOWED * settings.tick_s)
    try:
        age = rotator.store.last_tick_age()
    except RotatorError as error:
        return Check("beat", False, error.message, error.remedy)
    remedy = "Are beat and a worker running, and do both reach the broker?"
    if age is None:
        return Check("beat", False, "No tick has ever reached the database.", remedy)
    seen = f"The last tick was {age.total_seconds():.0f} s ago"
    if age > allowed:
        return Check("beat", False, f"{seen}; {allowed.total_seconds():.0f} s are allowed.", remedy)
    return Check("beat", True, f"{seen}.")


def _notices(rotator: Rotator) -> Check:
    try:
        untold = rotator.store.outbox.failing()
    except RotatorError as error:
        return Check("notices", False, error.message, error.remedy)
    if untold:
        remedy = "What happened waits in the database, and is told once it can be; `rotator notify test NAME` tries."
        return Check("notices", False, " ".join(untold), remedy)
    return Check("notices", True, "Everybody who is to be told can be told.")


def _clock(settings: Settings) -> Check:
    """Compare clocks by the ``Date`` of an answer to a request without credentials."""
    try:
        with httpx.Client(timeout=_HTTP_TIMEOUT_S, follow_redirects=False) as client:
            answer = client.get(f"{settings.openrouter_base_url.rstrip('/')}/key")
        told = parsedate_to_datetime(answer.headers["date"])
    except httpx.HTTPError as error:
        message = f"OpenRouter cannot be reached ({type(error).__name__}). Keys in use go on working."
        return Check("clock", False, message, "Look at the network, proxies and ROTATOR_OPENROUTER_BASE_URL.")
    except (KeyError, ValueError):
        return Check("clock", False, "OpenRouter's answer told no time.", "Is a proxy answering in its place?")
    return clock_check(told, datetime.now(UTC))


def clock_check(told: datetime, now: datetime) -> Check:
    """Judge the difference between OpenRouter's clock and ours."""
    skew = now - (told if told.tzinfo else told.replace(tzinfo=UTC))
    if abs(skew) <= SKEW_ALLOWED:
        return Check("clock", True, f"This clock and OpenRouter's agree to {abs(skew).total_seconds():.0f} s.")
    direction = "ahead of" if skew > timedelta(0) else "behind"
    message = f"This clock is {abs(skew).total_seconds():.0f} s {direction} OpenRouter's."
    return Check("clock", False, message, "Keys would expire early or late: switch time synchronisation (NTP) on.")
