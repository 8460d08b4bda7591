"""Who is told of events, as an operator makes, tries and changes them. No address is ever shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from config.secret import Secret
from tasks.notices.apprise import send, service_of
from tasks.operations.requests import Unset
from tasks.rotation.errors import InvalidInput
from tasks.rotation.parameters import validated_slug
from tasks.rotation.telling import Notice
from tasks.rotation.wording import Level
from tasks.store.notice_targets import NoticeTarget
from tasks.wiring import Rotator

_TEST: Final = Notice(
    "test",
    Level.INFO,
    "rotator can tell you here",
    "This is a test, which somebody asked for. Nothing happened.\nTo do: Nothing need be done.",
)


@dataclass(frozen=True, slots=True)
class NoticeTargetView:
    """Somebody who is told, without the address."""

    name: str
    service: str
    level: Level
    """The least that is told."""
    rotations: tuple[str, ...] | None
    """Whose events are told; None for all, and for connections."""
    told_at: datetime | None
    attempts: int
    """How often it was tried in vain since."""
    error: str | None
    remedy: str | None
    next_attempt_at: datetime | None
    created_at: datetime


def add(
    rotator: Rotator, name: str, address: Secret, *, level: str, rotations: Sequence[str], test: bool
) -> NoticeTargetView:
    """Add a target, after a ``test`` message was taken if one is wanted; else nothing is stored."""
    validated_slug("NAME", name)
    chosen, ids = _level(level), _rotation_ids(rotator, rotations)
    service = service_of(address)
    if test:
        send(address, _TEST)
    rotator.store.notice_targets.insert(name, service, address, level=chosen, rotation_ids=ids, actor=rotator.actor)
    return show(rotator, name)


def show(rotator: Rotator, name: str) -> NoticeTargetView:
    """One target as it stands."""
    return _view(rotator.store.notice_targets.get(name), rotator.store.rotations.names())


def every(rotator: Rotator) -> tuple[NoticeTargetView, ...]:
    """Every target, by name."""
    targets = rotator.store.notice_targets.all()
    names = rotator.store.rotations.names() if targets else {}
    return tuple(_view(target, names) for target in targets)


def update(
    rotator: Rotator,
    name: str,
    *,
    address: Secret | None,
    level: str | Unset,
    rotations: Sequence[str] | Unset,
) -> NoticeTargetView:
    """Change what is given; no ``rotations`` means all."""
    rotator.store.notice_targets.update(
        name,
        address=None if address is None else (service_of(address), address),
        level=None if isinstance(level, Unset) else _level(level),
        rotation_ids=None if isinstance(rotations, Unset) else _rotation_ids(rotator, rotations) or (),
        actor=rotator.actor,
    )
    return show(rotator, name)


def try_out(rotator: Rotator, name: str) -> NoticeTargetView:
    """Send a test message; once it is taken, whatever waits there is told at once. Raises what keeps it from that."""
    send(rotator.store.notice_targets.address(name), _TEST)
    rotator.store.notice_targets.try_at_once(name)
    return show(rotator, name)


def _level(text: str) -> Level:
    if text not in set(Level):
        raise InvalidInput("--level", f"{text[:40]!r} is not known", f"Use one of {', '.join(Level)}.")
    return Level(text)


def _rotation_ids(rotator: Rotator, rotations: Sequence[str]) -> tuple[str, ...] | None:
    """Ids, so that a rotation that is renamed is still meant, and a later one of the same name is not."""
    ids = tuple(dict.fromkeys(rotator.store.rotations.get(name).rotation.id for name in rotations))
    return ids or None


def _view(target: NoticeTarget, names: dict[str, str]) -> NoticeTargetView:
    ids, attempt = target.rotation_ids, target.attempt
    return NoticeTargetView(
        name=target.name,
        service=target.service,
        level=target.level,
        rotations=None if ids is None else tuple(names.get(id_, id_) for id_ in ids),
        told_at=target.told_at,
        attempts=attempt.count,
        error=attempt.error,
        remedy=attempt.remedy,
        next_attempt_at=attempt.next_at,
        created_at=target.created_at,
    )
