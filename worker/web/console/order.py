"""The fields of a rotation's order, as they are typed: what both the wizard and the edit page read."""

from __future__ import annotations

from collections.abc import Mapping

from config.secret import Secret
from tasks.operations.requests import RotationRequest, RotationUpdate, ScheduleRequest
from tasks.operations.views import RotationView
from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import OnDrift
from worker.plain import span
from worker.web.console.forms import Typed, number

BEHAVIOUR = ("how", "every", "at", "cron", "timezone", "window", "overlap", "cooling")
PARAMETERS = ("key_name", "limit", "limit_reset", "byok", "workspace_id", "expires_after")


def schedule_in(typed: Typed) -> ScheduleRequest:
    """When."""
    timezone, window = typed.given("timezone") or "UTC", typed.given("window")
    if typed["how"] == "cron":
        return ScheduleRequest(cron=typed["cron"], timezone=timezone, window=window)
    return ScheduleRequest(every=typed["every"], at=typed.given("at"), timezone=timezone, window=window)


def request_in(typed: Typed, publish: tuple[Secret, ...]) -> RotationRequest:
    """A whole order. Raises ``InvalidInput`` for a limit that is no number."""
    return RotationRequest(
        name=typed["name"],
        connection=typed["connection"],
        description=typed.given("description"),
        schedule=schedule_in(typed),
        key_name=typed["key_name"],
        limit_usd=number(typed, "limit", "--limit"),
        limit_reset=typed.given("limit_reset"),
        include_byok_in_limit=typed["byok"] == "yes",
        workspace_id=typed.given("workspace_id"),
        expires_after=typed.given("expires_after"),
        overlap=typed["overlap"] or "0",
        cooling=typed["cooling"] or "0",
        secret_name=typed["secret_name"],
        publish=publish,
        initial=typed["first"] != "later",
    )


def update_in(typed: Typed) -> RotationUpdate:
    """What an edited order asks for. Raises ``InvalidInput`` for a limit that is no number."""
    return RotationUpdate(
        name=typed["name"],
        description=typed.given("description"),
        schedule=schedule_in(typed),
        overlap=typed["overlap"] or "0",
        cooling=typed["cooling"] or "0",
        key_name=typed["key_name"],
        limit_usd=number(typed, "limit", "--limit"),
        limit_reset=typed.given("limit_reset"),
        include_byok_in_limit=typed["byok"] == "yes",
        expires_after=typed.given("expires_after"),
    )


def typed_of(view: RotationView, schedule: ScheduleRequest) -> dict[str, str]:
    """A rotation's order as if it had just been typed."""
    asked = view.parameters
    return {
        "name": view.name,
        "description": view.description or "",
        "how": "cron" if schedule.cron else "every",
        "every": schedule.every or "",
        "at": schedule.at or "",
        "cron": schedule.cron or "",
        "timezone": schedule.timezone,
        "window": schedule.window or "",
        "overlap": span(view.overlap),
        "cooling": span(view.cooling),
        "key_name": asked.key_name,
        "limit": "" if asked.limit_usd is None else f"{asked.limit_usd:g}",
        "limit_reset": str(asked.limit_reset or ""),
        "byok": "yes" if asked.include_byok_in_limit else "",
        "expires_after": "" if asked.expires_after is None else span(asked.expires_after),
    }


def publish_in(typed: Mapping[str, str]) -> Secret:
    """``KIND:TARGET`` as it was typed. Raises ``InvalidInput`` without a target."""
    kind, target = typed["kind"], typed["target"]
    if not target:
        raise InvalidInput("--publish", "it is missing", "Say where in that kind of place, as explained beside it.")
    return Secret(f"{kind}:{target.removeprefix(f'{kind}:')}")


def on_drift_in(typed: Mapping[str, str]) -> OnDrift:
    """What shall become of a destination that drifts; as usual where nothing was chosen."""
    return OnDrift.REPORT if typed["on_drift"] == OnDrift.REPORT else OnDrift.REPAIR
