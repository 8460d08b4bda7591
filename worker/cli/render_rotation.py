"""Rotations, key versions and what would become of them, as tables and pages for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from tasks.rotation.model import KeyParameters, KeyVersion, VersionState
from worker.cli.render import connections, facts, now, table
from worker.plain import distance, moment, moment_and_distance, span

if TYPE_CHECKING:
    from tasks.operations.views import DeliveryView, DestinationTrial, DryRun, HistoryView, RotationView, StatusView

_STATUS_STYLE: Final = {
    "ok": "green",
    "rotating": "cyan",
    "paused": "yellow",
    "needs_attention": "bold red",
    "removing": "magenta",
}
STATE_STYLE: Final = {
    VersionState.PLANNED: "blue",
    VersionState.CREATING: "blue",
    VersionState.CREATED: "cyan",
    VersionState.PROVEN: "cyan",
    VersionState.ACTIVE: "bold green",
    VersionState.RETIRING: "yellow",
    VersionState.DISABLED: "magenta",
    VersionState.ABANDONED: "red",
    VersionState.DELETED: "dim",
}


def rotations(views: Sequence[RotationView]) -> RenderableType:
    """All rotations, a line each, and what needs attention below."""
    if not views:
        return Text("No rotations yet. `rotator rotation create --help` shows how to make one.")
    at = now()
    listing = table(
        ("NAME", "STATUS", "VERSION", "ROTATED", "NEXT", "SCHEDULE", "PUBLISHES TO"),
        (
            (
                Text(view.name, "bold"),
                status_of(view),
                "-" if view.active_version is None else f"v{view.active_version}",
                distance(view.last_rotated_at, at),
                distance(view.next_rotation_at, at),
                view.schedule,
                ", ".join(d.label for d in view.destinations) or "rotator secret get",
            )
            for view in views
        ),
    )
    return Group(listing, *(_attention(view) for view in views if view.attention))


def rotation(view: RotationView) -> RenderableType:
    """One rotation, everything known of it, with the next three times."""
    at = now()
    active = "none yet" if view.active_version is None else f"v{view.active_version} since {moment(view.active_since)}"
    flight = view.in_flight
    return facts(
        ("name", Text(view.name, "bold")),
        ("description", view.description),
        ("status", status_of(view)),
        ("attention", Text(view.attention, "bold red") if view.attention else None),
        ("remedy", view.remedy),
        ("removal", view.removal.value if view.removal else None),
        ("connection", view.connection),
        ("active", active),
        ("active hash", view.active_hash),
        ("in flight", _in_flight(flight) if flight else None),
        *_parameters(view.parameters),
        ("schedule", view.schedule),
        ("overlap", f"{span(view.overlap)}, then disabled for {span(view.cooling)}, then deleted"),
        ("rotated", moment_and_distance(view.last_rotated_at, at)),
        *_upcoming(view.upcoming, at),
        ("secret name", view.secret_name),
        *(("publishes to", destination(d)) for d in view.destinations),
        ("created", moment(view.created_at)),
    )


def history(view: HistoryView) -> RenderableType:
    """Every version with its times, reason, actor and outcome."""
    if not view.versions:
        return Text(f"{view.rotation} has no versions yet.")
    return table(
        ("VERSION", "STATE", "REASON", "ACTOR", "CREATED", "ACTIVE", "RETIRING", "DISABLED", "DELETED", "HASH"),
        (
            (
                f"v{v.number}",
                state(v.state),
                v.reason.value,
                v.actor,
                *(moment(t) for t in (v.created_at, v.active_at, v.retiring_at, v.disabled_at, v.deleted_at)),
                v.key_hash or "-",
            )
            for v in view.versions
        ),
        after=(Text(f"v{v.number}: {v.attempt.error}", "red") for v in view.versions if v.attempt.error),
    )


def dry_run(view: DryRun) -> RenderableType:
    """What a rotation would mint, where it would go, which hash would die and when."""
    dying = (
        (
            "retires",
            f"v{key.version} {key.key_hash or '(no key)'}: "
            f"disabled {moment(key.disabled_at)}, deleted {moment(key.deleted_at)}",
        )
        for key in view.dying
    )
    return facts(
        ("rotation", Text(view.rotation, "bold")),
        ("would mint", f"v{view.version}, at OpenRouter: {view.name_at_openrouter}"),
        *_parameters(view.parameters),
        ("expires", moment(view.expires_at) if view.expires_at else None),
        ("secret name", view.secret_name),
        *(("publishes to", label) for label in view.publishes_to or ("nowhere; `rotator secret get` reads it",)),
        *dying,
        *(("obstacle", Text(text, "yellow")) for text in view.obstacles),
        ("changed", "nothing: this was a dry run"),
    )


def status_of(view: RotationView) -> Text:
    """A rotation's status in its colour."""
    return Text(view.status, _STATUS_STYLE.get(view.status, ""))


