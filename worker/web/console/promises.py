"""What an action will do, said beforehand with the real numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from tasks.operations.views import RotationView
from tasks.rotation.model import IN_FLIGHT, OUTGOING, KeyVersion, Removal, VersionState
from worker.plain import distance, moment, span
from worker.web.console.words import counted


def on_rotate(view: RotationView, versions: Sequence[KeyVersion], now: datetime) -> str:
    """What rotating now does."""
    flying = view.in_flight
    if flying is not None:
        return (
            f"Version {flying.number} is on its way already ({flying.state}). Asking again has it tried now, at once."
        )
    return f"Version {_next(versions)} is minted, proven and published {_places(view)} now. {_replaced(view, now)}"


def on_emergency(view: RotationView, versions: Sequence[KeyVersion]) -> str:
    """What an emergency does."""
    flying = view.in_flight
    number = _next(versions) if flying is None else flying.number
    dying = _numbers(v for v in versions if v.state in {VersionState.ACTIVE, *OUTGOING})
    if not dying:
        return f"Version {number} is minted and published {_places(view)} now. There is no older key to delete."
    dies = "is" if dying.startswith("version ") else "are"
    return (
        f"Version {number} is minted and published {_places(view)} now. As soon as it is in service, {dying} {dies} "
        "deleted at OpenRouter: no overlap, no cooling, no undo. What still uses an old key fails."
    )


def on_undo(view: RotationView, versions: Sequence[KeyVersion], now: datetime) -> str | None:
    """What an undo does; None when there is nothing to bring back."""
    previous = revivable(view, versions)
    if previous is None or view.removal is not None:
        return None
    how = "is enabled again, proven" if previous.state is VersionState.DISABLED else "is proven again"
    back = f"Version {previous.number} {how} and published {_places(view)}. "
    if view.in_flight is not None:
        back += f"Version {view.in_flight.number}, which is planned, is given up. "
    return back + _replaced(view, now)


def revivable(view: RotationView, versions: Sequence[KeyVersion]) -> KeyVersion | None:
    """The version that an undo would bring back: the one that was last in service before the active one."""
    flying = view.in_flight
    if flying is not None and (flying.emergency or flying.state is not VersionState.PLANNED):
        return None
    alive = [v for v in versions if v.state in OUTGOING and v.has_key and not v.doomed]
    return max(alive, key=lambda v: (v.active_at or view.created_at, v.number), default=None)


def on_pause(view: RotationView) -> str:
    """What pausing does."""
    if view.paused:
        return "The schedule runs again, and what waits after a failure is tried now."
    until = f" The rotation that is due {moment(view.next_rotation_at)} is left out." if view.next_rotation_at else ""
    return f"The schedule rests until you resume it.{until} What is in flight finishes, and old keys are still retired."


def on_removal(view: RotationView, versions: Sequence[KeyVersion], removal: Removal) -> str:
    """What deleting the rotation does to its keys."""
    alive = [v for v in versions if v.state in {VersionState.ACTIVE, *OUTGOING}]
    flying = [v for v in versions if v.state in IN_FLIGHT]
    given_up = f" {_capital(_numbers(flying))}, still on its way, is given up." if flying else ""
    if not alive:
        return f"No key of {view.name} is in service.{given_up}"
    if removal is Removal.REVOKE_KEYS:
        return f"{_capital(_numbers(alive))}: deleted at OpenRouter now. What still uses one fails.{given_up}"
    return f"{_capital(_numbers(alive))}: left at OpenRouter as they are, and no longer looked after.{given_up}"


def _replaced(view: RotationView, now: datetime) -> str:
    """What becomes of the active version once it is replaced."""
    if view.active_version is None:
        return "No key is in service before it."
    disabled_at, deleted_at = now + view.overlap, now + view.overlap + view.cooling
    stays = f"stays valid until {moment(disabled_at)} ({distance(disabled_at, now)})"
    if not view.overlap:
        stays = "is disabled at once"
    cooled = f", is then disabled for {span(view.cooling)} (an undo can bring it back)" if view.cooling else ""
    return f"Version {view.active_version} {stays}{cooled}, and is deleted {moment(deleted_at)}."


def _places(view: RotationView) -> str:
    if not view.destinations:
        return "nowhere (applications ask for it)"
    return f"to {counted(len(view.destinations), 'destination')}"


def _next(versions: Sequence[KeyVersion]) -> int:
    return max((v.number for v in versions), default=0) + 1


def _numbers(versions: Iterable[KeyVersion]) -> str:
    numbers = [str(v.number) for v in versions]
    if len(numbers) < 2:  # noqa: PLR2004 - one or many
        return f"version {numbers[0]}" if numbers else ""
    return f"versions {', '.join(numbers[:-1])} and {numbers[-1]}"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
