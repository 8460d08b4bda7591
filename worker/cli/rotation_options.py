"""The options of `rotation create` and `update`, and how what was not given is told from what was cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from config.secret import Secret
from worker.cli.guard import MisuseError

if TYPE_CHECKING:
    from tasks.operations.requests import RotationUpdate, ScheduleRequest, Unset, Wanted

Given = TypeVar("Given")

Connection = Annotated[str, typer.Option(metavar="C", help="Whose management key mints the keys.")]
KeyName = Annotated[
    str | None, typer.Option(metavar="K", help="The keys' name at OpenRouter; a number and marker follow.")
]
Limit = Annotated[float | None, typer.Option(metavar="USD", help="Spending limit of each key, above 0.")]
NoLimit = Annotated[bool, typer.Option("--no-limit", help="Remove the spending limit.")]
LimitReset = Annotated[str | None, typer.Option(metavar="PERIOD", help="Refill the limit: daily, weekly or monthly.")]
NoLimitReset = Annotated[bool, typer.Option("--no-limit-reset", help="Never refill the limit.")]
IncludeByok = Annotated[
    bool | None,
    typer.Option(
        "--include-byok-in-limit/--exclude-byok-from-limit",
        help="Whether use of your own provider keys counts towards the limit.",
        show_default=False,
    ),
]
WorkspaceId = Annotated[str | None, typer.Option(metavar="ID", help="Workspace of the keys, a UUID.")]
ExpiresAfter = Annotated[str | None, typer.Option(metavar="SPAN", help="Keys expire this long after they are minted.")]
NoExpiry = Annotated[bool, typer.Option("--no-expiry", help="New keys do not expire.")]
Every = Annotated[str | None, typer.Option(metavar="SPAN", help="Rotate at this interval: 30d, 12h, 90s.")]
At = Annotated[str | None, typer.Option(metavar="HH:MM", help="Time of day, with --every in whole days.")]
Cron = Annotated[str | None, typer.Option(metavar="EXPR", help='Rotate by cron expression: "0 3 1 * *".')]
Timezone = Annotated[str, typer.Option(metavar="Z", help="Time zone of --at and --cron, like Europe/Berlin.")]
NewTimezone = Annotated[str | None, typer.Option(metavar="Z", help="Time zone of --at and --cron (default: UTC).")]
Window = Annotated[str | None, typer.Option(metavar="SPAN", help="Spread the runs of many rotations over this span.")]
Overlap = Annotated[str, typer.Option(metavar="SPAN", help="How long the old key still works.")]
NewOverlap = Annotated[str | None, typer.Option(metavar="SPAN", help="How long the old key still works.")]
Cooling = Annotated[str, typer.Option(metavar="SPAN", help="How long it then stays disabled, before it is deleted.")]
NewCooling = Annotated[
    str | None, typer.Option(metavar="SPAN", help="How long it then stays disabled, before it is deleted.")
]
SecretName = Annotated[str, typer.Option(metavar="NAME", help="Variable that applications read the key from.")]
Publish = Annotated[
    list[Secret] | None,
    typer.Option(
        metavar="KIND:TARGET",
        parser=Secret,  # a target may hold a password: wrapped before anything can print it
        help="Where applications read the key: dotenv:PATH, vault:URL#FIELD and so on. May be repeated.",
    ),
]
PublishOptional = Annotated[
    list[Secret] | None,
    typer.Option(
        metavar="KIND:TARGET",
        parser=Secret,
        help="The same, but a new key becomes active without it. May be repeated.",
    ),
]
Drift = Annotated[
    Literal["repair", "report"],
    typer.Option(
        help="What becomes of a destination that holds something else: the key is delivered again, or it is only told.",
    ),
]
NewDrift = Annotated[
    Literal["repair", "report"] | None,
    typer.Option(
        help="When it holds something else: deliver the key again, or only tell. Repair unless said before.",
    ),
]
NewOptional = Annotated[
    bool | None,
    typer.Option(
        "--optional/--required",
        help="Whether a new key becomes active without this destination. Required unless said before.",
        show_default=False,
    ),
]
Withdraw = Annotated[bool, typer.Option("--withdraw", help="Take the key away there too; else it keeps what it holds.")]
Unpublish = Annotated[
    list[str] | None,
    typer.Option(metavar="LABEL", help="Stop publishing there; LABEL as `rotation show` prints it. May be repeated."),
]
Description = Annotated[str | None, typer.Option(metavar="TEXT", help="At most 256 characters.")]
NewDescription = Annotated[str | None, typer.Option(metavar="TEXT", help='At most 256 characters; "" removes it.')]
Rename = Annotated[str | None, typer.Option(metavar="NAME", help="Call it so from now on.")]
AdoptHash = Annotated[str | None, typer.Option(metavar="HASH", help="Take over this existing key as predecessor.")]
Initial = Annotated[
    bool,
    typer.Option("--initial/--no-initial", help="Mint the first key at once, or wait for the schedule."),
]


def or_unset(value: Given | None) -> Given | Unset:
    """``value``, or "leave it as it is" when the option was not given."""
    from tasks.operations.requests import UNSET

    return UNSET if value is None else value


def or_none(value: Given | None, *, cleared: bool, option: str) -> Given | Unset | None:
    """``value``, None when it is to be cleared, or "leave it as it is". Raises ``MisuseError`` for both at once."""
    if cleared and value is not None:
        raise MisuseError(f"{option} is both set and removed: give one of the two")
    return None if cleared else or_unset(value)


def new_schedule(
    *, every: str | None, at: str | None, cron: str | None, timezone: str | None, window: str | None
) -> ScheduleRequest | Unset:
    """The whole new schedule, or "leave it as it is" when no part of one was given."""
    from tasks.operations.requests import UNSET, ScheduleRequest

    if all(part is None for part in (every, at, cron, timezone, window)):
        return UNSET
    return ScheduleRequest(every=every, at=at, cron=cron, timezone=timezone or "UTC", window=window)


def changes_the_key(change: RotationUpdate) -> bool:
    """Whether the change waits for the next version."""
    from tasks.operations.requests import Unset

    parts = (
        change.key_name,
        change.limit_usd,
        change.limit_reset,
        change.include_byok_in_limit,
        change.expires_after,
    )
    return not all(isinstance(part, Unset) for part in parts)


def destinations(needed: list[Secret] | None, spare: list[Secret] | None, on_drift: str) -> tuple[Wanted, ...]:
    """Where to publish: what every version needs, then what it becomes active without."""
    needed_ones = (one_destination(text, optional=False, on_drift=on_drift) for text in needed or ())
    return (*needed_ones, *(one_destination(text, optional=True, on_drift=on_drift) for text in spare or ()))


def one_destination(text: Secret, *, optional: bool | None, on_drift: str | None) -> Wanted:
    """Where to publish, and what becomes of it when it fails or drifts; None leaves that as it is."""
    from tasks.operations.requests import UNSET, DestinationRequest
    from tasks.rotation.model import OnDrift

    return DestinationRequest(text, or_unset(optional), UNSET if on_drift is None else OnDrift(on_drift))
