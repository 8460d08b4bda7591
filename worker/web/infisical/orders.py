"""What these requests mean here."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from tasks.operations.requests import UNSET, RotationRequest, RotationUpdate, ScheduleRequest, Unset
from tasks.operations.views import RotationView, TimingView
from tasks.rotation.model import ById
from tasks.rotation.spans import format_span
from worker.web.infisical.asked import ChangedRotation, NewRotation, Parameters, TimeOfDay

_USUAL: Final = timedelta(hours=24)


def creation(body: NewRotation) -> RotationRequest:
    """The rotation that is asked for."""
    span = format_span(_usual_span(body.rotation_interval))
    parameters = body.parameters
    return RotationRequest(
        name=body.name,
        connection=ById(str(body.connection_id)),
        schedule=ScheduleRequest(every=f"{body.rotation_interval}d", at=_clock(body.rotate_at_utc)),
        key_name=parameters.name,
        limit_usd=parameters.limit,
        limit_reset=_reset(parameters),
        include_byok_in_limit=bool(parameters.include_byok_in_limit),
        overlap=body.overlap or span,
        cooling=body.cooling or span,
        secret_name=body.secrets_mapping.api_key,
        publish=tuple(body.destinations),
        paused=not body.is_auto_rotation_enabled,
        description=body.description,
        project_id=body.project_id,
        environment=body.environment,
        secret_path=body.secret_path,
    )


def change(body: ChangedRotation, view: RotationView) -> RotationUpdate:
    """What is to be changed of the rotation that stands as in ``view``."""
    parameters, auto = body.parameters, body.is_auto_rotation_enabled
    overlap, cooling = _spans(body, view)
    return RotationUpdate(
        name=_given(body.name),
        description=body.description if "description" in body.model_fields_set else UNSET,
        paused=UNSET if auto is None else not auto,
        schedule=_schedule(body, view.timing),
        secret_name=UNSET if body.secrets_mapping is None else body.secrets_mapping.api_key,
        key_name=UNSET if parameters is None else parameters.name,
        limit_usd=UNSET if parameters is None else parameters.limit,
        limit_reset=UNSET if parameters is None else _reset(parameters),
        include_byok_in_limit=UNSET if parameters is None else bool(parameters.include_byok_in_limit),
        overlap=overlap,
        cooling=cooling,
    )


def _given(text: str | None) -> str | Unset:
    return UNSET if text is None else text


def _reset(parameters: Parameters) -> str | None:
    """Without a limit there is nothing to reset."""
    return None if parameters.limit is None else parameters.limit_reset


def _clock(at: TimeOfDay) -> str:
    return f"{at.hours:02}:{at.minutes:02}"


def _usual_span(days: int) -> timedelta:
    """Overlap and cooling, each: a day, or half of a shorter interval, so that a key is gone before the next goes."""
    return min(_USUAL, timedelta(days=days) / 2)


def _schedule(body: ChangedRotation, timing: TimingView | None) -> ScheduleRequest | Unset:
    """The schedule with another interval, or another time of day."""
    if body.rotation_interval is None and body.rotate_at_utc is None:
        return UNSET
    now_every = timing.every if timing is not None else None
    every = None if now_every is None else format_span(now_every)
    at, timezone = (timing.at, timing.timezone) if timing is not None and timing.at is not None else ("00:00", "UTC")
    if body.rotation_interval is not None:
        every = f"{body.rotation_interval}d"
    if body.rotate_at_utc is not None:
        at, timezone = _clock(body.rotate_at_utc), "UTC"
    window = format_span(timing.window) if timing is not None and timing.window else None
    return ScheduleRequest(every=every, at=at, timezone=timezone, window=window)


def _spans(body: ChangedRotation, view: RotationView) -> tuple[str | Unset, str | Unset]:
    """Overlap and cooling: as given; shorter ones where the present ones do not fit a shorter interval."""
    days = body.rotation_interval
    if days is None or body.overlap is not None or body.cooling is not None:
        return _given(body.overlap), _given(body.cooling)
    if view.overlap + view.cooling > timedelta(days=days):
        span = format_span(_usual_span(days))
        return span, span
    return UNSET, UNSET