def state(of: VersionState) -> Text:
    """A version's state in its colour."""
    return Text(of.value, STATE_STYLE[of])


def destination(view: DeliveryView) -> Text:
    """Where it goes, what it holds, and what is in the way there, with the next attempt."""
    orders = [word for word, so in (("optional", view.optional), ("drift only reported", _left_as_it_is(view))) if so]
    said = Text.assemble(view.label, (f" ({', '.join(orders)})" if orders else "", "dim"))
    if view.leaving:
        said.append("  removed; the key is being withdrawn from there", "yellow")
    elif view.version is None:
        said.append("  nothing delivered yet", "dim")
    else:
        said.append(f"  holds v{view.version}, read back {moment(view.delivered_at)}", "dim")
    if view.error:
        said.append(f"\n  {view.error}" + (f" {view.remedy}" if view.remedy else ""), "red")
    if view.attempts:
        again = f"; the next is at {moment(view.next_attempt_at)}" if view.next_attempt_at else ""
        said.append(f"\n  {view.attempts} attempts in vain{again}", "red")
    return said


def trials(tried: Sequence[DestinationTrial]) -> RenderableType:
    """Each destination, and whether a key could be published there now."""
    if not tried:
        return Text("It publishes nowhere. `rotator rotation publish --help` shows how to add a destination.")
    return Group(*map(_trial, tried))


def _trial(trial: DestinationTrial) -> Text:
    if trial.obstacle is None:
        return Text.assemble(
            ("ok      ", "green"), trial.label, ("  may be read and written; nothing was changed", "dim")
        )
    return Text.assemble(("refused ", "red"), trial.label, f"  {trial.obstacle}")


def _left_as_it_is(view: DeliveryView) -> bool:
    return view.on_drift.value == "report"


def _attention(view: RotationView) -> RenderableType:
    return Text.assemble((f"\n{view.name}: {view.attention}", "red"), f"\n  {view.remedy}" if view.remedy else "")


def _in_flight(version: KeyVersion) -> Text:
    stuck = f"  attempt {version.attempt.count}: {version.attempt.error}" if version.attempt.error else ""
    return Text.assemble(f"v{version.number} ", state(version.state), f", {version.reason.value}", (stuck, "red"))


def _parameters(of: KeyParameters) -> tuple[tuple[str, str | None], ...]:
    reset = f", refilled {of.limit_reset.value}" if of.limit_reset else ""
    byok = ", use of own provider keys included" if of.include_byok_in_limit else ""
    return (
        ("key name", of.key_name),
        ("limit", "none" if of.limit_usd is None else f"${of.limit_usd:g}{reset}{byok}"),
        ("workspace", of.workspace_id),
        ("expires after", span(of.expires_after) if of.expires_after else None),
    )


def _upcoming(times: Sequence[datetime], at: datetime) -> Iterable[tuple[str, str]]:
    return ((("next" if not index else "then"), moment_and_distance(time, at)) for index, time in enumerate(times))


def status(view: StatusView) -> RenderableType:
    """The whole installation on one page."""
    tick = "never: is `rotator up`, or worker and beat, running?"
    beat = f"last tick {distance(view.last_tick_at, view.now)}" if view.last_tick_at else tick
    head = facts(("beat", beat), ("schema", view.schema))
    untold = (Text(f"\n{text}", "red") for text in view.untold)
    return Group(head, Text(), connections(view.connections), Text(), rotations(view.rotations), *untold)
